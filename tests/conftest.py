"""Fixtures: a scene that is learned within seconds, and one short run on it that many tests look at."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import first_calls
import hypothesis
import numpy as np
import pytest
import torch
from filelock import FileLock
from quick import COARSE, look_coarsely, taken_as_loaded
from scene import write_scene
from tiny_run import Run, copy_of, train_alone

from disconerf_ns.compat.callers import name_callers_only

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer

    from disconerf_ns.model import DiscoNerfModel
    from disconerf_ns.scene.arranged import ArrangedScene
    from disconerf_ns.scene.completion import Completion
    from disconerf_ns.scene.objects import ObjectId
    from disconerf_ns.viewer.editor import Editor
    from disconerf_ns.viewer.pictures import Pictures
    from disconerf_ns.viewer.seat import Seat

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
if not torch.cuda.is_available():  # Triton looks at this when it is first imported, and torch imports it late
    os.environ.setdefault("TRITON_INTERPRET", "1")
warnings.filterwarnings("ignore", category=UserWarning)
hypothesis.settings.register_profile("without deadlines", deadline=None)  # a busy machine is no fault
hypothesis.settings.load_profile("without deadlines")
first_calls.check_first_calls()
name_callers_only()
logging.getLogger("asyncio").addFilter(lambda record: "destroyed but it is pending" not in record.getMessage())
"""viser leaves tasks behind when a server stops; hundreds of lines about them hid what ended the tests."""


LONG = (
    "test_browser",
    "test_formats",
    "test_kernels",
    "test_hostile_places",
    "test_training",
    "test_storm",
    "test_api",
    "test_commands",
    "test_control",
)
"""Files whose tests take longest; they come first, so that no process waits for another one at the end. While one
trains the run for the first of them, the other tests formats and kernels, which need none."""


SHARP = ("test_export", "test_film", "test_solid")
"""Files that test shapes of objects and how films frame them, not on the shared run, which keeps its voxels."""


def pytest_runtest_setup() -> None:
    """Check the first calls of this test too."""
    first_calls.calls.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first, otherwise in the usual order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture
def fine_trials() -> None:
    """For a test of how films frame an object: trial pictures keep their number of pixels."""


@pytest.fixture(autouse=True)
def _coarse_objects(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are looked for coarsely, except where shapes are tested."""
    if request.path.stem not in SHARP:
        look_coarsely(monkeypatch)
    elif "fine_trials" not in request.fixturenames:
        monkeypatch.setattr("disconerf_ns.filming.trial.SIZE", COARSE["filming.trial.SIZE"])


@pytest.fixture(scope="session", autouse=True)
def _few_rays_ahead() -> Iterator[None]:
    """Training draws a few batches of rays together; a run of some steps uses no more."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("disconerf_ns.training.photos.RAYS_AT_ONCE", 2**12)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what pytest's processes make once; each works on copies of its own."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def scene(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with FileLock(shared / "balls.lock"):
        if not (shared / "balls").exists():
            write_scene(shared / "balls")
    return shutil.copytree(shared / "balls", tmp_path_factory.mktemp("data") / "balls")


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene from the same places in a ninth of the pixels, for tests that train runs of their own."""
    return write_scene(tmp_path_factory.mktemp("data") / "balls", width=16, height=12)


@pytest.fixture(scope="session")
def run(shared: Path, scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A trained run that is the same every time."""
    with FileLock(shared / "run.lock"):
        if not (shared / "run").exists():
            train_alone(scene, shared / "run")
    return copy_of(shared / "run", scene, tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="session")
def tree_run(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """config.yml of a copy of the run with a tree: two balls are a pair, the pair and the third ball a set.

    The default cut shows the floor, the pair, a ball and the rest, which no mask covers; the coarsest shows the set,
    the finest each ball.
    """
    from disconerf_ns.object_model import OBJECTS, TREE
    from disconerf_ns.scene.objects import save_manifest
    from disconerf_ns.scene.tree import ObjectTree

    pipeline = run.trainer.pipeline
    model, before = pipeline.model, pipeline.model.current.value
    flat = before.trained.tree
    _, one, other, third, rest = (each.node for each in before.trained.discovered)
    parent = [-1] * 7
    parent[one] = parent[other] = 5
    parent[5] = parent[third] = 6
    opens, support, masks = (*flat.opens, 0.7, 0.3), (0.75,) * 7, (0, 1, 2, 3, 4, 5, 6)
    tree = ObjectTree(5, tuple(parent), opens, support, masks, rest)
    folder = tmp_path_factory.mktemp("tree") / "run"
    shutil.copytree(run.folder, folder)
    try:
        model.set_tree(tree)
        model.set_objects([])
        pipeline.object_stage.discover_objects()
        save_manifest(model.current.value.all_objects, tree, 479, folder / "objects.json")
        (checkpoint,) = (folder / "nerfstudio_models").iterdir()
        state = torch.load(checkpoint, weights_only=False)
        state["pipeline"] |= {f"_model.{name}": getattr(model, name).clone() for name in (*OBJECTS, *TREE)}
        torch.save(state, checkpoint)
    finally:
        model.set_tree(flat)
        model.set_objects(list(before.trained.discovered))
        model.current.replace(lambda _: before)
    return folder / "config.yml"


@pytest.fixture
def model(run: Run) -> Iterator[DiscoNerfModel]:
    """A trained model, whose current scene is put back."""
    model = run.trainer.pipeline.model
    scene = model.current.value
    yield model
    model.current.replace(lambda _: scene)


@pytest.fixture
def scene_now(model: DiscoNerfModel) -> ArrangedScene:
    """The trained scene as it is without an edit."""
    return model.current.value


@pytest.fixture
def completing(monkeypatch: pytest.MonkeyPatch) -> set[bool]:
    """Whether the scenes complete that are asked for a completion during the test."""
    from disconerf_ns.scene.bodies import Bodies

    asked, ask = set(), Bodies.completion

    def record(bodies: Bodies, id: ObjectId) -> Completion | None:
        asked.add(bodies.complete)
        return ask(bodies, id)

    monkeypatch.setattr(Bodies, "completion", record)
    return asked


@pytest.fixture
def opened_run(run: Run, model: DiscoNerfModel) -> Iterator[None]:
    """Commands on the run take it, and its model, as it is loaded already."""
    with taken_as_loaded(run.config, run.trainer.pipeline):
        yield


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[list[Path]]:
    """The runs that commands load, each as often as they do."""
    from disconerf_ns import runs

    if "opened_run" in request.fixturenames:
        request.getfixturevalue("opened_run")  # which patches the same function, so it is put back after this one
    asked, load = [], runs.open_run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "open_run", lambda config, mode: asked.append(config) or load(config, mode))
        yield asked


@pytest.fixture
def halves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every slot has two connected parts, the halves of its cells along x: the run's own objects are in one piece.

    The model keeps the parts that it has found, so those of other tests are put aside, and these are not left to them.
    """
    from disconerf_ns.scene.connected_parts import ConnectedParts

    def of(grid) -> ConnectedParts:
        x = grid.occupied.nonzero()[:, 0]
        side = torch.arange(len(grid.occupied)) >= int(x.median()) + 1
        part = side.long()[:, None, None].expand(grid.occupied.shape)
        share = float(side[x].float().mean())
        return ConnectedParts(grid, part, (1 - share, share))

    monkeypatch.setattr(ConnectedParts, "of", of)
    found = request.getfixturevalue("model").current.value._parts if "model" in request.fixturenames else {}
    others = dict(found)
    found.clear()
    yield
    found.clear()
    found.update(others)


@pytest.fixture
def told() -> list[str]:
    """Sentences that were shown to a person."""
    return []


@pytest.fixture
def shown(model: DiscoNerfModel, told: list[str]) -> Pictures:
    """The pictures of a viewer of the model."""
    from disconerf_ns.viewer.pictures import Pictures

    return Pictures(model.current, told.append)


@pytest.fixture
def blank_thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list's pictures of objects are blank: drawing them takes longer than most of what is tested in a viewer."""
    blank = np.zeros((1, 1, 4))
    monkeypatch.setattr("disconerf_ns.viewer.thumbnails.drawn_of", lambda scene, each, photographs: blank)


@pytest.fixture
def editor(model: DiscoNerfModel) -> Editor:
    """The editor of the run's scene; what it tells is in `told`."""
    from disconerf_ns.viewer.editor import Editor

    editor = Editor(model.current)
    editor.told = []
    editor.tell = editor.told.append
    return editor


@pytest.fixture
def viewer(
    blank_thumbnails: None, model: DiscoNerfModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Viewer]:
    """nerfstudio's viewer of the run, as `ns-viewer` opens it, with still pictures of half as many rows."""
    monkeypatch.setattr("disconerf_ns.viewer.control.CPU_RESOLUTION", 128)
    from nerfstudio.configs.base_config import ViewerConfig
    from nerfstudio.viewer.viewer import Viewer

    from disconerf_ns.scene.edit import EDIT, draft_of

    pipeline = run.trainer.pipeline
    config = ViewerConfig(websocket_host="127.0.0.1")
    draft_of(pipeline.edit_file or run.folder / EDIT).unlink(missing_ok=True)
    viewer = Viewer(config, run.folder / "viewer.log", pipeline.datamanager.get_datapath(), pipeline)
    viewer.init_scene(pipeline.datamanager.train_dataset, "completed")
    yield viewer
    pipeline.object_control.close()
    viewer.viser_server.stop()
    pipeline.object_control.draft.file.unlink(missing_ok=True)


@pytest.fixture
def seat(viewer: Viewer) -> Iterator[Seat]:
    """Somebody who opened the viewer."""
    from viewer_presses import visit

    with visit(viewer) as visitor:
        yield visitor.seat


@pytest.fixture
def said(seat: Seat, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sentences that the person was told."""
    said: list[str] = []
    monkeypatch.setattr(seat, "tell", said.append)
    return said

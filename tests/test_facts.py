"""Facts of objects: best photographs, neighbours and boxes of things of known place, in the capture's own frame."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from manifest_page import PAGE, explained, keys_of
from nerfstudio.cameras.rays import RayBundle
from scene import BALLS
from scipy.spatial import KDTree
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.cli.measured import kept_of, measure_and_keep
from disconerf_ns.cli.objects import table_of
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.views import capture_of
from disconerf_ns.export.manifest_row import manifest_row
from disconerf_ns.facts import neighbours
from disconerf_ns.facts.kept import KeptMeasurements
from disconerf_ns.facts.listing import listing, sides
from disconerf_ns.facts.measure import Extent, Measured, extent_of, measure
from disconerf_ns.facts.neighbours import neighbours_of
from disconerf_ns.facts.views import Sight, silhouette
from disconerf_ns.runs import capture_frame, load_pipeline, objects_of
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, load_manifest, save_manifest
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.recolor import Hue
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.solid import OPAQUE, Solid, UprightBox
from disconerf_ns.small_json import Value

SPACE = Contraction(torch.tensor([[-4.0] * 3, [4.0] * 3]), None)


def block(low: tuple[float, float, float], high: tuple[float, float, float]) -> Solid:
    """A solid block between two corners."""
    box = torch.tensor([low, high])
    dense = lambda x: torch.full(x.shape[:-1], 1e4)
    return Solid.of(Occupancy.build(dense, SPACE, box, 16, threshold=OPAQUE, grown=False))


def test_neighbours_are_those_within_a_tenth_of_the_smaller_ones_diagonal() -> None:
    """Blocks in a row, gaps 0, 0.15 and 0.4; a block's diagonal is sqrt 3 = 1.73."""
    starts = (-3.0, -2.0, -0.85, 0.55)
    row = {ObjectId(n): block((x, 0.0, 0.0), (x + 1, 1.0, 1.0)) for n, x in enumerate(starts)}
    found = neighbours_of(row)
    assert {id: [each.id for each in beside] for id, beside in found.items()} == {0: [1], 1: [0, 2], 2: [1], 3: []}
    assert found[ObjectId(1)][0].gap == pytest.approx(0.0, abs=1e-3)
    assert found[ObjectId(1)][1].gap == pytest.approx(0.15, abs=1e-3)


def test_only_voxels_that_can_be_near_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The neighbours of 22 objects took 24 s, because all voxels of every two of them were compared."""
    compared = []

    class Counting(KDTree):
        def query(self, points, *args, **options):
            compared.append(len(points))
            return super().query(points, *args, **options)

    monkeypatch.setattr(neighbours, "KDTree", Counting)
    row = {ObjectId(n): block((x, 0.0, 0.0), (x + 1, 1.0, 1.0)) for n, x in enumerate((-3.0, -1.9, 2.0))}
    shell = 16**3 - 14**3
    assert neighbours_of(row)[ObjectId(0)][0].gap == pytest.approx(0.1, abs=1e-3)
    assert max(compared) < shell / 2, "the first two: those of the side that faces the other one"
    assert sum(compared) == max(compared), "the third one: none"


def test_a_silhouette_is_what_a_ray_meets_whatever_is_in_front() -> None:
    origins = torch.tensor([[0.5, 0.5, 3.0], [0.5, 0.5, 3.0], [2.0, 0.5, 3.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    rays = RayBundle(origins, directions, torch.ones(3, 1))
    assert silhouette(block((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), rays).tolist() == [True, False, False]


def test_a_view_is_better_the_larger_and_freer_it_shows_an_object() -> None:
    assert Sight("a", 0.2, 0.5, whole=True).score == pytest.approx(0.1)
    assert Sight("a", 0.2, 0.5, whole=False).score == pytest.approx(0.05)


def test_what_reaches_far_beyond_the_cameras_has_no_box() -> None:
    """The background was listed as 216 x 282 x 89."""
    near = block((0.0, 0.0, 0.0), (1.0, 2.0, 1.0))
    extent = extent_of(near, far=2.5)
    assert extent is not None and extent.box.size == pytest.approx((2, 1, 1), rel=1e-3)
    assert extent.volume == pytest.approx(2, rel=1e-3)
    assert extent_of(near, far=1.5) is None


def test_sizes_have_three_digits_of_the_longest_side() -> None:
    brick = Extent(6.0, (0.0, 0.0, 0.0), UprightBox((0.0, 0.0, 0.0), (3.0, 2.0, 0.1), 0.0))
    told = [sides(brick, unit) for unit in (0.1, 1.0, 1000.0)]
    assert told == [("0.300", "0.200", "0.010"), ("3.00", "2.00", "0.10"), ("3000", "2000", "100")]
    assert sides(None, 1.0) == ()


def test_facts_are_told_in_the_frame_of_the_capture(scene_now: ArrangedScene) -> None:
    """x -> 2 R x + (1, 0, 0), R a quarter turn about x: z goes to -y."""
    half = 0.5**0.5
    frame = Similarity(2.0, (half, half, 0.0, 0.0), (1.0, 0.0, 0.0))
    each = scene_now.objects[0]
    box = UprightBox((0.0, 0.0, 1.0), (3.0, 2.0, 1.0), 0.0)
    known = Measured(Extent(5.0, (0.0, 1.0, 0.0), box), 0.1, 3, (), ())
    edit = Edit().hide(each.id).move(each.id, Similarity(translation=(0.0, 0.0, 3.0)))
    document = listing([each], {each.id: known}, frame, edit, {each.id: 0.5})
    row = document["objects"][0]
    assert row["hidden"] and row["title_score"] == 0.5
    assert Similarity.of_json(Value(row["places"][0])).close_to(Similarity(translation=(0.0, -6.0, 0.0)))
    assert document["frame"]["up"] == pytest.approx([0, -1, 0], abs=1e-6)
    assert Similarity.of_json(Value(document["frame"]["scene_to_capture"])).close_to(frame)
    assert row["volume"] == pytest.approx(40) and row["centre"] == pytest.approx([1, -6, 2], abs=1e-6)
    assert row["box"]["size"] == pytest.approx([6, 4, 2]) and row["box"]["centre"] == pytest.approx(
        [1, -8, 0], abs=1e-6
    )
    assert np.array(row["box"]["axes"]) == pytest.approx(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), abs=1e-6)


@pytest.fixture(scope="module")
def facts(run: Run) -> dict[ObjectId, Measured]:
    """What the trained networks say of each object."""
    return measure(run.trainer.pipeline, run.trainer.pipeline.model.current.value)


@pytest.fixture(scope="module")
def document(run: Run, facts: dict) -> dict:
    """What `disconerf objects --json` prints."""
    return listing(run.trainer.pipeline.model.current.value.objects, facts, capture_frame(run.config), Edit())


TURNED = Similarity.about((0.1, 0.2, 0.3), (0.5**0.5, 0.5**0.5, 0.0, 0.0), scale=1.5, move=(0.0, 0.0, 1.0))


@pytest.mark.parametrize("place", [Similarity(), TURNED], ids=["as photographed", "turned, moved and scaled"])
def test_lists_and_exports_tell_the_same_size(run: Run, facts: dict, place: Similarity) -> None:
    """Lists told what the radiance field has, and of where it was photographed, and manifests what is completed below
    it, and of where it stands."""
    frame, edit = capture_frame(run.config), Edit()
    for id in facts:
        edit = edit.move(id, place)
    scene = run.trainer.pipeline.model.current.value.with_edit(edit)
    exported = {each.id: manifest_row(scene, each, frame) for each in scene.objects}
    table = " ".join(str(cell) for cell in table_of(scene.objects, facts, frame.scale, edit).columns[6].cells)
    told = [row for row in listing(scene.objects, facts, frame, edit)["objects"] if row["box"] is not None]
    assert len(told) >= len(BALLS)
    for row in told:
        other = exported[row["id"]]
        assert row["volume"] == pytest.approx(other["volume"], rel=1e-5)
        assert row["centre"] == pytest.approx(other["centre"], rel=1e-4, abs=1e-4)
        for name in ("centre", "size", "axes"):
            one, same = (np.array(each["box"][name]) for each in (row, other))
            assert one == pytest.approx(same, rel=1e-4, abs=1e-4)
        length = max(other["box"]["size"])
        assert f"{length:.{max(2 - math.floor(math.log10(length)), 0)}f}" in table


def test_manifests_tell_what_the_edit_does_to_an_object(run: Run) -> None:
    """A hidden object that was exported by name was not said to be hidden, nor that a mesh was moved or recoloured."""
    frame = Similarity(2.0, (0.5**0.5, 0.5**0.5, 0.0, 0.0), (1.0, 0.0, 0.0))
    scene = run.trainer.pipeline.model.current.value
    first, second, *_ = scene.objects
    up = Similarity(translation=(0.0, 0.0, 3.0))
    edit = Edit().hide(first.id).move(first.id, up).copy(first.id, up).recolor(first.id, Hue(120.0))
    edited = scene.with_edit(edit)
    row, other = (manifest_row(edited, edited.find(each.name), frame) for each in (first, second))
    assert row["hidden"] and row["recolor"] == {"hue": 120.0}
    minus_y = Similarity(translation=(0.0, -6.0, 0.0))
    assert Similarity.of_json(Value(row["place"])).close_to(minus_y), (
        "the scene's up is the capture's -y, twice as long"
    )
    assert [Similarity.of_json(Value(copy)).close_to(minus_y) for copy in row["copies"]] == [True]
    left = scene.with_edit(Edit().copy(first.id, up).hide_copy(first.id, 0))
    row = manifest_row(left, left.find(first.name), frame)
    assert Similarity.of_json(Value(row["place"])).close_to(minus_y) and row["copies"] == []
    assert not other["hidden"] and other["recolor"] is None and other["copies"] == []
    assert Similarity.of_json(Value(other["place"])).close_to(Similarity())


def test_the_page_explains_every_key_of_a_list(document: dict) -> None:
    named = explained("disconerf objects --json")
    assert sorted(named) == sorted(set(keys_of(document)))
    assert f"| `version` | | of this form; {document['version']} |" in PAGE.read_text()


def nearest(document: dict, place: tuple[float, float, float]) -> dict:
    rows = [row for row in document["objects"] if row["centre"] is not None]
    return min(rows, key=lambda row: np.linalg.norm(np.array(row["centre"]) - place))


@pytest.mark.parametrize("ball", BALLS, ids=["left", "large", "small"])
def test_a_ball_has_the_place_and_size_that_the_scene_gave_it(run: Run, document: dict, ball) -> None:
    """They were told in nerfstudio's frame, in which the cameras' positions fill [-1, 1]; that is further off."""
    centre, radius, _ = ball
    row, to_scene = nearest(document, centre), capture_frame(run.config).inverse()
    place, size = (np.array(value) for value in (row["centre"], row["box"]["size"]))
    untold = to_scene.points(torch.from_numpy(place)[None].float())[0].numpy()
    assert np.linalg.norm(place - centre) < min(radius, np.linalg.norm(untold - centre))
    assert (np.abs(size - 2 * radius) < np.abs(to_scene.scale * size - 2 * radius)).all()
    assert size[2] < size[0] * 1.6


def test_balls_of_different_size_keep_their_order_and_stand_on_the_floor(document: dict) -> None:
    left, large, small = (nearest(document, centre) for centre, _, _ in BALLS)
    assert large["volume"] > left["volume"] > small["volume"]
    floor = document["objects"][0]
    assert floor["name"] == "object_00" and {left["id"], large["id"], small["id"]} <= {
        each["id"] for each in floor["neighbours"]
    }


def test_best_views_come_best_first_and_are_photographs(document: dict, scene: Path) -> None:
    for row in document["objects"]:
        scores = [sight["score"] for sight in row["best_views"]]
        assert scores == sorted(scores, reverse=True)
        assert all((scene / "images" / sight["photograph"]).is_file() for sight in row["best_views"])
    ball = nearest(document, BALLS[0][0])
    assert 8 == len(ball["best_views"]) <= ball["views"] <= 14
    assert ball["best_views"][0]["unoccluded"] > 0.8


def test_shares_of_pixels_are_those_of_the_labels(document: dict, run: Run) -> None:
    from disconerf_ns.evaluation.predictions import predict_labels

    pipeline = run.trainer.pipeline
    labels = np.stack([predict_labels(pipeline, view, split="train") for view in range(14)])
    for row in document["objects"]:
        if row["number"] is not None:
            assert row["share_of_pixels"] == pytest.approx((labels == row["number"] + 1).mean(), abs=1e-6)


@pytest.fixture
def measuring(run: Run, monkeypatch: pytest.MonkeyPatch):
    """Counts how often objects are measured, always to the same end; forgets it before and after."""
    calls = []
    brick = Extent(6.0, (0.0, 0.0, 0.0), UprightBox((0.0, 0.0, 0.0), (3.0, 2.0, 1.0), 0.0))

    def fake(run, scene: ArrangedScene, advance) -> dict[ObjectId, Measured]:
        sight = Sight("0003.png", 0.1, 1.0, True)
        told = [Measured(brick if each.number else None, 0.1, 9, (sight,), ()) for each in scene.objects]
        calls.append(told)
        return dict(zip((each.id for each in scene.objects), told))

    monkeypatch.setattr("disconerf_ns.facts.measure.measure", fake)
    files = [run.folder / name for name in ("measured.json", "edit.json")]
    for file in files:
        file.unlink(missing_ok=True)
    yield calls
    for file in files:
        file.unlink(missing_ok=True)


def test_objects_are_measured_once_for_a_checkpoint_and_who_owns_what(run: Run, measuring, capsys) -> None:
    config = ["--load-config", str(run.config)]
    assert main(["objects", *config]) == main(["objects", *config]) == 0 and len(measuring) == 1
    first, second, third, *_ = objects_of(run.config)
    Edit().rename(first.id, "floor").hide(second.id).save(run.folder / "edit.json")
    assert main(["objects", *config]) == 0 and len(measuring) == 1, "names and hidden objects change no size"
    Edit().merge([second.id], third.id).save(run.folder / "edit.json")
    assert main(["objects", *config]) == 0 and len(measuring) == 2
    (run.folder / "edit.json").unlink()
    assert main(["objects", *config]) == 0 and len(measuring) == 2, "those of the other edit are still there"


def test_progress_says_what_it_counts(run: Run, capsys) -> None:
    """Of a scene of 35 objects "measuring objects: 24 of 77" was said, which are its objects and its photographs."""
    pipeline = run.trainer.pipeline
    measure_and_keep(pipeline, pipeline.model.current.value, None)
    every = len(pipeline.model.current.value.objects) + 14
    assert f"measuring objects and photographs: {every} of {every}" in capsys.readouterr().err


def test_the_table_fits_and_says_in_which_units_sizes_are(run: Run, measuring, capsys) -> None:
    """Sizes were in nerfstudio's frame, unsaid, and the background had one."""
    assert main(["objects", "--load-config", str(run.config)]) == 0
    table = capsys.readouterr().out
    size = sides(measuring[0][1].extent, capture_frame(run.config).scale)
    assert " x ".join(size) in table and "in the capture's units" in table
    assert max(map(len, table.splitlines())) <= 120
    assert next(line for line in table.splitlines() if "object_00" in line).split("│")[7].strip() == "-"


def test_json_is_all_that_stdout_gets(run: Run, measuring, capsys) -> None:
    assert main(["objects", "--load-config", str(run.config), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["objects"]
    assert [row["name"] for row in rows] == [each.name for each in objects_of(run.config)]
    assert rows[0]["box"] is None and rows[1]["box"]["size"][0] == pytest.approx(3 * capture_frame(run.config).scale)
    assert main(["objects", "--load-config", str(run.config), "--json", "--tree"]) == 1
    assert "--tree and --json exclude each other" in capsys.readouterr().err


def test_measurements_of_another_checkpoint_are_forgotten(run: Run, tmp_path: Path) -> None:
    (checkpoint,), tree = (run.folder / "nerfstudio_models").iterdir(), run.trainer.pipeline.model.tree
    assert kept_of(run.config) is not None and kept_of(tmp_path / "config.yml") is None
    known = {ObjectId(3): Measured(None, 0.25, 2, (Sight("a.png", 0.5, 1.0, True),), ())}
    (tmp_path / "step-000000007.ckpt").write_bytes(b"other")
    kept = KeptMeasurements(tmp_path / "config.yml", checkpoint)
    kept.add(Edit(), tree, known)
    assert kept.find(Edit(), tree) == known and kept.find(Edit().merge([0], 1), tree) is None
    other = KeptMeasurements(tmp_path / "config.yml", tmp_path / "step-000000007.ckpt")
    assert other.find(Edit(), tree) is None


def test_measurements_are_of_the_checkpoint_that_is_loaded(run: Run, tmp_path: Path, capsys) -> None:
    """A stray copy or a broken checkpoint after it had its bytes taken for those of the measured one."""
    saved = tmp_path / "nerfstudio_models"
    shutil.copytree(run.folder / "nerfstudio_models", saved)
    (whole,) = saved.iterdir()
    for name in ("step-last.ckpt", "step-000000999 (copy).ckpt", "step-000000999.ckpt"):
        (saved / name).write_bytes(b"broken")
    kept = kept_of(tmp_path / "config.yml")
    assert kept is not None and kept._head["checkpoint"] == whole.name
    told = capsys.readouterr()
    assert not told.out and "step-000000999.ckptcannotberead" in "".join(told.err.split())
    whole.write_bytes(b"broken too")
    with pytest.raises(UserError, match="no checkpoint that can be read"):
        kept_of(tmp_path / "config.yml")


def test_ids_names_and_slots_are_those_of_the_loaded_run(run: Run, document: dict) -> None:
    loaded = load_pipeline(run.config).model.current.value.objects
    told = [(row["id"], row["name"], row["slots"]) for row in document["objects"]]
    assert told == [(each.id, each.name, sorted(each.slots)) for each in loaded]


def test_the_manifest_of_a_run_says_in_which_frame_its_boxes_are(run: Run, tmp_path: Path) -> None:
    pipeline = run.trainer.pipeline
    frame, tree = capture_of(pipeline), pipeline.model.tree
    assert frame.close_to(capture_frame(run.config), 1e-4)
    path = tmp_path / "objects.json"
    save_manifest(pipeline.model.current.value.all_objects, tree, 479, path, frame)
    content = json.loads(path.read_text())
    assert content["version"] == 2 and content["frame"]["boxes"] == "scene"
    assert Similarity.of_json(Value(content["frame"]["scene_to_capture"])).close_to(frame)
    assert [(row["id"], row["slots"]) for row in content["objects"]] == [
        (node.node, sorted(tree.leaves(node.node))) for node in load_manifest(path).discovered
    ]


def test_a_manifest_of_version_1_opens_as_before(run: Run, tmp_path: Path) -> None:
    path, every = tmp_path / "objects.json", run.trainer.pipeline.model.current.value.all_objects
    save_manifest(every, run.trainer.pipeline.model.tree, 479, path)
    content = json.loads(path.read_text())
    old = {**content, "version": 1, "objects": [without(row, "id", "slots") for row in content["objects"]]}
    (tmp_path / "old.json").write_text(json.dumps(without(old, "frame")))
    assert load_manifest(tmp_path / "old.json") == load_manifest(path)


def without(row: dict, *names: str) -> dict:
    return {name: value for name, value in row.items() if name not in names}

"""The public surface: what README shows runs, the examples do what they say, and docstrings' examples hold."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scene import write_scene
from tiny_run import Run

import disconerf_ns
from disconerf_ns.errors import UserError
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.scene.edit import Edit

EXAMPLES = Path(__file__).parents[1] / "examples"
LADDER = sorted(path.name for path in EXAMPLES.glob("[0-9][0-9]_*.py"))


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """Films of a thirtieth of the pixels that the examples ask for."""
    film = disconerf_ns.Scene.film
    monkeypatch.setattr(disconerf_ns.Scene, "film", lambda *about, **options: film(*about, **options | {"size": 24}))


@pytest.mark.parametrize("name", disconerf_ns.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(disconerf_ns, name).__doc__ and name in dir(disconerf_ns)


def test_importing_the_package_imports_nothing_large() -> None:
    code = "import disconerf_ns, sys; print({'torch', 'nerfstudio', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="no attribute 'scene_of'"):
        disconerf_ns.scene_of  # noqa: B018


@pytest.mark.parametrize("name", LADDER)
def test_examples_are_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 30


def test_masks_from_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_scene(tmp_path / "balls", views=3, masks=False)
    run_example(monkeypatch, "00_masks_from_arrays.py", data)
    store = MaskStore.find(data)
    assert store.keys() == ["0000", "0001", "0002"]
    bright = np.array(Image.open(data / "images" / "0001.png").convert("L")) > 128
    masks = store.load("0001").decode()
    assert len(masks) > 0 and (masks.any(0) <= bright).all() and masks.any(0).sum() > 0.9 * bright.sum()


def test_mistakes_are_one_sentence(run: Run, opened_run: None) -> None:
    scene = disconerf_ns.load(run.config)
    for edit, fault in (
        (Edit().hide(99), "about object 99"),
        (Edit().divide(50, 2), "about object 50"),
        (Edit().recolor(0, (300.0, 0.0, 0.0)), r"green and blue in \[0, 1\]"),
    ):
        with pytest.raises(UserError, match=fault):
            scene.edited(edit)
    with pytest.raises(UserError, match="2 cameras were given"):
        scene.render("rgb", scene.cameras()[0:2])
    with pytest.raises(UserError, match="there is no teapot; the scene has object_00"):
        scene.render("teapot", scene.cameras()[0:1])


def test_load_a_run(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    run_example(monkeypatch, "01_load_a_run.py", run.config)
    assert "object_00" in (printed := capsys.readouterr().out) and "object_01_mask" in printed


def test_render_one_object(
    run: Run, opened_run: None, small_films: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(monkeypatch, "02_render_one_object.py", run.config, "object_01")
    picture = np.array(Image.open("object_01.png"))
    assert picture.shape == (36, 48, 4) and 0 < (picture[..., 3] > 200).mean() < 0.5
    assert Path("object_01.mp4").stat().st_size > 500


def test_film(run: Run, opened_run: None, small_films: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(monkeypatch, "05_film.py", run.config, "object_01")
    with Image.open("object_01.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"]) == (24, (24, 24), 80)
    assert Path("object_01.webm").stat().st_size > 2000


def test_edit(run: Run, opened_run: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        run_example(monkeypatch, "03_edit.py", run.config)
        edit = Edit.load(run.folder / "edit.json", disconerf_ns.load(run.config).arranged.trained.tree)
        assert len(edit.hidden) == 1 and list(edit.names.values()) == ["blue thing"]
        assert disconerf_ns.load(run.config).find("blue thing").color == (0.1, 0.3, 0.9)
    finally:
        (run.folder / "edit.json").unlink(missing_ok=True)


def test_move(run: Run, opened_run: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(monkeypatch, "08_move.py", run.config, "object_02")
    moved, unseen = np.array(Image.open("moved.png")), np.array(Image.open("unseen.png"))
    scene = disconerf_ns.load(run.config)
    before = (255 * scene.render("rgb", scene.cameras()[0:1])).numpy()
    assert moved.shape == (36, 48, 3) and unseen.shape == (36, 48)
    assert (np.abs(moved - before).max(-1) > 30).mean() > 0.02


def test_compose(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(monkeypatch, "09_compose.py", run.config, run.config, "object_02", 0, 0, 0.6)
    scene = disconerf_ns.load(run.config)
    before = (255 * scene.render("rgb", scene.cameras()[0:1])).numpy()
    assert (np.abs(np.array(Image.open("composed.png")) - before).max(-1) > 30).mean() > 0.02


def test_score(
    run: Run, opened_run: None, scene: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run_example(monkeypatch, "04_score.py", run.config, scene / "labels")
    rows = [line for line in capsys.readouterr().out.splitlines() if "SBD" in line]
    assert [row.split("  ")[0].strip() for row in rows] == ["2D masks", "field", "whole scene"]
    assert "IoU 100.0" in rows[0], "the masks of this scene are exact"


def test_splats(
    run: Run, opened_run: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from disconerf_ns.export.splats_ply import read_ply, write_ply
    from disconerf_ns.gaussians.splats import Splats

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("disconerf_ns.api.EVIDENCE", 4000)
    splats = disconerf_ns.Scene.splats
    monkeypatch.setattr(disconerf_ns.Scene, "splats", lambda *about, **options: splats(*about, **options, rays=6000))
    run_example(monkeypatch, "07_splats.py", run.config)
    sizes = {file.stem: len(read_ply(file)) for file in tmp_path.glob("*.ply")}
    assert all(sizes[f"object_0{number}"] > 20 for number in range(4))
    sampled = read_ply(tmp_path / "object_01.ply").means
    write_ply(tmp_path / "all" / "whole.ply", Splats.cat([read_ply(file) for file in sorted(tmp_path.glob("*.ply"))]))
    run_example(monkeypatch, "07_splats.py", run.config, tmp_path / "all" / "whole.ply")
    away = torch.cdist(read_ply(tmp_path / "object_01.ply").means, sampled) / sampled.std(0).norm()
    assert (away.amin(0) < 0.15).float().mean() > 0.95, "all are found again"
    assert (away.amin(1) < 0.3).float().mean() > 0.8, "and halves of what straddles the border"
    assert f"object_01.ply: {sizes['object_01']} gaussians" in capsys.readouterr().out


def test_export(
    run: Run, opened_run: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(monkeypatch, "06_export.py", run.config, "object_01")
    assert "meshes/object_01.glb: " in capsys.readouterr().out
    assert Path("exports/meshes/object_01.glb").read_bytes()[:4] == b"glTF"


def quietly(function):
    """The function without the lines in which nerfstudio says what it loads."""

    def call(*args, **kwargs):
        with contextlib.redirect_stdout(io.StringIO()):
            return function(*args, **kwargs)

    return call


def modules_with_examples() -> list[str]:
    """The package's modules whose docstrings have examples."""
    package = Path(disconerf_ns.__file__).parent
    files = [path for path in sorted(package.rglob("*.py")) if ">>> " in path.read_text()]
    return [".".join(path.relative_to(package.parent).with_suffix("").parts) for path in files]


def test_examples_in_docstrings(run: Run, opened_run: None, scene: Path, tmp_path: Path) -> None:
    from disconerf_ns import api
    from disconerf_ns.masks.image_masks import ImageMasks

    quiet = {name: quietly(getattr(api, name)) for name in ("load", "evaluate", "compose")}
    given = {"run": run.config, "labels": scene / "labels", "folder": tmp_path, "np": np, "json": json}
    runner = doctest.DocTestRunner()
    names = modules_with_examples()
    for name in names:
        module = import_module(name)
        known = {"ImageMasks": ImageMasks, **vars(module), **given, **(quiet if module is api else {})}
        for test in doctest.DocTestFinder().find(module, globs=known):
            assert runner.run(test, clear_globs=False).failed == 0, test.name
    assert len(names) >= 11 and runner.tries >= 40


@pytest.mark.parametrize("name", ["film.mp4", "film.webp", "film"])
@pytest.mark.parametrize(
    ("shapes", "fps", "sentence"),
    [
        ([(8, 8, 1)], 24, r"frame 0 has the shape \(8, 8, 1\); pass .* of a mask, mask.expand"),
        ([(8, 8)], 24, r"frame 0 has the shape \(8, 8\); pass"),
        ([(8, 8, 3), (6, 6, 3)], 24, r"frame 1 has the shape \(6, 6, 3\) and the first one \(8, 8, 3\)"),
        ([(8, 8, 3)], 0, "fps is 0; it has to be more than 0 and at most 1,000"),
        ([(8, 8, 3)], float("nan"), "fps is nan; it has to be more than 0"),
    ],
)
def test_a_film_of_odd_frames_is_refused(tmp_path: Path, name: str, shapes: list, fps: float, sentence: str) -> None:
    """ffmpeg made noise of a mask, and of frames of two sizes, without a word."""
    with pytest.raises(UserError, match=sentence):
        disconerf_ns.save_film(tmp_path / name, map(torch.ones, shapes), fps)
    assert not list(tmp_path.iterdir())


def test_mistakes_get_a_sentence(run: Run, opened_run: None) -> None:
    scene = disconerf_ns.load(run.config)
    for mistake, sentence in (
        (lambda: scene.find(""), "there is no"),
        (lambda: scene.film("object_01", frames=0), "film: frames is 0; it has to be from 1 to 100,000"),
        (lambda: scene.training_rays(-5), "training_rays: most is -5; it has to be from 1"),
        (lambda: scene.splats(gaussians=0), "splats: gaussians is 0; it has to be from 1"),
        (lambda: scene.splats(degree=4), "splats: degree is 4; it has to be from 0 to 3"),
        (lambda: scene.splats(rays=-5), "splats: rays is -5; it has to be from 1"),
        (lambda: disconerf_ns.evaluate(scene, "labels", downscale=0), "evaluate: downscale is 0; it has to be from 1"),
        (lambda: disconerf_ns.save_film("film.avi", []), "film.avi has no suffix of a film; choose one of .mp4, .webm"),
        (lambda: scene.render("rgb", scene.cameras()[0:2]), "2 cameras were given"),
    ):
        with pytest.raises(UserError, match=sentence):
            mistake()
    assert torch.equal(scene.render("rgb", scene.cameras()[0]), scene.render("rgb", scene.cameras()[0:1]))

"""`disconerf export` of a trained run: files are in the dataset's frame, whatever the dataparser made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scene import BALLS
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.export import exporter
from disconerf_ns.runs import capture_frame, objects_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import Value

CENTRE, RADIUS, COLOR = BALLS[1]


def export(run: Run, folder: Path, *options: str) -> int:
    return main(["export", "--load-config", str(run.config), "--output-dir", str(folder), *options])


def nearest(run: Run) -> str:
    """Name of the object whose box has its middle nearest to the ball."""
    frame = capture_frame(run.config)

    def away(each) -> float:
        return float((frame.points(torch.tensor(each.box).mean(0)) - torch.tensor(CENTRE)).norm())

    return min((each for each in objects_of(run.config) if each.share < 0.3), key=away).name


def test_a_ball_is_where_it_is_in_the_dataset(run: Run, opened_run: None, tmp_path: Path, capsys) -> None:
    """The dataparser turned, moved and scaled the scene: places and sizes were in its frame, and nothing said so."""
    name, edit = nearest(run), run.folder / "edit.json"
    id = next(each.id for each in objects_of(run.config) if each.name == name)
    Edit().rename(id, "green ball").save(edit)
    try:
        options = ["--objects", "green ball", "--resolution", "24", "--points", "100", "--what", "meshes", "points"]
        assert export(run, tmp_path, *options) == 0
    finally:
        edit.unlink()
    assert "1 object;" in capsys.readouterr().out
    content = json.loads((tmp_path / "manifest.json").read_text())
    (row,) = content["objects"]
    assert row["title"] == "green ball" and row["file_name"] == f"{name}_green_ball"
    assert set(row["files"]) == {"glb", "ply", "points"} and content["frame"]["up_axis"] == "+z"
    mesh = trimesh.load(tmp_path / row["files"]["ply"], process=False)
    assert mesh.is_watertight and row["watertight"] and len(mesh.faces) == row["faces"]
    assert (mesh.bounds.mean(0) + mesh.centroid) / 2 == pytest.approx(CENTRE, abs=0.3 * RADIUS)
    distances = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    assert np.median(distances) == pytest.approx(RADIUS, rel=0.15)
    assert capture_frame(run.config).scale != pytest.approx(1, abs=0.05), "the dataparser scaled the scene"
    red, green, blue = np.median(mesh.visual.vertex_colors[:, :3], 0)
    assert green > red + 30 and green > blue + 30


MESH = ("--resolution", "8", "--what", "meshes", "--formats", "obj")


def test_files_of_an_earlier_export_are_told(run: Run, opened_run: None, tmp_path: Path, capsys) -> None:
    """A mesh that is written anew without a texture no longer has the old one, which stayed without a word."""
    options = ["--objects", "1", *MESH]
    for _ in ("first", "again"):
        assert export(run, tmp_path, *options, "--texture", "64") == 0
    assert "of an earlier" not in capsys.readouterr().out
    assert export(run, tmp_path, *options) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "also holds meshes/object_01.mtl and 1 more of an earlier export, which manifest.json does not" in said
    assert manifest_in(tmp_path)["objects"][0]["files"] == {"obj": "meshes/object_01.obj"}


def manifest_in(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_an_export_adds_to_an_earlier_one_of_the_same_scene(run: Run, opened_run: None, tmp_path: Path, capsys) -> None:
    """Thumbnails of one object left a manifest of that object with that file alone; all meshes were orphans."""
    assert export(run, tmp_path, "--objects", "1", "2", "3", *MESH) == 0
    (tmp_path / "meshes/object_03.obj").unlink()
    capsys.readouterr()
    assert export(run, tmp_path, "--objects", "2", "--what", "thumbnails", "masks", "--thumbnail-size", "16") == 0
    said = capsys.readouterr().out
    assert "1 object;" in said and "lists it, and 2 of earlier exports." in said and "also holds" not in said
    content = manifest_in(tmp_path)
    files = {row["name"]: row["files"] for row in content["objects"]}
    assert files == {
        "object_01": {"obj": "meshes/object_01.obj"},
        "object_02": {"obj": "meshes/object_02.obj", "thumbnail": "thumbnails/object_02.png"},
        "object_03": {},
    }, "and what is no longer there is not named"
    assert content["objects"][1]["watertight"] and content["labelled"] == ["object_02"]
    assert export(run, tmp_path, "--objects", "1", "--what", "masks") == 0
    content = manifest_in(tmp_path)
    assert content["labelled"] == ["object_01", "object_02"], "labels that were there are there again"
    labels = np.unique(np.stack([Image.open(path) for path in (tmp_path / "masks/labels").glob("*.png")]))
    assert labels.tolist() == [0, 2, 3] and content["files"] == {"labels": "masks/labels", "coco": "masks/coco.json"}


def test_masks_show_what_surrounds_the_cameras_too(
    run: Run, opened_run: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Two thirds of a garden's pixels, its lawn and its wall, had no label."""
    monkeypatch.setattr(exporter, "boxed_around", lambda scene, places: {scene.objects[0].id})
    surrounding = objects_of(run.config)[0]
    assert export(run, tmp_path, "--what", "masks") == 0
    said, content = " ".join(capsys.readouterr().out.split()), manifest_in(tmp_path)
    assert f"{surrounding.name} (surrounds the cameras)" in said and f"masks show {surrounding.name} too." in said
    assert surrounding.name in content["labelled"]
    assert surrounding.name not in [row["name"] for row in content["objects"]]
    labels = np.stack([np.array(Image.open(path)) for path in (tmp_path / "masks/labels").rglob("*.png")])
    assert (labels == surrounding.number + 1).mean() > 0.3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--granularity", "0.9"], "holds an export under another edit or granularity; name another folder with"),
        (["--edit", "named.json"], "holds an export under another edit or granularity; name another folder with"),
        (["--no-complete"], "holds an export with the other choice of --complete; name another folder with"),
        (["--metres-per-unit", "2"], "holds an export with other --metres-per-unit; name another folder with"),
    ],
)
def test_an_export_replaces_none_of_another_scene(
    run: Run, opened_run: None, tmp_path: Path, capsys, monkeypatch, options: list[str], sentence: str
) -> None:
    """The manifest was replaced, and files of both stood side by side, or those of the first were gone."""
    monkeypatch.chdir(tmp_path)
    Edit().rename(objects_of(run.config)[1].id, "ball").save(tmp_path / "named.json")
    assert export(run, tmp_path / "out", "--objects", "1", *MESH) == 0
    before = files_in(tmp_path / "out")
    assert export(run, tmp_path / "out", "--objects", "1", *MESH, *options) == 1
    assert sentence in " ".join(capsys.readouterr().err.split()) and files_in(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: content["source"].update(sha256="0" * 64), "holds an export of another checkpoint"),
        (lambda content: content.pop("source"), "holds an export of an earlier version"),
        (lambda content: content.pop("objects"), "not the manifest of an export (it has no objects)"),
        (lambda content: content["objects"].append({"name": 3}), "(objects[1].name is 3, not text)"),
    ],
)
def test_another_manifest_is_not_replaced(
    run: Run, opened_run: None, tmp_path: Path, capsys, change: Callable[[dict], None], sentence: str
) -> None:
    assert export(run, tmp_path, "--objects", "1", *MESH) == 0
    content = manifest_in(tmp_path)
    change(content)
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    before = files_in(tmp_path)
    assert export(run, tmp_path, "--objects", "2", *MESH) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said and "name another folder with --output-dir" in said and files_in(tmp_path) == before


def test_the_manifest_of_another_edit_is_replaced_where_that_is_asked_for(
    run: Run, opened_run: None, tmp_path: Path, capsys
) -> None:
    assert export(run, tmp_path, "--objects", "1", "2", *MESH) == 0
    assert export(run, tmp_path, "--objects", "1", *MESH, "--no-complete", "--replace") == 0
    said, content = " ".join(capsys.readouterr().out.split()), manifest_in(tmp_path)
    assert [row["name"] for row in content["objects"]] == ["object_01"] and not content["source"]["complete"]
    assert "also holds meshes/object_02.obj of an earlier export" in said


def test_opacities_of_a_folder_have_one_size(run: Run, opened_run: None, tmp_path: Path, capsys) -> None:
    """Those of a second object at another --downscale lay beside the first's, and the manifest told no size."""
    assert export(run, tmp_path, "--objects", "1", "--what", "alphas", "--downscale", "2") == 0
    before = files_in(tmp_path)
    assert export(run, tmp_path, "--objects", "2", "--what", "alphas") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "holds an export with alphas of another --downscale; name another folder" in said
    assert files_in(tmp_path) == before
    assert export(run, tmp_path, "--objects", "2", "--what", "alphas", "--downscale", "2") == 0
    assert export(run, tmp_path, "--objects", "2", "--what", "masks") == 0, "label maps are all written anew"
    content = manifest_in(tmp_path)
    assert content["downscale"] == {"alpha": 2, "labels": 1}
    folders = [tmp_path / row["files"]["alpha"] for row in content["objects"]]
    sizes = {Image.open(path).size for folder in folders for path in folder.iterdir()}
    assert len(folders) == 2 and sizes == {(24, 18)}
    capsys.readouterr()
    assert export(run, tmp_path, "--objects", "2", "--what", "alphas", "--replace") == 0
    assert "also holds masks/alpha/object_01 of an earlier export" in " ".join(capsys.readouterr().out.split())


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.*")}


def test_a_moved_ball_is_exported_where_it_stands(run: Run, opened_run: None, tmp_path: Path) -> None:
    """Moved by a given way in the dataset's coordinates and made twice as large, and a copy farther on."""
    name, frame = nearest(run), capture_frame(run.config)
    id = next(each.id for each in objects_of(run.config) if each.name == name)
    moved = Similarity.about(CENTRE, scale=2.0, move=(0.0, 0.0, 1.0))
    places = [frame.inverse() @ place @ frame for place in (moved, Similarity(translation=(0.0, 0.0, 2.0)) @ moved)]
    Edit().place(id, *places).save(tmp_path / "moved.json")
    options = ["--objects", name, "--resolution", "24", "--what", "meshes", "--formats", "ply"]
    assert export(run, tmp_path / "out", *options, "--edit", str(tmp_path / "moved.json")) == 0
    (row,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["objects"]
    mesh = trimesh.load(tmp_path / "out" / row["files"]["ply"], process=False)
    distances = np.linalg.norm(mesh.vertices - np.add(CENTRE, (0.0, 0.0, 1.0)), axis=1)
    assert np.median(distances) == pytest.approx(2 * RADIUS, rel=0.15)
    assert row["box"]["size"][2] == pytest.approx(4 * RADIUS, rel=0.3)
    (copy,) = row["copies"]
    assert Similarity.of_json(Value(copy)).close_to(Similarity(translation=(0.0, 0.0, 2.0)), 1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--resolution", "4"], "export: --resolution is 4; it has to be from 8 to 1,024."),
        (["--faces", "-1"], "export: --faces is -1; it has to be from 0 to 1,000,000,000."),
        (["--texture", "5"], "export: --texture is 5; it has to be 0, or from 64 to 16,384."),
        (["--thumbnail-size", "0"], "export: --thumbnail-size is 0; it has to be from 16 to 16,384."),
        (["--metres-per-unit", "0"], "export: --metres-per-unit is 0.0; it has to be from 1e-09 to 1e+09."),
        (["--granularity", "2"], "export: --granularity is 2.0; it has to be from 0"),
        (["--objects", "teapot"], "there is no teapot; the scene has object_00"),
        (["--edit", "nowhere.json"], "there is no nowhere.json; pass with --edit"),
        (["--splats", "nowhere.ply"], "there is no nowhere.ply; pass a PLY file of gaussians"),
    ],
)
def test_mistakes_are_one_sentence(run: Run, tmp_path: Path, options: list[str], sentence: str, capsys) -> None:
    assert export(run, tmp_path / "out", *options) == 1
    assert sentence in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["masks", "alphas"])
def test_masks_that_show_nothing_are_refused(run: Run, opened_run: None, tmp_path: Path, capsys, what: str) -> None:
    """Photographs of 48 x 36 pixels had label maps of 1 x 1."""
    assert export(run, tmp_path / "out", "--what", what, "--downscale", "3") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "--downscale is 3; it has to be from 1 to 2, so that the photograph 0000 of 48 x 36 pixels keeps 16" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("options", "complete"), [((), True), (("--no-complete",), False)])
def test_what_no_photograph_saw_is_completed_or_not(
    run: Run, opened_run: None, tmp_path: Path, completing, options, complete
) -> None:
    files = "--objects", "1", "--what", "meshes", "--formats", "ply", "--resolution", "12"
    assert export(run, tmp_path, *files, *options) == 0
    assert completing == {complete}

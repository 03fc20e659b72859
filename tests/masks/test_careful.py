"""What `disconerf masks` must not do: delete what is not its own, mix sets, or end with a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disconerf_ns import cli
from disconerf_ns.errors import MaskError
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.making import Displaced, Job, Maker
from disconerf_ns.masks.report import measure
from disconerf_ns.masks.store import MaskStore

GRAPH = ("graph", "--min-area", "0.02")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(3):
        pixels = np.full((24, 32, 3), 40, np.uint8)
        pixels[4:20, 4 + 4 * number : 20] = (200, 60, 60)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def masks(data: Path, *options: str) -> int:
    return cli.main(["masks", "--data", str(data), *options, *GRAPH])


def one_mask() -> ImageMasks:
    return ImageMasks.from_arrays(np.ones((1, 4, 4), bool))


def test_other_json_is_never_deleted(data: Path, capsys: pytest.CaptureFixture) -> None:
    """The dataset's own folder, or that of all sets, given as the place for masks by mistake."""
    (data / "transforms_old.json").write_text("{}")
    assert masks(data, "--output", str(data), "--overwrite") == 1
    assert "transforms_old.json" in capsys.readouterr().err
    assert (data / "transforms_old.json").read_text() == "{}"
    assert masks(data) == 0
    before = {path: path.read_text() for path in (data / "masks").rglob("*.json")}
    assert masks(data, "--output", str(data / "masks"), "--overwrite") == 0
    assert {path: path.read_text() for path in before} == before, "the set in a folder of its own is still there"


def test_overwriting_keeps_files_of_others_in_a_set(data: Path) -> None:
    assert masks(data) == 0
    notes = data / "masks" / "graph" / "notes.json"
    notes.write_text('{"mine": 1}')
    assert masks(data, "--overwrite") == 0
    assert notes.read_text() == '{"mine": 1}'


def test_files_without_a_manifest_are_nobodys_to_replace(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    store.save("a", one_mask())
    with pytest.raises(MaskError, match="not deleted"):
        MaskStore.replace(tmp_path, {"generator": "test"})
    assert store.keys() == ["a"]


class Proposer:
    """Masks of any image; what happens meanwhile is up to the test."""

    def __init__(self, meanwhile):
        self.meanwhile = meanwhile

    def setup(self):
        return lambda image: self.meanwhile() or one_mask()


def test_a_run_stops_when_another_begins_the_set_anew(data: Path) -> None:
    store = MaskStore.create(data / "set", {"generator": "one"})

    def replace() -> None:
        MaskStore.replace(store.root, {"generator": "two"})

    with pytest.raises(Displaced, match="another run has replaced the masks in .*; this run stops"):
        Maker(Proposer(replace), store.root)(Job("0", data / "images" / "0.png"))
    assert store.keys() == [] and MaskStore(store.root).manifest["generator"] == "two"


def test_a_model_that_fails_at_an_image_is_reported(data: Path) -> None:
    MaskStore.create(data / "set", {"generator": "one"})

    def fail() -> None:
        raise RuntimeError("CUDA error:\n  device-side assert")

    said = Maker(Proposer(fail), data / "set")(Job("0", data / "images" / "0.png"))
    assert said == f"{data / 'images' / '0.png'}: RuntimeError: CUDA error: device-side assert"


def test_an_image_that_has_gone_is_reported_and_the_others_done(data: Path, capsys: pytest.CaptureFixture) -> None:
    frames = [{"file_path": f"images/{number}.png"} for number in range(3)]
    (data / "transforms.json").write_text(json.dumps({"frames": frames}))
    assert masks(data) == 0
    (data / "images" / "0.png").unlink()
    (data / "masks" / "graph" / "images" / "2.json").unlink(missing_ok=True)
    (data / "masks" / "graph" / "2.json").unlink(missing_ok=True)
    assert masks(data) == 1
    assert "there is no image" in capsys.readouterr().err
    assert len(MaskStore(data / "masks" / "graph").keys()) == 3
    assert cli.main(["masks", "show", "--data", str(data)]) == 1
    assert "1 of 3 views could not be shown" in capsys.readouterr().err
    assert len(list((data / "masks" / "graph_sheets").glob("*.jpg"))) == 1


@pytest.mark.parametrize("option", [
    ("--differences", "-1"), ("--differences", "nan"), ("--sigma", "-1"), ("--longest-side", "0"), ("--dilate", "-1"),
    ("--lightness", "nan"), ("--size", "-2"),
])  # fmt: skip
def test_values_that_make_no_sense(data: Path, option: tuple[str, str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["masks", "--data", str(data), "graph", *option])
    printed = capsys.readouterr()
    said = " ".join((printed.out + printed.err).split())
    assert end.value.code == 2 and option[0] in said and "it has to be" in said and "Traceback" not in said


def test_a_broken_manifest_is_named(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert masks(data) == 0
    manifest = data / "masks" / "graph" / "manifest.json"
    for content in ('{"parameters": 3}', "[]", "{"):
        manifest.write_text(content)
        assert masks(data) == 1
        said = capsys.readouterr().err
        assert str(manifest) in said and "delete it" not in said


def test_ctrl_c_is_one_sentence(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("disconerf_ns.cli.masks.find_images", interrupt)
    assert masks(data) == 130
    assert capsys.readouterr().err.startswith("disconerf: interrupted")


def test_pages_that_nobody_can_look_at(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert masks(data) == 0
    assert cli.main(["masks", "show", "--data", str(data), "--size", "16000", "--per-sheet", "40"]) == 1
    assert "a sheet of 40 photographs of 16000 pixels is too large to view" in capsys.readouterr().err


def test_as_many_views_as_asked_for_and_no_old_pages(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert masks(data) == 0
    show = ["masks", "show", "--data", str(data), "--per-sheet", "1"]
    assert cli.main([*show, "--views", "3"]) == 0
    assert len(list((data / "masks" / "graph_sheets").glob("*.jpg"))) == 3
    assert cli.main([*show, "--views", "2"]) == 0
    assert "2 of 3 views" in capsys.readouterr().out
    assert len(list((data / "masks" / "graph_sheets").glob("*.jpg"))) == 2


def test_what_was_not_looked_at_is_not_uncovered(tmp_path: Path) -> None:
    store = MaskStore.create(tmp_path, {"generator": "test"})
    looked_at = np.zeros((4, 8), bool)
    looked_at[:, :4] = True
    arrays = np.zeros((3, 4, 8), bool)
    arrays[0, :, :2] = arrays[1, :2, :4] = True
    store.save("a", ImageMasks.from_arrays(arrays, looked_at=looked_at))
    (view,) = measure(store, ["a"])
    assert view.count == 2, "an empty mask is none"
    assert view.coverage == 12 / 16 and view.sizes == (0.5, 0.5)


def test_one_foreign_json_is_not_the_newest_set(data: Path) -> None:
    assert masks(data) == 0
    other = data / "masks" / "coco"
    other.mkdir()
    (other / "instances.json").write_text('{"images": [], "annotations": []}')
    assert MaskStore.find(data).root.name == "graph"

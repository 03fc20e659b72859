"""`disconerf masks check`: a sound dataset has no findings, and each fault is named and decides the exit code."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from exif import boxes, photograph
from PIL import Image
from scipy.spatial.transform import Rotation

from disconerf_ns.cli import main
from disconerf_ns.cli.check import look_at_transforms
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import find_images
from disconerf_ns.masks.orientation import stored
from disconerf_ns.masks.store import MaskStore

VIEWS = 6


def write(root: Path, size: tuple[int, int] = (72, 96), turn: int = 1, shift: int = 0) -> Path:
    """A dataset whose masks are turned, or of a view further on."""
    store, frames = MaskStore.create(root / "masks/m", {"generator": "test"}), []
    for number in range(VIEWS):
        photograph(root / f"images/{number}.jpg", boxes(number, *size)[0], 1)
        labels = stored(boxes((number + shift) % VIEWS, *size)[1], turn)
        store.save(str(number), ImageMasks.from_arrays(np.stack([labels == v for v in np.unique(labels) if v])))
        pose = np.eye(4)
        pose[0, 3] = number
        frames.append({"file_path": f"images/{number}.jpg", "transform_matrix": pose.tolist()})
    camera = {"w": size[1], "h": size[0], "fl_x": 80, "fl_y": 80, "cx": size[1] / 2, "cy": size[0] / 2}
    (root / "transforms.json").write_text(json.dumps({**camera, "frames": frames}))
    return root


def check(root: Path, capsys: pytest.CaptureFixture) -> tuple[int, str]:
    code = main(["masks", "check", "--data", str(root)])
    return code, capsys.readouterr().out


def edit_transforms(root: Path, **values: object) -> None:
    path = root / "transforms.json"
    content = json.loads(path.read_text())
    content["frames"][1] |= values
    path.write_text(json.dumps(content))


def test_a_sound_dataset(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, said = check(write(tmp_path), capsys)
    assert code == 0 and "masks: nothing that would spoil the training was found.\n" in said
    with Image.open(tmp_path / "masks/m_check.jpg") as page:
        assert page.width > 400


def to_colmap(root: Path, posed: int, down: float = 0.0) -> None:
    """COLMAP's model of so many of the photographs, on an arc and looking down, in the place of the transforms file."""
    (root / "transforms.json").unlink()
    (root / "sparse/0").mkdir(parents=True)
    (root / "sparse/0/cameras.txt").write_text("1 PINHOLE 96 72 80 80 48 36\n")
    lines = []
    for number in range(posed):
        around, dip = np.radians(30 * number), np.radians(down)
        right = np.array([np.sin(around), -np.cos(around), 0])  # z of the world is up
        ahead = np.array([np.cos(around) * np.cos(dip), np.sin(around) * np.cos(dip), -np.sin(dip)])
        x, y, z, w = Rotation.from_matrix(np.stack([right, np.cross(ahead, right), ahead])).as_quat()
        lines += [f"{number + 1} {w} {x} {y} {z} {0.1 * number} 0 3 1 {number}.jpg", ""]
    (root / "sparse/0/images.txt").write_text("\n".join(lines) + "\n")


def test_photographs_without_a_pose_of_colmap(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    to_colmap(write(tmp_path), VIEWS - 2)
    code, said = check(tmp_path, capsys)
    assert code == 0
    assert f"masks: 2 of {VIEWS} photographs have no pose in {tmp_path}/sparse/0, so the training leaves them" in said
    assert "1 finding, which does not stop the training" in said


def test_a_scene_of_colmap_that_leans(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    to_colmap(write(tmp_path), VIEWS, down=40)
    assert "End ns-train with `colmap --orientation-method vertical`" in check(tmp_path, capsys)[1]


def test_poses_that_are_not_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (write(tmp_path) / "transforms.json").unlink()
    assert f"poses were not looked at: {tmp_path} has neither transforms.json nor" in check(tmp_path, capsys)[1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda content: content.pop("fl_x"), "fx not specified in frame"),
        (
            lambda content: content["frames"][0].update(mask_path="images/0.jpg"),
            "mask filenames",
        ),
        (lambda content: [f.update(transform_matrix=np.eye(4).tolist()) for f in content["frames"]], "in one place"),
    ],
    ids=["focal length", "masks", "one place"],
)
def test_what_nerfstudio_cannot_read(tmp_path: Path, change, named: str, capsys: pytest.CaptureFixture) -> None:
    """These passed, and training began with a traceback."""
    file = write(tmp_path) / "transforms.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    code, said = check(tmp_path, capsys)
    assert code == 1 and re.search(rf"masks: WRONG: nerfstudio-data cannot read {tmp_path} .*{named}", said)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"turn": 3}, "turned by 180 degrees"),
        ({"turn": 2}, "flipped left to right"),
        ({"turn": 8, "size": (80, 80)}, "turned by 90 degrees counterclockwise"),
        ({"shift": 1}, "taken from the view before"),
    ],
)
def test_masks_that_fit_otherwise(tmp_path: Path, options: dict, named: str, capsys: pytest.CaptureFixture) -> None:
    """The remedy is the inverse of what was done: masks of the view after belong to the view before."""
    code, said = check(write(tmp_path, **options), capsys)
    assert code == 1 and f"WRONG: the masks fit the photographs better when they are {named}" in said
    remedy = "give each photograph its own masks" if "shift" in options else "from the stored photographs"
    assert remedy in said


def test_faults_of_files_and_poses(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write(tmp_path)
    edit_transforms(root, transform_matrix=np.eye(4).tolist())
    (root / "images/3.jpg").write_bytes((root / "images/2.jpg").read_bytes())
    store = MaskStore(root / "masks/m")
    twice = store.load("4").annotations[:1] * 2
    store.save("4", ImageMasks(72, 96, twice))
    store.save("stranger", ImageMasks(72, 96, ()))
    (root / "masks/m/5.json").unlink()
    code, said = check(root, capsys)
    assert code == 0
    for text in (
        "the poses of 0, 1 are the same", "photographs 2, 3 are the same file", "1 views have the same mask", "4;",
        "1 files of masks in", "stranger", "1 of 6 photographs have no masks",
    ):  # fmt: skip
        assert text in said

    edit_transforms(root, transform_matrix=np.full((4, 4), np.nan).tolist(), w=10, h=10)
    store.save("2", ImageMasks(96, 72, ()))
    (root / "images/0.jpg").write_bytes(b"no image")
    code, said = check(root, capsys)
    assert code == 1
    for text in (
        "1 poses are no finite",
        "1 is 96 x 72, not 10 x 10",
        "2 is 72 x 96, not 96 x 72",
        "1 photographs cannot",
    ):
        assert text in said


def test_poses_of_photographs_whose_names_have_dots(tmp_path: Path) -> None:
    """A frame `frame.0001` is the file frame.0001.png; it was taken for one with the suffix .0001 and left out."""
    Image.new("RGB", (8, 6)).save(tmp_path / "frame.0001.png")
    frames = [{"file_path": "frame.0001", "transform_matrix": [[math.nan] * 4] * 4}]
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": frames}))
    [finding] = look_at_transforms(tmp_path, {}, find_images(tmp_path))
    assert finding.wrong and "1 poses are no finite 4 x 4 matrices: frame.0001" in finding.text

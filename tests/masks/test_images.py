"""Photographs of datasets: which files they are, and the key that nerfstudio's file names lead to as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.masks.images import find_images
from disconerf_ns.masks.keys import image_key
from disconerf_ns.masks.store import MaskStore

POSE = np.eye(4).tolist()
PINHOLE = {"fl_x": 8.0, "fl_y": 8.0, "cx": 4.0, "cy": 3.0, "w": 8, "h": 6}


def pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(root / name, format="PNG")


def transforms(path: Path, names: list[str], **entries: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [{"file_path": name, "transform_matrix": POSE, "time": 0.0} for name in names]
    path.write_text(json.dumps({**PINHOLE, "camera_angle_x": 1.0, "frames": frames, **entries}))
    return path


def nerfstudio_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    pictures(root, "images/a b.PNG", "rgb/1.2", "../photos/left/1.png", "../photos/right/1.png")
    names = ["images/a b.PNG", "rgb/1.2", "../photos/left/1.png", "../photos/right/1.png"]
    transforms(root / "transforms.json", names, train_filenames=names, test_filenames=names[:1])
    return NerfstudioDataParserConfig(downscale_factor=1, auto_scale_poses=False)


def instant_ngp_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig

    names = ["./images/1.0", "./images/1.1", "images/2.png", "../photos/3"]
    pictures(root, "images/1.0.png", "images/1.1.png", "images/2.png", "../photos/3.png")
    transforms(root / "transforms.json", names, aabb_scale=1)
    return InstantNGPDataParserConfig(eval_mode="all")


def split_names(root: Path) -> None:
    for split in ("train", "val", "test"):
        pictures(root, f"{split}/r.0.png", f"{split}/r.1.png", f"../{split}/far.png", f"{split}/r.0_depth_0001.png")
        names = [f"./{split}/r.0", f"{split}/r.1", f"{root.parent}/{split}/far"]
        transforms(root / f"transforms_{split}.json", names)


def blender_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

    split_names(root)
    return BlenderDataParserConfig()


def dnerf_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.dnerf_dataparser import DNeRFDataParserConfig

    split_names(root)
    return DNeRFDataParserConfig()


def sdfstudio_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.sdfstudio_dataparser import SDFStudioDataParserConfig

    pictures(root, "000_rgb.png", "001_rgb.png", "000_depth.png", "000_normal.png")
    frames = [{"rgb_path": f"00{i}_rgb.png", "camtoworld": POSE, "intrinsics": POSE} for i in (0, 1)]
    box = {"scene_box": {"aabb": [[-1, -1, -1], [1, 1, 1]]}, "height": 6, "width": 8}
    (root / "meta_data.json").write_text(json.dumps({**box, "frames": frames}))
    return SDFStudioDataParserConfig(skip_every_for_val_split=1)


def scannet_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.scannet_dataparser import ScanNetDataParserConfig

    pictures(root, "color/0.jpg", "color/1.jpg", "depth/0.png", "depth/1.png")
    for name, matrix in (("pose/0", np.eye(4)), ("pose/1", 2 * np.eye(4)), ("intrinsic/intrinsic_color", np.eye(4))):
        matrix[:3, 3] = len(name) % 2, 1, 0
        (root / name).parent.mkdir(exist_ok=True)
        np.savetxt(root / f"{name}.txt", matrix)
    return ScanNetDataParserConfig(load_3D_points=False, center_method="none")


def colmap_data(root: Path) -> Any:
    from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig

    pictures(root, "input/a/1.png", "input/b/1.png")
    (root / "sparse").mkdir()
    (root / "sparse/cameras.txt").write_text("1 PINHOLE 8 6 8 8 4 3\n")
    poses = (f"{i} 1 0 0 0 {i} 0 {i} 1 {name}\n\n" for i, name in ((1, "a/1.png"), (2, "b/1.png")))
    (root / "sparse/images.txt").write_text("".join(poses))
    (root / "sparse/points3D.txt").write_text("")
    return ColmapDataParserConfig(
        images_path=Path("input"),
        colmap_path=Path("sparse"),
        load_3D_points=False,
        downscale_factor=1,
        eval_mode="all",
    )


@pytest.mark.parametrize(
    "make",
    [nerfstudio_data, instant_ngp_data, blender_data, dnerf_data, sdfstudio_data, scannet_data, colmap_data],
    ids=lambda make: make.__name__,
)
def test_keys_are_those_of_the_dataparsers_images(tmp_path: Path, make: Any) -> None:
    root = tmp_path / "data"
    root.mkdir()
    config = make(root)
    config.data = root
    parser = config.setup()
    names = [Path(name) for name in parser.get_dataparser_outputs(split="train").image_filenames]
    if make is scannet_data:
        names += [Path(name) for name in parser.get_dataparser_outputs(split="test").image_filenames]
    trained = {image_key(name, root): name.resolve() for name in names}
    assert len(trained) == len(names)
    assert {key: path.resolve() for key, path in find_images(root).items()} == trained


def test_photographs_outside_of_the_dataset(tmp_path: Path) -> None:
    """Keys are relative to the folder with all photographs; a set of an older version, with bare names, still fits."""
    root = tmp_path / "scene/poses"
    sides = ["../photos/left/0.png", "../photos/right/1.png"]
    pictures(root, *sides)
    for data in (root, transforms(root / "transforms.json", sides)):
        assert list(find_images(data)) == ["left/0", "right/1"]
    assert image_key(root / "images_2/0.png", root) == "0", "a smaller copy that nerfstudio makes"
    assert image_key(tmp_path / "elsewhere/0.png", root) == "0"
    for key in ("0", "1"):
        (tmp_path / f"set/{key}.json").parent.mkdir(exist_ok=True)
        (tmp_path / f"set/{key}.json").write_text("{}")
    assert MaskStore(tmp_path / "set").files_for(find_images(root)) == {"left/0": "0", "right/1": "1"}
    transforms(root / "transforms.json", ["../photos/left/0.png"])
    assert list(find_images(root)) == ["0"], "the list has changed"


def test_photographs_within_and_outside_of_the_dataset(tmp_path: Path) -> None:
    root = tmp_path / "data"
    names = ["images/0.png", "../photos/0.png"]
    pictures(root, *names)
    transforms(root / "transforms.json", names)
    assert list(find_images(root)) == ["0", "photos/0"]


def test_masks_of_another_size_of_the_images(tmp_path: Path) -> None:
    (tmp_path / "input/a").mkdir(parents=True)
    (tmp_path / "input/a/1.json").write_text("{}")
    assert MaskStore(tmp_path).files_for(["input_2/a/1", "input_2/a/2"]) == {"input_2/a/1": "input/a/1"}


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (b"\xef\xbb\xbf%s", ["begins with a byte order mark (save it as UTF-8 without BOM)"]),
        ('{"frames": [{"file_path": "images\\\\1.png"}]}'.encode("utf-16"), ["UTF-16", "has backslashes (write /)"]),
        (
            b'\xef\xbb\xbf{"frames": [{"file_path": "images\\\\1.png"}]}\r\n',
            ["byte order mark", r"'images\\1.png' has backslashes (write /)"],
        ),
        (b'{"frames": [{"file_path": "C:/x/1.png"}]}', ["'C:/x/1.png' names a drive of Windows"]),
    ],
)
def test_transforms_from_windows(tmp_path: Path, content: bytes, reasons: list[str]) -> None:
    path = transforms(tmp_path / "transforms.json", ["images/1.png"])
    path.write_bytes(content.replace(b"%s", path.read_bytes()))
    with pytest.raises(UserError, match=r"^data: nerfstudio cannot read .*transforms\.json: ") as error:
        find_images(tmp_path)
    assert all(reason in str(error.value) for reason in reasons)


def test_crlf_and_a_backslash_that_is_there_are_fine(tmp_path: Path) -> None:
    pictures(tmp_path, "a\\1.png")
    path = transforms(tmp_path / "transforms.json", ["a\\1.png"])
    path.write_bytes(path.read_bytes() + b"\r\n")
    assert list(find_images(tmp_path)) == ["a\\1"]


@pytest.mark.parametrize("name", ["input", "RGB", "color", "frames", "input_2"])
def test_the_only_folder_of_photographs(tmp_path: Path, name: str, capsys: pytest.CaptureFixture) -> None:
    pictures(tmp_path, f"{name}/1.JPG", "depth/1.png", "masks/x/1.png")
    assert list(find_images(tmp_path)) == [f"{name}/1"]
    assert capsys.readouterr().out == f"masks: taking the images in {tmp_path / name}.\n"


def test_a_smaller_copy_is_no_second_folder(tmp_path: Path) -> None:
    pictures(tmp_path, "input/1.png", "input_2/1.png")
    assert list(find_images(tmp_path)) == ["input/1"]


def test_several_folders_of_photographs(tmp_path: Path) -> None:
    pictures(tmp_path, "input/1.png", "rgb/1.png")
    with pytest.raises(UserError, match=r"may be those in .*/input or .*/rgb; name the folder with --images"):
        find_images(tmp_path)
    assert list(find_images(tmp_path, Path("rgb"))) == ["rgb/1"]


def test_folders_that_hold_images_are_listed(tmp_path: Path) -> None:
    pictures(tmp_path, "left/1.png", "right/1.png")
    with pytest.raises(UserError, match=r"--images\. Folders in .* that hold images: left, right\."):
        find_images(tmp_path)


def test_depth_and_normals_are_no_photographs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pictures(
        tmp_path,
        "0_rgb.png",
        "0_depth.png",
        "0_normal.png",
        "r_1.png",
        "r_1_depth_0001.png",
        "my_depth.png",
        "r_1_cp_masks.png",
    )
    (tmp_path / "meta_data.json").write_text('{"of another program": 1}')
    assert list(find_images(tmp_path)) == ["0_rgb", "my_depth", "r_1"]
    assert "4 images, such as " in capsys.readouterr().out


def test_an_entry_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    """nerfstudio takes the last list of photographs, so half of a capture can be lost without a word."""
    (tmp_path / "transforms.json").write_text('{"frames": [{"file_path": "1.png"}], "frames": []}')
    with pytest.raises(
        UserError, match=r"transforms\.json is not a nerfstudio transforms file \(it has 'frames' twice"
    ):
        find_images(tmp_path)

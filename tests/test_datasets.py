"""Every kind of dataset that nerfstudio's users have goes through both stages."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from exif import photograph, shown
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig
from nerfstudio.data.utils import colmap_parsing_utils as colmap
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image
from scene import camera_pose, cast, write_scene
from tiny_run import Run, tiny_config, train

from disconerf_ns.cli import main
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.errors import UserError
from disconerf_ns.masks import images as photographs
from disconerf_ns.masks.image_masks import ImageMasks, resample
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.runs import config_of_ours


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "balls", views=6, width=32, height=24)


def rewrite(data: Path, **changes) -> None:
    path = data / "transforms.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def finish(config) -> None:
    pipeline = train(config).pipeline
    assert (config.get_base_dir() / "objects.json").exists()
    assert len(pipeline.object_stage.surfaces) == len(pipeline.datamanager.train_dataset)


def test_lens_distortion_keeps_masks_and_rays_together(data: Path, tmp_path: Path) -> None:
    rewrite(data, k1=0.1, k2=-0.05, p1=0.01, p2=0.0)
    config = tiny_config(data, tmp_path / "out", iterations=3)
    config.pipeline.datamanager.view_pixels = 10**6
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    datamanager = trainer.pipeline.datamanager
    ours = datamanager.view_rays(2)
    theirs = datamanager.train_dataset.cameras.generate_rays(2, keep_shape=True).flatten()
    assert torch.allclose(ours.directions, theirs.directions, atol=1e-5) and torch.equal(ours.origins, theirs.origins)
    finish(config)


def test_cameras_of_two_sizes(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "transforms.json").read_text())
    for number, frame in enumerate(content["frames"]):
        scale = 2 if number % 2 else 1
        width, height = 32 * scale, 24 * scale
        image, _ = cast(np.array(frame["transform_matrix"]), width, height, 0.9 * width)
        Image.fromarray(image).save(data / frame["file_path"])
        frame.update(w=width, h=height, fl_x=0.9 * width, fl_y=0.9 * width, cx=width / 2, cy=height / 2)
    shared = {key: value for key, value in content.items() if key not in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
    (data / "transforms.json").write_text(json.dumps(shared))
    config = tiny_config(data, tmp_path / "out", iterations=8)
    config.pipeline.datamanager.view_pixels = 24 * 32
    finish(config)
    assert config_of_ours(config.get_base_dir() / "config.yml").method_name == config.method_name, (
        "no command opened it"
    )


@pytest.mark.parametrize("held_out", [1, 2])
def test_instant_ngp_data(data: Path, tmp_path: Path, held_out: int) -> None:
    """The camera of a single held-out view is no list of one there, as in any dataset of up to 19 photographs."""
    content = json.loads((data / "transforms.json").read_text())
    angle = 2 * math.atan(content["w"] / 2 / content["fl_x"])
    kept = {name: content[name] for name in ("w", "h", "frames")}
    (data / "transforms.json").write_text(json.dumps({**kept, "camera_angle_x": angle, "aabb_scale": 1}))
    config = tiny_config(data, tmp_path / "out", iterations=3)
    config.pipeline.datamanager.dataparser = InstantNGPDataParserConfig(
        data=data, eval_mode="fraction", train_split_fraction=1 - held_out / 6
    )
    finish(config)
    manager = config.pipeline.datamanager.setup(device="cpu", test_mode="inference")
    assert manager.eval_dataset.cameras.shape == (held_out,)


def test_photos_that_memory_has_no_room_for_take_turns(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiscoNerfDataManager, "_fits_in_bytes", lambda self: False)
    config = tiny_config(data, tmp_path / "out", iterations=3)
    pixels = 32 * 24
    config.pipeline.datamanager.image_memory_gb = (3 * pixels * 36 + 1) / 2**30
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    datamanager = trainer.pipeline.datamanager
    assert len(datamanager.next_train(0)[1]["image"]) == 256
    held = datamanager.train_image_dataloader.cached_collated_batch["image"]
    assert held.shape == (3, 24, 32, 3) and held.nbytes * 3 <= config.pipeline.datamanager.image_memory_gb * 2**30
    assert config.pipeline.datamanager.train_num_times_to_repeat_images == 1000
    finish(config)


def test_pixels_outside_nerfstudios_mask_take_part_in_no_loss(data: Path, tmp_path: Path) -> None:
    (data / "ignore").mkdir()
    left = np.zeros((24, 32), np.uint8)
    left[:, :16] = 255
    Image.fromarray(left).save(data / "ignore" / "left.png")
    frames = json.loads((data / "transforms.json").read_text())["frames"]
    rewrite(data, frames=[{**frame, "mask_path": "ignore/left.png"} for frame in frames])
    config = tiny_config(data, tmp_path / "out", iterations=3)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    datamanager = trainer.pipeline.datamanager
    valid = datamanager.view_masks(0).valid.view(datamanager.view_size(0))
    assert valid[:, : valid.shape[1] // 2].all() and not valid[:, valid.shape[1] // 2 + 1 :].any()
    finish(config)


def test_poses_that_are_learned_and_a_background_mask(data: Path, tmp_path: Path) -> None:
    config = tiny_config(data, tmp_path / "out", iterations=3)
    config.pipeline.model.camera_optimizer = CameraOptimizerConfig(mode="SO3xR3")
    config.pipeline.model.eval_num_rays_per_chunk = 431  # leaves a chunk of one ray
    config.pipeline.datamanager.background_mask = True
    finish(config)


def test_no_held_out_views(data: Path, tmp_path: Path) -> None:
    names = [frame["file_path"] for frame in json.loads((data / "transforms.json").read_text())["frames"]]
    rewrite(data, train_filenames=names, val_filenames=[], test_filenames=[])
    config = tiny_config(data, tmp_path / "out", iterations=3)
    finish(config)
    with pytest.raises(UserError, match=r"balls holds no view out; keep some out with the dataparser's split options"):
        eval_setup(config.get_base_dir() / "config.yml")[1].get_average_eval_image_metrics()


def test_blender_data_with_alpha(tmp_path: Path) -> None:
    folder, store = tmp_path / "blender", MaskStore.create(tmp_path / "blender" / "masks" / "exact", {})
    for split, count in (("train", 5), ("val", 1), ("test", 1)):
        (folder / split).mkdir(parents=True)
        frames = []
        for view in range(count):
            pose = camera_pose(2 * math.pi * view / count, 0.6, 2.2)
            image, labels = cast(pose, 32, 24, 0.9 * 32)
            alpha = ((labels > 0) * 255).astype(np.uint8)
            Image.fromarray(np.dstack([image, alpha])).save(folder / split / f"r_{view}.png")
            frames.append({"file_path": f"./{split}/r_{view}", "transform_matrix": pose.tolist()})
            store.save(f"{split}/r_{view}", ImageMasks.from_arrays(np.stack([labels == n for n in range(1, 5)])))
        angle = 2 * math.atan(0.5 / 0.9)
        (folder / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    config = tiny_config(folder, tmp_path / "out", iterations=3)
    config.pipeline.datamanager.dataparser = BlenderDataParserConfig(data=folder)
    config.pipeline.model.background_color = "white"
    finish(config)


def test_colmap_with_downscaled_images(data: Path, tmp_path: Path) -> None:
    frames = json.loads((data / "transforms.json").read_text())["frames"]
    model = tmp_path / "balls" / "colmap" / "sparse" / "0"
    model.mkdir(parents=True)
    (data / "images_2").mkdir()
    images = {}
    for number, frame in enumerate(frames, 1):
        name = Path(frame["file_path"]).name
        Image.open(data / "images" / name).resize((16, 12)).save(data / "images_2" / name)
        world = np.linalg.inv(np.array(frame["transform_matrix"]) @ np.diag([1.0, -1, -1, 1]))
        rotation, none = colmap.rotmat2qvec(world[:3, :3]), np.zeros((0, 2))
        images[number] = colmap.Image(number, rotation, world[:3, 3], 1, name, none, np.zeros(0, int))
    camera = colmap.Camera(1, "PINHOLE", 32, 24, np.array([28.8, 28.8, 16.0, 12.0]))
    colmap.write_cameras_binary({1: camera}, model / "cameras.bin")
    colmap.write_images_binary(images, model / "images.bin")
    colmap.write_points3D_binary({}, model / "points3D.bin")
    config = tiny_config(data, tmp_path / "out", iterations=3)
    config.pipeline.datamanager.dataparser = ColmapDataParserConfig(data=data, downscale_factor=2, load_3D_points=False)
    finish(config)


# ------------------------------------------------- masks and photographs, pixel by pixel


WIDTH, HEIGHT, RADIUS = 48, 36, 15.0
GREY = 50
"""A photograph's grey is so many times the label."""


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    """A scene whose photographs are painted flat by their labels, so that every true mask is all of one grey."""
    data = write_scene(tmp_path / "balls", views=6, width=WIDTH, height=HEIGHT, masks=False)
    for path in (data / "labels").iterdir():
        picture = np.repeat((GREY * np.array(Image.open(path)))[..., None], 3, -1).astype(np.uint8)
        Image.fromarray(picture).save(data / "images" / path.name)
    return data


def with_orientation(data: Path, orientation: int) -> None:
    """The photographs say an EXIF orientation, and their labels are drawn on the upright picture."""
    for path in (data / "images").iterdir():
        labels = np.array(Image.open(data / "labels" / path.name)).astype(np.uint8)
        photograph(path, np.array(Image.open(path)), orientation)
        Image.fromarray(shown(labels, orientation)).save(data / "labels" / path.name)


def oriented(value: int):
    """A change of the photographs: an EXIF orientation, for which labels are drawn on the upright picture."""

    def change(data: Path) -> None:
        with_orientation(data, value)

    return change


def camera(model: str, **distortion: float):
    """A change of the camera model."""

    def change(data: Path) -> None:
        rewrite(data, camera_model=model, **distortion)

    return change


def with_smaller_copies(data: Path) -> None:
    (data / "images_2").mkdir()
    for path in (data / "images").iterdir():
        Image.open(path).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST).save(data / "images_2" / path.name)


def fisheye(data: Path) -> None:
    rewrite(data, camera_model="OPENCV_FISHEYE", k1=0.01, k2=0.002, k3=0.0, k4=0.0, fisheye_crop_radius=RADIUS)


def outside(data: Path) -> None:
    """Photographs in two folders beside the dataset's, with the same names in both."""
    content = json.loads((data / "transforms.json").read_text())
    moved = {}
    for number, frame in enumerate(content["frames"]):
        name = f"{('left', 'right')[number % 2]}/{number // 2}.png"
        for source, target in (("images", data.parent / "photos"), ("labels", data / "labels")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (data / source / Path(frame["file_path"]).name).rename(target / name)
        moved[frame["file_path"]] = frame["file_path"] = f"../photos/{name}"
    splits = ("train_filenames", "val_filenames", "test_filenames")
    content |= {split: [moved[name] for name in content[split]] for split in splits}
    (data / "transforms.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "downscale", "view_pixels"),
    [
        *((oriented(value), 1, 10**6) for value in range(2, 9)),
        (oriented(6), 1, 500),
        (camera("OPENCV", k1=0.05, k2=0.01, p1=0.001, p2=0.001), 1, 10**6),
        (camera("EQUIRECTANGULAR"), 1, 10**6),
        (camera("ORTHOPHOTO"), 1, 10**6),
        (with_smaller_copies, 2, 10**6),
        (fisheye, 1, 10**6),
        (outside, 1, 10**6),
    ],
)
def test_every_mask_is_all_of_one_grey(painted: Path, change, downscale: int, view_pixels: int) -> None:
    """Labels are converted, and the data manager's masks laid on nerfstudio's pixels: none is turned or shifted."""
    change(painted)
    assert main(["masks", "ground-truth", "--data", str(painted)]) == 0
    config = tiny_config(painted, painted / "out").pipeline.datamanager
    config.view_pixels, config.dataparser.downscale_factor = view_pixels, downscale
    datamanager = config.setup(device="cpu", test_mode="val")
    for view in range(len(datamanager.train_dataset)):
        image = datamanager.train_dataset[view]["image"][..., 0].numpy()
        labels = (resample(image, *datamanager.view_size(view)).ravel() * 255 / GREY).round().astype(int)
        masks = datamanager.view_masks(view)
        valid = masks.valid.numpy()
        assert valid.any() and valid.all() == (change is not fisheye)
        seen = [mask[valid].astype(bool) for mask in masks.unpack().numpy().T]
        expected = [labels[valid] == label for label in range(1, 5)]
        assert {mask.tobytes() for mask in seen if mask.any()} == {mask.tobytes() for mask in expected if mask.any()}


def test_each_photographs_header_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode and its size were read apart, and every file was opened twice before a training began."""
    opened: list[Path] = []

    def counted(path: Path):
        opened.append(path)
        return read(path)

    data, read = run.trainer.pipeline.datamanager, photographs.picture
    monkeypatch.setattr(photographs, "picture", counted)
    data._check_photos()
    assert sorted(opened) == sorted({*data.train_dataset.image_filenames, *data.eval_dataset.image_filenames})

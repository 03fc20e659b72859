"""nerfstudio's own commands on a finished run: what they write is looked into, not only that they end."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from ctypes.util import find_library
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from helpers import alike, assert_close, edit_scene, needs_system_package
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender, RenderCameraPath, RenderInterpolated, SpiralRender
from nerfstudio.utils import colormaps
from nerfstudio.utils.eval_utils import eval_setup
from scene import camera_pose, write_scene
from tiny_run import Run

from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.errors import UserError
from disconerf_ns.rendering.labels import label_pixels
from disconerf_ns.runs import objects_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.ownership import Ownership


def read_video(path: Path) -> np.ndarray:
    """Frames of a video, (T, H, W, 3) uint8."""
    frames = imageio_ffmpeg.read_frames(str(path))
    width, height = next(frames)["source_size"]
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames])


@pytest.fixture
def objects(run: Run) -> list[str]:
    return [o.name for o in objects_of(run.config)]


@pytest.fixture(scope="module")
def pipeline(run: Run):
    _, pipeline, _, _ = eval_setup(run.config, test_mode="test")
    return pipeline


def test_loaded_model_is_the_trained_one(run: Run, pipeline) -> None:
    ours, theirs = pipeline.model.state_dict(), run.trainer.pipeline.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key].cpu(), theirs[key].cpu()) for key in ours)


def test_every_output_goes_through_nerfstudios_colormap(pipeline) -> None:
    camera = pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device)
    outputs = pipeline.model.get_outputs_for_camera(camera)
    assert {"rgb", "accumulation", "depth", "objects", "objects_overlay", "confidence", "edited"} <= set(outputs.keys())
    for name in outputs.keys():
        image = outputs[name]
        assert image.shape[:2] == (36, 48) and image.dtype == torch.float32 and image.shape[-1] in (1, 3), name
        assert torch.isfinite(image).all(), name
        if "depth" not in name:
            assert image.min() >= 0 and image.max() <= 1 + 1e-5, name
        assert colormaps.apply_colormap(image).shape == (36, 48, 3)


def test_nothing_is_computed_before_it_is_read(pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    from disconerf_ns.rendering import alone
    from disconerf_ns.rendering import rays as tracing

    calls = []
    for module, name in ((tracing, "render_scene"), (alone, "render_object")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _n=name, _f=original: calls.append(_n) or _f(*a))
    outputs = pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device))
    assert "object_00" in outputs and len(list(outputs.keys())) > 7 and not calls
    outputs["object_00"], outputs["object_00_mask"]
    assert calls == ["render_object"]
    outputs["rgb"], outputs["objects"], outputs["confidence"]
    assert calls.count("render_scene") == 1


def test_an_object_alone_is_as_opaque_as_where_the_scene_shows_it(pipeline, objects: list[str]) -> None:
    """Taking the rest away can only let more light from the object through."""
    camera = pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device)
    outputs, seen_objects = pipeline.model.get_outputs_for_camera(camera), 0
    for number, name in enumerate(objects, 1):
        seen = (outputs["label"][..., 0] == number) & (outputs["confidence"][..., 0] > 0.8)
        if seen.sum() > 20:
            shown = outputs["accumulation"][..., 0][seen].mean()
            assert outputs[f"{name}_mask"][..., 0][seen].mean() > 0.85 * shown
            seen_objects += 1
    assert seen_objects >= 3


def test_an_object_owns_nothing_outside_of_its_reach(pipeline) -> None:
    trained = pipeline.model.current.value.trained
    places = trained.contraction(torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.9, 0.0]]))
    small, large = ((-0.1,) * 3, (0.1,) * 3), ((-0.1,) * 3, (0.6,) * 3)
    second = trained.discovered[1]
    boxed = tuple(replace(each, **alike(large if each is second else small)) for each in trained.discovered)
    nodes = tuple(each.node for each in boxed)
    owned = Ownership(replace(trained, discovered=boxed), nodes)(places)
    factor = torch.full((3, len(boxed)), 1e-6)
    factor[0], factor[1, 1] = 1.0, 1.0
    seen = trained.seen_voxels(places)[:, nodes].float().clamp(min=1e-6)
    assert_close(owned, (trained.object_field(places)[:, nodes] + 1e-9) * factor * seen)


def test_an_object_owns_what_the_masks_saw_around_there(pipeline) -> None:
    trained = pipeline.model.current.value.trained
    points = torch.tensor([[0.4, 0.5, 0.5], [0.6, 0.5, 0.5]])
    nodes = tuple(range(trained.slots))
    free = Ownership(replace(trained, agreed_points=None, agreed_slots=None), nodes)(points)
    owned = Ownership(replace(trained, agreed_points=points, agreed_slots=torch.tensor([0, 1])), nodes)(points)
    factor = torch.full_like(free, 1e-6)
    factor[0, 0] = factor[1, 1] = 1.0
    assert_close(owned, free * factor)


def test_confidence_is_the_share_of_the_largest_among_those_who_may_own_a_pixel(pipeline) -> None:
    scene = pipeline.model.current.value
    points, opacity = torch.rand(64, 1, 3) * 0.5 + 0.25, torch.linspace(0.1, 1, 64)
    weights = scene.probabilities(points[:, 0])
    shown = label_pixels(scene, points, opacity).confidence
    expected = weights.max(-1).values * opacity / (weights.sum(-1) * opacity).clamp(min=1e-5) * opacity
    expected[weights.argmax(-1) == scene.trained.tree.rest] = 0
    assert_close(shown, expected)


def test_edit_hides_and_recolours(pipeline) -> None:
    model, plain = pipeline.model, pipeline.model.current.value
    camera = pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device)
    first = plain.objects[0]
    before = model.get_outputs_for_camera(camera)
    seen = (before["label"][..., 0] == 1) & (before["confidence"][..., 0] > 0.9)
    assert torch.equal(before["edited"], before["rgb"])
    try:
        edit_scene(model, Edit().recolor(first.id, (1.0, 0.0, 0.0)))
        red = model.get_outputs_for_camera(camera)["edited"][seen].mean(0)
        assert red[0] > 2 * red[1] and red[0] > 2 * red[2]
        edit_scene(model, Edit().hide(first.id))
        gone = model.get_outputs_for_camera(camera)
        assert (gone["edited"] - before["rgb"])[seen].abs().mean() > 0.05
        assert torch.equal(gone["label"], before["label"]), "true labels are compared with the discovered objects"
    finally:
        model.current.replace(lambda _: plain)


def test_eval(run: Run, tmp_path: Path) -> None:
    ComputePSNR(run.config, tmp_path / "eval.json", render_output_path=tmp_path / "images").main()
    results = json.loads((tmp_path / "eval.json").read_text())["results"]
    assert results["psnr"] > 12 and "lpips" not in results
    assert len(list((tmp_path / "images").glob("eval_objects_*.png"))) == 2


def test_render_interpolate_films_an_object(run: Run, objects: list[str], tmp_path: Path) -> None:
    RenderInterpolated(
        run.config, tmp_path / "v.mp4", rendered_output_names=[objects[0], "objects"], interpolation_steps=2
    ).main()
    video = read_video(tmp_path / "v.mp4")
    assert video.shape == (2, 36, 96, 3)
    assert video[:, :, 48:].std() > 5


def test_render_camera_path(run: Run, tmp_path: Path) -> None:
    pose = camera_pose(0.3, 0.6, 0.9)
    key = {"camera_to_world": pose.flatten().tolist(), "fov": 60.0, "aspect": 1.5}
    path = {
        "camera_type": "perspective",
        "render_height": 16,
        "render_width": 24,
        "fps": 2,
        "seconds": 1.0,
        "camera_path": [key, key],
    }
    (tmp_path / "path.json").write_text(json.dumps(path))
    RenderCameraPath(
        run.config,
        tmp_path / "frames",
        rendered_output_names=["object_01", "depth", "confidence"],
        camera_path_filename=tmp_path / "path.json",
        output_format="images",
    ).main()
    assert len(list((tmp_path / "frames").glob("*.jpg"))) == 2


def test_render_spiral(run: Run, tmp_path: Path) -> None:
    SpiralRender(
        run.config, tmp_path / "s.mp4", rendered_output_names=["objects_overlay"], seconds=0.2, frame_rate=10
    ).main()
    assert len(read_video(tmp_path / "s.mp4")) == 2


def test_render_dataset_by_default_renders_every_output(run: Run, objects: list[str], tmp_path: Path) -> None:
    DatasetRender(run.config, tmp_path / "all").main()
    written = {folder.name for folder in (tmp_path / "all" / "test").iterdir()}
    of_objects = {f"{name}{end}" for name in objects for end in ("", "_mask", "_depth")}
    assert {"rgb", "gt-rgb", "depth", "objects", "confidence", *of_objects} <= written
    assert all(len(list(folder.iterdir())) == 2 for folder in (tmp_path / "all" / "test").iterdir())


@pytest.mark.parametrize("split", ["test", "val", "train+test"])
def test_render_dataset_says_that_no_view_is_held_out(run: Run, tmp_path: Path, split) -> None:
    """It ended in nerfstudio's traceback: commonpath() arg is an empty sequence."""
    data = write_scene(tmp_path / "data")
    file = data / "transforms.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"val_filenames": [], "test_filenames": []}))
    with pytest.raises(UserError, match="data holds no view out, so there is nothing to render; .* --split train"):
        DatasetRender(run.config, tmp_path / "all", data=data, split=split).main()
    assert not (tmp_path / "all").exists()
    assert DiscoNerfDataManager.setup_train.__name__ == "setup_train", "nerfstudio brings it not back after errors"


def test_render_dataset_gives_the_depth_of_an_object(run: Run, pipeline, tmp_path: Path) -> None:
    """nerfstudio looks for the name among those that are listed, in this command alone."""
    names = ["object_00_depth", "raw-object_00_depth"]
    DatasetRender(run.config, tmp_path, rendered_output_names=names, image_format="png").main()
    camera = pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device)
    depth = pipeline.model.get_outputs_for_camera(camera)["object_00_depth"].cpu()
    with gzip.open(tmp_path / "test/raw-object_00_depth/0004.npy.gz") as file:
        raw = torch.from_numpy(np.load(file))
    assert_close(raw * pipeline.datamanager.train_dataparser_outputs.dataparser_scale, depth)
    assert len(list((tmp_path / "test/object_00_depth").glob("*.png"))) == 2


def test_export_pointcloud_of_an_object(run: Run, tmp_path: Path) -> None:
    for library, package in (("usb-1.0", "libusb-1.0-0"), ("GL", "libgl1"), ("gomp", "libgomp1")):
        needs_system_package(package, find_library(library) is not None)
    from nerfstudio.scripts import exporter

    found = [o for o in objects_of(run.config) if o.share > 0.04][-1]
    for output in ("rgb", found.name):
        depth = "depth" if output == "rgb" else f"{output}_depth"
        exporter.ExportPointCloud(
            run.config,
            tmp_path / output,
            num_points=200,
            normal_method="open3d",
            rgb_output_name=output,
            depth_output_name=depth,
            num_rays_per_batch=1024,
        ).main()
    import open3d

    points = np.asarray(open3d.io.read_point_cloud(str(tmp_path / found.name / "point_cloud.ply")).points)
    low, high = np.array(found.box)
    assert len(points) > 100 and ((points > low - 1e-3) & (points < high + 1e-3)).all(-1).mean() > 0.99


def test_rgba_of_an_object_has_its_own_alpha(pipeline) -> None:
    outputs = pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device))
    rgba = pipeline.model.get_rgba_image(outputs, "object_01")
    assert torch.equal(rgba[..., 3:], outputs["object_01_mask"])
    composed = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    solid = rgba[..., 3] > 0.1
    assert (composed - outputs["object_01"])[solid].abs().max() < 1e-3


def test_rgba_of_a_mask_is_white_with_the_mask_as_alpha(pipeline) -> None:
    """It asked for `object_01_mask_mask`."""
    outputs = pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[0:1].to(pipeline.device))
    rgba = pipeline.model.get_rgba_image(outputs, "object_01_mask")
    assert torch.equal(rgba[..., 3:], outputs["object_01_mask"]) and (rgba[..., :3] == 1).all()


@pytest.mark.parametrize("program", [["ns-render", "interpolate", "--rendered-output-names", "object_00"]])
def test_commands_as_a_user_types_them_without_ffmpeg(run: Run, tmp_path: Path, program: list[str]) -> None:
    """In a process of its own, with no network, no GPU and no ffmpeg on the PATH."""
    video = tmp_path / "object.mp4"
    arguments = ["--load-config", str(run.config), "--output-path", str(video), "--interpolation-steps", "2"]
    environment = {
        **os.environ,
        "PATH": "/usr/bin-without-ffmpeg",
        "CUDA_VISIBLE_DEVICES": "",
        "http_proxy": "http://0.0.0.0:1",
    }
    executable = str(Path(sys.executable).parent / program[0])
    subprocess.run([sys.executable, executable, *program[1:], *arguments], env=environment, check=True, timeout=300)
    assert len(read_video(video)) == 2


def test_disconerf_objects_and_render(
    run: Run, opened_run: None, objects: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from disconerf_ns.cli import main

    assert main(["objects", "--load-config", str(run.config)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in objects)
    assert "agree least" in printed and (run.folder / "masks.json").exists()
    arguments = [
        "render",
        "--load-config",
        str(run.config),
        "--output-dir",
        str(tmp_path),
        "--frames",
        "4",
        "--size",
        "16",
    ]
    assert main([*arguments, "--objects", objects[1]]) == 0
    assert read_video(tmp_path / f"{objects[1]}.mp4").shape == (4, 16, 16, 3)
    assert main([*arguments, "--objects", "object_77"]) == 1
    assert "there is no object_77" in capsys.readouterr().err
    (tmp_path / "config.yml").touch()
    assert main(["objects", "--load-config", str(tmp_path / "config.yml")]) == 1
    assert "objects.json" in capsys.readouterr().err

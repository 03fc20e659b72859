"""NaN and infinity anywhere, and options out of range: one sentence each, before anything good is lost."""

from __future__ import annotations

import copy
import json
import math
import shutil
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from film_scene import BALL, CENTRE, hand_made
from nerfstudio.cameras.cameras import Cameras
from tiny_run import Run, tiny_config, train
from torch import Tensor
from torch.testing import assert_close

from disconerf_ns.compat.poses import check_poses
from disconerf_ns.config import check_training_options
from disconerf_ns.discovery.explanation import Explanation, count_explained, explain_all, said_of_explained
from disconerf_ns.discovery.find import find_consensus
from disconerf_ns.errors import UserError
from disconerf_ns.method import disconerf, disconerf_small
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import frame_outputs
from disconerf_ns.scene.edit import Edit
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training import objective
from disconerf_ns.training.finite import check_finite

NAN = math.nan


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_num_iterations", 0),
        ("pipeline.object_iterations", 0),
        ("pipeline.consensus_rays", 0),
        ("pipeline.object_decay", 0.0),
        ("pipeline.radiance_decay", NAN),
        ("pipeline.object_min_share", 1.5),
        ("pipeline.surface_memory_gb", -1.0),
        ("pipeline.first_levels", 0),
        ("pipeline.datamanager.view_pixels", -5),
        ("pipeline.datamanager.views_per_batch", 0),
        ("pipeline.datamanager.rays_per_batch", -1),
        ("pipeline.datamanager.surface_rays", 0),
        ("pipeline.datamanager.mask_memory_gb", math.inf),
        ("pipeline.model.surface_points", 0),
        ("pipeline.model.frozen_samples", (96, 0, 48)),
        ("pipeline.model.tv_mult", NAN),
        ("pipeline.model.tv_cells", 0),
        ("pipeline.model.slots", 0),
        ("pipeline.model.min_confidence", 2.0),
    ],
)
def test_options_of_a_run_are_checked_before_anything_is_loaded(option: str, value: object) -> None:
    """Most were tracebacks after the radiance stage."""
    config = copy.deepcopy(disconerf.config)
    *path, name = option.split(".")
    group = config
    for part in path:
        group = getattr(group, part)
    setattr(group, name, value)
    shown = f"--{option.replace('_', '-')} is {value[1] if isinstance(value, tuple) else value}; it has to be "
    with pytest.raises(UserError, match=shown):
        check_training_options(config)


@pytest.mark.parametrize("method", [disconerf, disconerf_small])
def test_the_methods_own_options_are_in_range(method) -> None:
    check_training_options(method.config)


def cameras(count: int = 3) -> Cameras:
    return Cameras(torch.eye(4)[:3].repeat(count, 1, 1), 10.0, 10.0, 4.0, 4.0, 8, 8)


def test_a_pose_that_is_no_number_is_named(tmp_path: Path) -> None:
    """It trained to the end, with exit code 0 and 14 "objects"."""
    images, broken = [Path(f"images/{number}.png") for number in range(3)], cameras()
    check_poses(broken, images, tmp_path)
    broken.camera_to_worlds[1, 0, 3] = NAN
    with pytest.raises(UserError, match=r"focal length of images/1.png is not finite; mend its entry"):
        check_poses(broken, images, tmp_path)
    broken.camera_to_worlds[:] = NAN  # nerfstudio centred the scene
    frames = [{"file_path": f"images/{number}.png", "transform_matrix": torch.eye(4).tolist()} for number in range(3)]
    frames[2]["transform_matrix"][0][3] = NAN
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": frames}))
    with pytest.raises(UserError, match="images/2.png is not finite"):
        check_poses(broken, images, tmp_path)


def test_the_tensor_is_named() -> None:
    good = {"a": torch.ones(3), "counts": torch.arange(3)}
    check_finite(good, "step 7", "begin again.")
    with pytest.raises(UserError, match=r"^step 7: b and 1 more holds NaN or infinity; begin again.$"):
        check_finite({**good, "b": torch.tensor([1.0, NAN]), "c": torch.tensor(math.inf)}, "step 7", "begin again.")


def test_a_broken_radiance_field_is_not_taken(run: Run, small_scene: Path, tmp_path: Path) -> None:
    (checkpoint,) = (run.folder / "nerfstudio_models").iterdir()
    state = torch.load(checkpoint)
    key = next(name for name in state["pipeline"] if name.startswith("_model.field.") and "weight" in name)
    state["pipeline"][key][0] = NAN
    broken = tmp_path / "nerfstudio_models" / checkpoint.name
    broken.parent.mkdir()
    torch.save(state, broken)
    (tmp_path / "config.yml").write_bytes(run.config.read_bytes())
    config = tiny_config(small_scene, tmp_path / "out", iterations=6)
    config.pipeline.radiance_field = broken
    with pytest.raises(UserError, match=rf"radiance field: .*{checkpoint.name}: .*field.* holds NaN"):
        train(config)
    resumed = tiny_config(small_scene, tmp_path / "resumed", iterations=500)
    resumed.load_dir = broken.parent
    with pytest.raises(UserError, match=r"The checkpoint: field\..* holds NaN or infinity; take an earlier one"):
        train(resumed)


def test_a_run_that_learns_nan_stops_at_its_last_good_checkpoint(
    small_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(small_scene, tmp_path, iterations=12)
    config.steps_per_save, config.logging.steps_per_log = 2, 1
    after, steps = DiscoNerfPipeline.after_step, []

    def after_step(self, metrics) -> None:
        after(self, metrics)
        steps.append(1)
        if len(steps) == 4:
            next(self.model.field.parameters()).data.fill_(NAN)

    monkeypatch.setattr(DiscoNerfPipeline, "after_step", after_step)
    with pytest.raises(UserError, match=r"^step 4: the loss rgb_loss.* holds NaN.*step-000000002.ckpt is kept"):
        train(config)
    assert [path.name for path in config.get_checkpoint_dir().iterdir()] == ["step-000000002.ckpt"]


@pytest.mark.parametrize(
    ("scale", "offset", "normalized"),
    [(1e6, 0.0, True), (1e-6, 0.0, True), (1e6, 0.0, False), (1e-6, 0.0, False), (1.0, 1e5, False)],
)
def test_a_capture_of_any_size_and_place_is_trained(
    small_scene: Path, tmp_path: Path, scale: float, offset: float, normalized: bool
) -> None:
    """Also where no option of nerfstudio's dataparser moves and scales the poses to around the origin."""
    place = shutil.copytree(small_scene, tmp_path / "balls")
    content = json.loads((place / "transforms.json").read_text())
    for frame in content["frames"]:
        for row in frame["transform_matrix"][:3]:
            row[3] = scale * row[3] + offset
    (place / "transforms.json").write_text(json.dumps(content))
    config = tiny_config(place, tmp_path / "out", iterations=3)
    if not normalized:
        parser = config.pipeline.datamanager.dataparser
        parser.auto_scale_poses, parser.center_method, parser.orientation_method = False, "none", "none"
    trainer = train(config)
    largest = float(trainer.pipeline.datamanager.train_dataset.cameras.camera_to_worlds[..., 3].abs().max())
    assert largest == pytest.approx(1.0 if normalized else 2.2 * scale + offset, rel=0.3)
    check_finite(trainer.pipeline.state_dict(), "the run", "")
    assert list(config.get_checkpoint_dir().iterdir())


@pytest.mark.parametrize("edit", [Edit(), Edit().hide(BALL), Edit().recolor(BALL, (0.0, 0.0, 1.0))])
def test_a_camera_inside_an_object_sees_it_and_nothing_else_until_it_is_removed(edit: Edit) -> None:
    scene = hand_made(haze=0.5).with_edit(edit)
    pose = torch.cat([torch.eye(3), CENTRE[:, None]], 1)  # it looks down, onto the floor
    camera = Cameras(pose[None], 8.0, 8.0, 8.0, 8.0, 16, 16)
    frame = Frame.seen_by(scene, camera)
    pictures = frame_outputs(frame)
    for name in ("rgb", "edited", "objects_overlay", "object_00", "object_01", "depth"):
        assert pictures[name].isfinite().all(), name
    assert (frame.labels().id == BALL).all(), "labels are those of the scene that was photographed"
    shows_floor = (pictures["edited"] - 0.5).abs().amax(-1) < 0.02
    assert bool(shows_floor.all()) == (BALL in edit.hidden)


def test_it_is_said_when_hardly_any_mask_is_explained() -> None:
    """Random masks agreed on 16 objects with confidences of 50 to 84 %, while not one mask was explained."""
    views = [
        Explanation(torch.ones(4, 2), torch.tensor([0.9, 0.5, 0.4, 0.0])),
        Explanation(torch.ones(0, 2), torch.ones(0)),
    ]
    assert count_explained(views) == (2, 4)
    assert said_of_explained(2, 4) == "the objects explain 2 of 4 masks."
    assert "1 of 30 masks, hardly any, so the objects are not what the masks show" in said_of_explained(1, 30)


# ---------------------------------------------------------------- masks that say little, and numbers of few digits


def spot(rays: int, index: int) -> Tensor:
    """A mask of one pixel."""
    return torch.arange(rays) == index


ODD_MASKS = {
    "none": lambda view, rays: [],
    "empty": lambda view, rays: [torch.zeros(rays, dtype=torch.bool)],
    "one pixel": lambda view, rays: [spot(rays, 7 * view % rays) for _ in range(2)],
    "everything": lambda view, rays: [torch.ones(rays, dtype=torch.bool)],
    "the same twice": lambda view, rays: [torch.arange(rays) < rays // 2] * 2,
    "some views without": lambda view, rays: [torch.arange(rays) < rays // 2] if view % 2 else [],
    "300 of a view": lambda view, rays: [torch.arange(rays) % 300 == number for number in range(300)],
}


@pytest.mark.parametrize("name", ODD_MASKS)
@pytest.mark.parametrize("views", [1, 6])
def test_odd_masks_are_searched_and_explained(name: str, views: int) -> None:
    generator = torch.Generator().manual_seed(0)
    seen = []
    for view in range(views):
        points = torch.rand(300, 1, 3, generator=generator).repeat(1, 2, 1)
        masks = torch.stack([torch.zeros(300), *ODD_MASKS[name](view, 300)], 1)[:, 1:].float()
        seen.append((SurfaceSamples.pack(points, torch.ones(300)), masks))
    found = find_consensus(seen)
    assert (len(found) > 0) == (views > 1 and name in ("everything", "the same twice", "some views without"))
    for (_, masks), explanation in zip(seen, explain_all(seen, found, 300) if len(found) else ()):
        assert explanation.affinity.shape == (masks.shape[1],)
        assert ((explanation.affinity >= 0) & (explanation.affinity <= 1 + 1e-6)).all()


def test_it_is_asked_once_whether_masks_agree(tmp_path: Path) -> None:
    """Where they agreed on nothing it was asked at every iteration: 3.8 s each in the place of 0.95."""
    stage = MagicMock(surfaces=[1], explanations=None)
    stage.model.config.matching = "scene"
    stage.explain_masks.return_value = []
    for _ in range(3):
        ObjectStage.prepare(stage, tmp_path)
    assert stage.explain_masks.call_count == 1 and stage.explanations == []


def test_mixed_precision_has_the_losses_of_full_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    slots = torch.randn(2, 500, 300, generator=generator).mul(4).softmax(-1)
    masks = (torch.rand(2, 500, 40, generator=generator) < 0.1).float()
    full, mixed = objective.affinity(slots, masks), objective.affinity(slots.bfloat16().float(), masks)
    assert_close(mixed, full, rtol=2**-7, atol=1e-6)

"""A run through both stages: what is learned, what is frozen, what a stop and a resume keep."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from PIL import Image
from tiny_run import Run, tiny_config, train
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.runs import objects_of

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.trainer import DiscoNerfTrainer


def checkpoints(run: Run) -> list[Path]:
    return sorted((run.folder / "nerfstudio_models").glob("*.ckpt"))


def test_the_field_finds_the_balls_and_the_floor(run: Run, scene: Path) -> None:
    import numpy as np

    from disconerf_ns.evaluation.metrics import labels_table, weighted_iou

    pipeline = run.trainer.pipeline
    pipeline.eval()
    predicted, truth = [], []
    dataset = pipeline.datamanager.eval_dataset
    for index, name in enumerate(dataset.image_filenames):
        outputs = pipeline.model.get_outputs_for_camera(dataset.cameras[index : index + 1])
        predicted.append(outputs["label"][..., 0].numpy().astype(int))
        truth.append(np.array(Image.open(scene / "labels" / name.name)).astype(int))
    assert weighted_iou(labels_table(np.stack(predicted), np.stack(truth), ignore=0)) > 0.7


def test_manifest_lists_the_objects_that_the_outputs_show(run: Run) -> None:
    objects = objects_of(run.config)
    assert 3 <= len(objects) <= 8
    assert [o.name for o in objects] == [*(f"object_{i:02d}" for i in range(len(objects) - 1)), "rest"], "the sky"
    assert 0.9 < sum(o.share for o in objects) <= 1.0001
    assert run.trainer.pipeline.model.object_slots.tolist() == [o.id for o in objects]
    assert all(0 < o.confidence <= 1 and o.views > 0 for o in objects)


class Observed(NamedTuple):
    """A run on one thread, and what another run is compared with it by."""

    trainer: DiscoNerfTrainer
    losses: list[float]
    """Of all steps, as the trainer writes them."""
    draws: list[Tensor]
    """What torch's generators and the order of the views were going to draw after the last step."""

    @property
    def checkpoints(self) -> Path:
        return self.trainer.config.get_checkpoint_dir()


def one_thread(config: TrainerConfig) -> Observed:
    """A run without atomic additions on a CPU: gradients are added up in one order."""
    from nerfstudio.utils import writer

    losses, put = [], writer.put_scalar

    def remember(name: str, scalar: float, step: int) -> None:
        if name == "Train Loss":
            losses.append(float(scalar))
        put(name=name, scalar=scalar, step=step)

    threads, config.logging.steps_per_log = torch.get_num_threads(), 1
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(writer, "put_scalar", remember)
            trainer = train(config)
    finally:
        torch.set_num_threads(threads)
    generators = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return Observed(trainer, losses, [*generators, torch.tensor(trainer.pipeline.datamanager.draw_views())])


def assert_repeated(one: Observed, other: Observed) -> None:
    """Two runs did the same: bit for bit on one thread of a CPU.

    A GPU adds gradients up in an order of its own, and Adam makes a whole step of a difference in the last bit where a
    gradient is nearly 0. There the losses agree to 1e-3.
    """
    assert one.losses == pytest.approx(other.losses, rel=1e-3) and len(one.losses) > 0
    ours, theirs = (each.trainer.pipeline.state_dict() for each in (one, other))
    assert ours.keys() == theirs.keys()
    if not torch.cuda.is_available():
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_finer_levels_of_the_radiance_field_wait(small_scene: Path, tmp_path: Path) -> None:
    config = tiny_config(small_scene, tmp_path, iterations=9)
    config.pipeline.first_levels, config.pipeline.level_iterations, config.pipeline.object_iterations = 2, 4, 1
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    model = trainer.pipeline.model
    levels = model.field.mlp_base.model[0].hash_table.detach().view(model.config.num_levels, -1)
    before = levels.clone()
    config.save_config()
    trainer.train()
    assert trainer.pipeline.schedule.object_start == 8
    assert (levels != before).any(1).tolist() == [True] * 3 + [False] * (model.config.num_levels - 3)


@pytest.fixture(scope="module")
def whole_run(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """A run that never stopped, with a checkpoint of every step: 8 for the radiance field and 4 for the objects."""
    config = tiny_config(small_scene, tmp_path_factory.mktemp("whole"), iterations=12)
    config.steps_per_save, config.save_only_latest_checkpoint = 1, False
    return one_thread(config)


def test_radiance_is_frozen_bit_for_bit_in_the_object_stage(whole_run: Observed) -> None:
    pipeline = whole_run.trainer.pipeline
    assert pipeline.schedule.object_start == 8 and pipeline.object_stage.explanations
    ends = [whole_run.checkpoints / f"step-{step:09d}.ckpt" for step in (7, 11)]
    before, after = (torch.load(end)["pipeline"] for end in ends)
    changed = {
        key.removeprefix("_model.").split(".")[0]
        for key in before
        if before[key].shape == after[key].shape and not torch.equal(before[key], after[key])
    }
    assert changed == {"object_field"}


@pytest.mark.parametrize("stopped_at", [5, 7, 9], ids=["radiance", "boundary", "objects"])
def test_a_run_that_stopped_ends_as_if_it_had_not(
    whole_run: Observed, small_scene: Path, tmp_path: Path, stopped_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit on one thread of a CPU: parameters, what optimizers keep, objects, and what is drawn next."""
    explained = []
    explain = ObjectStage.explain_masks
    monkeypatch.setattr(ObjectStage, "explain_masks", lambda self: explained.append(1) or explain(self))
    resumed = tiny_config(small_scene, tmp_path / "resumed", iterations=12)
    resumed.load_dir, resumed.load_step = whole_run.checkpoints, stopped_at
    resumed.machine.seed += 1
    first, second = whole_run.trainer, one_thread(resumed).trainer
    assert second.pipeline.schedule == first.pipeline.schedule and second.step == first.step == 11
    assert len(explained) == (stopped_at < 8), "what was discovered is not discovered again"
    rates = [t.optimizers.optimizers["object_field"].param_groups[0]["lr"] for t in (first, second)]
    assert rates[0] == rates[1] > 0
    ends = [torch.load(sorted(checkpoints(Run(t.base_dir / "config.yml", t)))[-1]) for t in (first, second)]
    one, other = (dict(leaves(end)) for end in ends)
    assert one.keys() == other.keys() and len(one) > 100
    differing = [name for name in one if not alike(one[name], other[name])]
    assert torch.cuda.is_available() or differing == []
    tables = [(t.base_dir / "objects.json").read_text() for t in (first, second)]
    assert torch.cuda.is_available() or tables[0] == tables[1]


def leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """All values in nested dictionaries and lists, by their place."""
    if isinstance(value, (dict, list, tuple)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{name}/{key}")
    else:
        yield name, value


def alike(one: object, other: object) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else one == other


def test_a_checkpoint_of_before_there_was_more_in_it_goes_on(
    whole_run: Observed, small_scene: Path, tmp_path: Path
) -> None:
    state = torch.load(whole_run.checkpoints / "step-000000009.ckpt")
    del state["disconerf"]
    torch.save(state, tmp_path / "step-000000009.ckpt")
    resumed = tiny_config(small_scene, tmp_path / "resumed", iterations=12)
    resumed.load_checkpoint = tmp_path / "step-000000009.ckpt"
    assert train(resumed).step == 11


def test_a_finished_run_says_so(whole_run: Observed, small_scene: Path, tmp_path: Path) -> None:
    finished = tiny_config(small_scene, tmp_path, iterations=12)
    finished.load_dir = whole_run.checkpoints
    with pytest.raises(UserError, match="all of them"):
        train(finished)


def test_the_same_seed_gives_the_same_run(whole_run: Observed, small_scene: Path, tmp_path: Path) -> None:
    again = one_thread(tiny_config(small_scene, tmp_path, iterations=12))
    assert_repeated(whole_run, again)
    assert all(torch.equal(one, other) for one, other in zip(whole_run.draws, again.draws))


def test_objects_alone_over_a_trained_radiance_field(run: Run, small_scene: Path, tmp_path: Path) -> None:
    for source in (run.config, checkpoints(run)[-1]):
        config = tiny_config(small_scene, tmp_path / source.stem, iterations=2)
        config.pipeline.model.num_levels = 3  # the source's architecture counts
        config.pipeline.radiance_field = source
        trainer = train(config)
        assert trainer.pipeline.schedule.object_start == 0
        ours, theirs = trainer.pipeline.model.state_dict(), run.trainer.pipeline.model.state_dict()
        radiance = [key for key in ours if key.startswith(("field.", "proposal_networks."))]
        assert radiance and all(torch.equal(ours[key], theirs[key]) for key in radiance)
        assert not torch.equal(ours["object_field.mlp.4.weight"], theirs["object_field.mlp.4.weight"])
        assert json.loads((config.get_base_dir() / "objects.json").read_text())["step"] == 1


def test_objects_over_stock_nerfacto(small_scene: Path, tmp_path: Path) -> None:
    from nerfstudio.configs.method_configs import all_methods

    from disconerf_ns.compat.lpips import without_download

    small = tiny_config(small_scene, tmp_path / "x").pipeline
    config = copy.deepcopy(all_methods["nerfacto"])
    config.output_dir, config.vis, config.max_num_iterations = tmp_path / "nerfacto", "tensorboard", 2
    config.machine.device_type = "cuda" if torch.cuda.is_available() else "cpu"
    config.pipeline.datamanager = small.datamanager.__class__.__bases__[0](
        train_num_rays_per_batch=64, data=small_scene
    )
    config.pipeline.datamanager.dataparser = small.datamanager.dataparser
    config.data = config.pipeline.datamanager.data = small_scene
    model = config.pipeline.model
    model.implementation, model.log2_hashmap_size, model.num_levels = "torch", 12, 4
    model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (16, 8), 8
    config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = 10**9
    config.set_timestamp()
    with without_download():
        train(config)
    ours = tiny_config(small_scene, tmp_path / "ours", iterations=2)
    ours.pipeline.radiance_field = config.get_base_dir() / "config.yml"
    pipeline = train(ours).pipeline
    assert pipeline.config.model.log2_hashmap_size == 12 and len(pipeline.object_stage.surfaces) == 14


def test_budgets_of_memory_change_no_value(run: Run, small_scene: Path, tmp_path: Path) -> None:
    """With everything in memory, and with the surface in a file and masks decoded for each batch: the object stage gets
    the same surface and masks bit for bit."""
    runs, kept = [], []
    for gb in (8.0, 0.0):
        config = tiny_config(small_scene, tmp_path / str(gb), iterations=3)
        config.pipeline.radiance_field = run.config
        config.pipeline.surface_memory_gb = config.pipeline.surface_host_memory_gb = gb
        config.pipeline.datamanager.mask_memory_gb = gb
        runs.append(one_thread(config))
        pipeline = runs[-1].trainer.pipeline
        assert bool(pipeline.datamanager._kept) == bool(gb)
        surfaces = pipeline.object_stage.surfaces
        masks = [pipeline.datamanager.view_masks(view) for view in range(len(surfaces))]
        kept.append([t.cpu() for s in surfaces for t in (s.packed, s.accumulation)] + [v.bits for v in masks])
    assert len(kept[0]) == 3 * 14 and all(torch.equal(one, other) for one, other in zip(*kept))
    assert_repeated(*runs)

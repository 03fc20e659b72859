"""A run through both stages: what is learned, what is frozen, what a stop and a resume keep."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_run import Run, tiny_config, train
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.object_stage import ObjectStage
from disconerf_ns.runs import objects_of
from disconerf_ns.training.schedule import Stage


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


def test_finer_levels_of_the_radiance_field_wait(scene: Path, tmp_path: Path) -> None:
    config = tiny_config(scene, tmp_path, iterations=12)
    config.pipeline.first_levels, config.pipeline.level_iterations = 2, 4
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    model = trainer.pipeline.model
    levels = model.field.mlp_base.model[0].hash_table.detach().view(model.config.num_levels, -1)
    before = levels.clone()
    config.save_config()
    trainer.train()
    assert trainer.pipeline.schedule.object_start == 8
    assert (levels != before).any(1).tolist() == [True] * 3 + [False] * (model.config.num_levels - 3)


def test_radiance_is_frozen_bit_for_bit_in_the_object_stage(scene: Path, tmp_path: Path) -> None:
    config = tiny_config(scene, tmp_path, iterations=8)
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    pipeline, before = trainer.pipeline, {}
    enter = pipeline._enter

    def remember(stage: Stage) -> None:
        if stage is Stage.OBJECTS and not before:
            before.update({k: v.clone() for k, v in pipeline.model.state_dict().items()})
        enter(stage)

    pipeline._enter = remember
    trainer.train()
    after = pipeline.model.state_dict()
    changed = {
        key.split(".")[0]
        for key in before
        if before[key].shape == after[key].shape and not torch.equal(before[key], after[key])
    }
    assert changed == {"object_field"}


@pytest.fixture(scope="module")
def whole_run(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that never stopped, with a checkpoint of every step: 16 for the radiance field and 8 for the objects."""
    config = tiny_config(scene, tmp_path_factory.mktemp("whole"), iterations=24)
    config.steps_per_save, config.save_only_latest_checkpoint = 1, False
    return Run(config.get_base_dir() / "config.yml", one_thread(config))


@pytest.mark.parametrize("stopped_at", [13, 15, 19], ids=["radiance", "boundary", "objects"])
def test_a_run_that_stopped_ends_as_if_it_had_not(
    whole_run: Run, scene: Path, tmp_path: Path, stopped_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit on one thread of a CPU: parameters, what optimizers keep, objects, and what is drawn next."""
    explained = []
    explain = ObjectStage.explain_masks
    monkeypatch.setattr(ObjectStage, "explain_masks", lambda self: explained.append(1) or explain(self))
    resumed = tiny_config(scene, tmp_path / "resumed", iterations=24)
    resumed.load_dir, resumed.load_step = whole_run.folder / "nerfstudio_models", stopped_at
    resumed.machine.seed += 1
    first, second = whole_run.trainer, one_thread(resumed)
    assert second.pipeline.schedule == first.pipeline.schedule and second.step == first.step == 23
    assert len(explained) == (stopped_at < 16), "what was discovered is not discovered again"
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


def test_a_checkpoint_of_before_there_was_more_in_it_goes_on(whole_run: Run, scene: Path, tmp_path: Path) -> None:
    state = torch.load(whole_run.folder / "nerfstudio_models/step-000000021.ckpt")
    del state["disconerf"]
    torch.save(state, tmp_path / "step-000000021.ckpt")
    resumed = tiny_config(scene, tmp_path / "resumed", iterations=24)
    resumed.load_checkpoint = tmp_path / "step-000000021.ckpt"
    assert train(resumed).step == 23


def test_a_finished_run_says_so(scene: Path, tmp_path: Path) -> None:
    whole = tiny_config(scene, tmp_path / "whole", iterations=6)
    train(whole)
    folder = whole.get_checkpoint_dir()
    finished = tiny_config(scene, tmp_path / "finished", iterations=6)
    finished.load_dir = folder
    with pytest.raises(UserError, match="all of them"):
        train(finished)


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Losses of all steps that are trained, as the trainer writes them."""
    from nerfstudio.utils import writer

    found, put = [], writer.put_scalar

    def remember(name: str, scalar: float, step: int) -> None:
        if name == "Train Loss":
            found.append(float(scalar))
        put(name=name, scalar=scalar, step=step)

    monkeypatch.setattr(writer, "put_scalar", remember)
    return found


def one_thread(config):
    """A run without atomic additions on a CPU: gradients are added up in one order."""
    threads, config.logging.steps_per_log = torch.get_num_threads(), 1
    torch.set_num_threads(1)
    try:
        return train(config)
    finally:
        torch.set_num_threads(threads)


def assert_repeated(losses: list[float], ours: dict, theirs: dict) -> None:
    """Two runs, one after the other, did the same: bit for bit on one thread of a CPU.

    A GPU adds gradients up in an order of its own, and Adam makes a whole step of a difference in the last bit where a
    gradient is nearly 0. There the losses agree to 1e-3.
    """
    half = len(losses) // 2
    assert losses[:half] == pytest.approx(losses[half:], rel=1e-3) and half > 0
    assert ours.keys() == theirs.keys()
    if not torch.cuda.is_available():
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def random_states() -> list[Tensor]:
    """What torch's generators are going to draw next."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def test_the_same_seed_gives_the_same_run(scene: Path, tmp_path: Path, losses: list[float]) -> None:
    states, drawn = [], []
    for name in ("a", "b"):
        pipeline = one_thread(tiny_config(scene, tmp_path / name, iterations=12)).pipeline
        states.append(pipeline.state_dict())
        drawn.append([*random_states(), torch.tensor(pipeline.datamanager.draw_views())])
    assert_repeated(losses, *states)
    assert all(torch.equal(one, other) for one, other in zip(*drawn))


def test_objects_alone_over_a_trained_radiance_field(run: Run, scene: Path, tmp_path: Path) -> None:
    for source in (run.config, checkpoints(run)[-1]):
        config = tiny_config(scene, tmp_path / source.stem, iterations=6)
        config.pipeline.model.num_levels = 3  # the source's architecture counts
        config.pipeline.radiance_field = source
        trainer = train(config)
        assert trainer.pipeline.schedule.object_start == 0
        ours, theirs = trainer.pipeline.model.state_dict(), run.trainer.pipeline.model.state_dict()
        radiance = [key for key in ours if key.startswith(("field.", "proposal_networks."))]
        assert radiance and all(torch.equal(ours[key], theirs[key]) for key in radiance)
        assert not torch.equal(ours["object_field.mlp.4.weight"], theirs["object_field.mlp.4.weight"])
        assert json.loads((config.get_base_dir() / "objects.json").read_text())["step"] == 5


def test_objects_over_stock_nerfacto(scene: Path, tmp_path: Path) -> None:
    from nerfstudio.configs.method_configs import all_methods

    from disconerf_ns.compat.lpips import without_download

    small = tiny_config(scene, tmp_path / "x").pipeline
    config = copy.deepcopy(all_methods["nerfacto"])
    config.data = config.pipeline.datamanager.data = scene
    config.output_dir, config.vis, config.max_num_iterations = tmp_path / "nerfacto", "tensorboard", 5
    config.machine.device_type = "cuda" if torch.cuda.is_available() else "cpu"
    config.pipeline.datamanager = small.datamanager.__class__.__bases__[0](train_num_rays_per_batch=64, data=scene)
    config.pipeline.datamanager.dataparser = small.datamanager.dataparser
    model = config.pipeline.model
    model.implementation, model.log2_hashmap_size, model.num_levels = "torch", 12, 4
    model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (16, 8), 8
    config.steps_per_eval_batch = config.steps_per_eval_image = config.steps_per_eval_all_images = 10**9
    config.set_timestamp()
    with without_download():
        train(config)
    ours = tiny_config(scene, tmp_path / "ours", iterations=4)
    ours.pipeline.radiance_field = config.get_base_dir() / "config.yml"
    pipeline = train(ours).pipeline
    assert pipeline.config.model.log2_hashmap_size == 12 and len(pipeline.object_stage.surfaces) == 14


def test_budgets_of_memory_change_no_value(run: Run, scene: Path, tmp_path: Path, losses: list[float]) -> None:
    """With everything in memory, and with the surface in a file and masks decoded for each batch: the object stage gets
    the same surface and masks bit for bit."""
    states, kept = [], []
    for gb in (8.0, 0.0):
        config = tiny_config(scene, tmp_path / str(gb), iterations=8)
        config.pipeline.radiance_field = run.config
        config.pipeline.surface_memory_gb = config.pipeline.surface_host_memory_gb = gb
        config.pipeline.datamanager.mask_memory_gb = gb
        pipeline = one_thread(config).pipeline
        assert bool(pipeline.datamanager._kept) == bool(gb)
        surfaces = pipeline.object_stage.surfaces
        masks = [pipeline.datamanager.view_masks(view) for view in range(len(surfaces))]
        kept.append([t.cpu() for s in surfaces for t in (s.packed, s.accumulation)] + [v.bits for v in masks])
        states.append(pipeline.model.object_field.state_dict())
    assert len(kept[0]) == 3 * 14 and all(torch.equal(one, other) for one, other in zip(*kept))
    assert_repeated(losses, *states)

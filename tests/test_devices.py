"""Several devices learn what one device learns from everybody's batch: two processes over gloo beside one alone."""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import torch
from helpers import assert_close
from tiny_run import tiny_config
from torch import Tensor, distributed, multiprocessing, nn

from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.discovery.report import load_report
from disconerf_ns.errors import UserError
from disconerf_ns.field import ObjectField, ObjectFieldConfig
from disconerf_ns.masks.masked_view import MaskedView, pack
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.batch import ObjectBatch
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.object_outputs import object_outputs

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.pipeline import DiscoNerfPipeline

VIEWS, SLOTS = 5, 6
FIELD = ObjectFieldConfig(levels=3, coarsest=4, finest=16, log2_table=9, implementation="torch")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(rank: int, work: Callable, port: int, arguments: tuple) -> None:
    """A process of two, as nerfstudio starts them on GPUs."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    work(*arguments)
    distributed.barrier()
    distributed.destroy_process_group()


def on_two_devices(work: Callable, *arguments: object) -> None:
    multiprocessing.spawn(start, (work, free_port(), arguments), nprocs=2)


# -------------------------------------------------------------------- one step


class World:
    """Views of different sizes with random points, masks, and explanations of these."""

    def __init__(self):
        torch.manual_seed(0)
        pixels, masks = (9, 4, 7, 6, 8), (3, 1, 0, 2, 5)
        self.surfaces = [SurfaceSamples.pack(torch.rand(n, 2, 3), torch.rand(n)) for n in pixels]
        self.views = [
            MaskedView(i, pack(torch.rand(k, n) < 0.5), torch.arange(n) % 4 != 1)
            for i, (k, n) in enumerate(zip(masks, pixels))
        ]
        self.explanations = [Explanation((torch.rand(k, SLOTS) < 0.4).float(), torch.rand(k)) for k in masks]
        self.field = ObjectField(FIELD, SLOTS)

    def batch(self, views: range, by_scene: bool) -> ObjectBatch:
        """Whole views; with `by_scene` their masks are explained, otherwise matched with the current slots."""
        of = lambda parts: [parts[view] for view in views]
        return ObjectBatch.of(of(self.surfaces), of(self.views), of(self.explanations) if by_scene else None, "cpu")


def gradients(devices: Devices, by_scene: bool) -> list[Tensor]:
    """Gradients of the losses of masks on all devices together."""
    world, views = World(), devices.views(VIEWS)
    consensus = Consensus.of(torch.rand(9, 3), torch.zeros(9, dtype=torch.long))
    outputs = object_outputs(world.field, world.batch(views, by_scene), consensus, 3, 3)
    (outputs.losses.matching + outputs.losses.false_positive).backward()
    devices.add_gradients(world.field.parameters(), len(views) / VIEWS)
    return [parameter.grad for parameter in world.field.parameters() if parameter.grad is not None]


def joined(devices: Devices) -> dict[str, object]:
    """What a device of two knows after each of the ways to know more than its own part."""
    torch.manual_seed(devices.rank)
    layer = nn.Linear(3, 2)
    devices.equalize(layer)
    return {
        "gradients": [gradients(devices, by_scene) for by_scene in (True, False)],
        "total": devices.total(10 + devices.rank),
        "views": devices.on_first(lambda parts: (parts, devices.rank), [10 * view for view in devices.views(VIEWS)]),
        "weight": layer.weight.detach(),
        "portions": [devices.portion(number) for number in (0, 7, 8)],
    }


def write_joined(folder: Path) -> None:
    devices = Devices.of_process()
    torch.save(joined(devices), folder / f"{devices.rank}.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What each of two devices knows."""
    folder = tmp_path_factory.mktemp("joined")
    on_two_devices(write_joined, folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


@pytest.mark.parametrize("by_scene", [True, False])
def test_two_devices_have_the_gradients_of_one_with_all_views(two: list[dict], by_scene: bool) -> None:
    """Of 5 views with different numbers of pixels and masks, one device has 3 and the other 2."""
    expected = gradients(Devices(), by_scene)
    assert any(float(each.abs().max()) > 0 for each in expected)
    for device in two:
        found = device["gradients"][not by_scene]
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            assert_close(one, other)


def test_two_devices_know_the_same(two: list[dict]) -> None:
    first, second = two
    assert first["total"] == second["total"] == 10 + 11
    assert first["views"] == second["views"] == ([0, 10, 20, 30, 40], 0), "in order, computed by the first device"
    torch.manual_seed(0)
    assert torch.equal(first["weight"], nn.Linear(3, 2).weight) and torch.equal(first["weight"], second["weight"])
    assert first["portions"] == [0, 4, 4]


def test_one_device_has_everything_by_itself() -> None:
    alone = joined(Devices.of_process())
    assert alone["total"] == 10 and alone["views"] == ([0, 10, 20, 30, 40], 0) and alone["portions"] == [0, 7, 8]


def test_every_device_needs_a_view() -> None:
    assert [list(Devices(rank, 3).views(4)) for rank in range(3)] == [[0, 3], [1], [2]]
    with pytest.raises(UserError, match="num-devices: 3 devices share the 2 training views.* at most 2"):
        Devices(2, 3).views(2)


# -------------------------------------------------------------------- a run


def train_and_keep(config: TrainerConfig, folder: Path) -> None:
    """What nerfstudio starts on each device; the device's weights are kept."""
    from nerfstudio.scripts.train import _set_random_seed

    rank = distributed.get_rank()
    _set_random_seed(config.machine.seed + rank)
    trainer = config.setup(local_rank=rank, world_size=2)
    trainer.setup()
    trainer.train()
    views, surfaces = trainer.pipeline.datamanager.views, len(trainer.pipeline.object_stage.surfaces)
    torch.save((trainer.pipeline.state_dict(), list(views), surfaces), folder / f"{rank}.pt")


def test_more_devices_than_gpus_are_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from disconerf_ns.config import DiscoNerfMachineConfig

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert DiscoNerfMachineConfig(num_devices=2, device_type="cuda").num_devices == 2
    for device, there in (("cuda", 2), ("cpu", 0)):
        with pytest.raises(UserError, match=rf"3 devices .* on {device}, .* use {there}\. Pass .* {max(there, 1)}\.$"):
            DiscoNerfMachineConfig(num_devices=3, device_type=device)


def test_nerfstudios_own_step_is_refused_on_several_devices() -> None:
    from disconerf_ns.pipeline import DiscoNerfPipeline

    with pytest.raises(UserError, match="num-devices: 2 devices .* leave --gradient-accumulation-steps"):
        DiscoNerfPipeline.get_train_loss_dict(SimpleNamespace(devices=Devices(0, 2)), 0)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_learn_one_run(scene: Path, tmp_path: Path) -> None:
    """nerfstudio's own launch, with nccl, mixed precision and CUDA graphs."""
    from nerfstudio.scripts.train import launch

    config = tiny_config(scene, tmp_path, iterations=120)
    config.machine.num_devices, config.mixed_precision = 2, True
    config.save_config()
    launch(keep_of_launch, num_devices_per_machine=2, config=config)
    check_devices(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("rays", [140, 0])
def test_a_run_on_two_devices_is_one_run(scene: Path, tmp_path: Path, rays: int) -> None:
    """Both stages, then gone on with: weights stay the same on both, each has half of the surface, one writes."""
    config = tiny_config(scene, tmp_path, iterations=60)
    config.machine.device_type = "cpu"
    config.pipeline.datamanager.rays_per_batch = rays
    config.save_config()
    on_two_devices(train_and_keep, config, tmp_path)
    check_devices(tmp_path)
    folder = config.get_base_dir()
    assert [each.name for each in (folder / "nerfstudio_models").iterdir()] == ["step-000000059.ckpt"]
    assert len(load_report(folder / "masks.json").views) == 14, "the masks of all views, not of the first device's"

    config.load_dir, config.max_num_iterations = folder / "nerfstudio_models", 70
    alone = copy.deepcopy(config).setup(local_rank=0, world_size=1)
    alone.setup()
    found = find_again(alone.pipeline)
    on_two_devices(train_and_keep, config, tmp_path)
    check_devices(tmp_path)
    assert (folder / "nerfstudio_models" / "step-000000069.ckpt").exists()
    state = torch.load(tmp_path / "0.pt")[0]
    for name, one in found.items():
        assert len(one) > 0 and torch.equal(state[f"_model.{name}"], one), name


def keep_of_launch(local_rank: int, world_size: int, config: TrainerConfig, global_rank: int) -> None:
    """What nerfstudio's launch calls on each device."""
    train_and_keep(config, config.output_dir)


def check_devices(folder: Path) -> None:
    (first, views, surfaces), (second, others, more) = (torch.load(folder / f"{rank}.pt") for rank in range(2))
    assert sorted(views + others) == list(range(14)) and (surfaces, more) == (len(views), len(others)) == (7, 7)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def find_again(pipeline: DiscoNerfPipeline) -> dict[str, Tensor]:
    """What one device finds that the masks agree on, on the surface of a trained run."""
    from disconerf_ns.object_model import CONSENSUS

    pipeline.model.consensus_points = torch.zeros(0, 3)
    pipeline.object_stage.surfaces = pipeline.object_stage.sample_surfaces(pipeline.folder)
    pipeline.object_stage.explain_masks()
    return {name: getattr(pipeline.model, name).clone() for name in CONSENSUS}

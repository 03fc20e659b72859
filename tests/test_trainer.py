"""The trainer's own step has the values of nerfstudio's, and what it captures has the values of what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nerfstudio.engine.trainer import Trainer
from tiny_run import tiny_config
from torch import nn

from disconerf_ns.errors import UserError
from disconerf_ns.trainer import DiscoNerfTrainer
from disconerf_ns.training import captured
from disconerf_ns.training.captured import EAGER_STEPS, CapturedSteps, Held, StepResults


def trained_parameters(scene: Path, folder: Path, trainer: type[Trainer]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    config = tiny_config(scene, folder, iterations=6)
    config._target = trainer
    run = config.setup(local_rank=0, world_size=1)
    run.setup()
    torch.manual_seed(0)
    run.train()
    return run.pipeline.model.state_dict()


@pytest.mark.skipif(torch.cuda.is_available(), reason="atomic additions on a GPU forbid equal bits")
def test_the_step_has_nerfstudios_values_in_both_stages(small_scene: Path, tmp_path: Path) -> None:
    ours = trained_parameters(small_scene, tmp_path / "ours", DiscoNerfTrainer)
    theirs = trained_parameters(small_scene, tmp_path / "theirs", Trainer)
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


def test_accumulated_gradients_take_nerfstudios_step(small_scene: Path, tmp_path: Path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(Trainer, "train_iteration", lambda self, step: asked.append(step) or (torch.zeros(()), {}, {}))
    config = tiny_config(small_scene, tmp_path, iterations=3)
    config.gradient_accumulation_steps = {"fields": 2}
    run = config.setup(local_rank=0, world_size=1)
    run.setup()
    run.train_iteration(0)
    assert asked == [0]


def test_held_tensors_keep_their_addresses_also_after_others_of_another_shape() -> None:
    """A graph of the first shape reads the first addresses, however many other shapes come in between."""
    held = Held()
    first = held.hold([torch.zeros(3), torch.ones(2)])
    again = held.hold([torch.arange(3.0), torch.ones(2)])
    assert again[0].data_ptr() == first[0].data_ptr() and again[0].tolist() == [0, 1, 2]
    assert held.hold([torch.arange(4.0), torch.ones(2)])[0].tolist() == [0, 1, 2, 3]
    assert (
        held.hold([torch.ones(3), torch.ones(2)])[0].data_ptr() == first[0].data_ptr() and first[0].tolist() == [1] * 3
    )


def test_a_step_that_no_graph_can_hold_is_one_sentence_with_a_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class BreaksOff(captured.CapturedStep):
        def __init__(self, *_: object):
            raise RuntimeError("operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(captured, "CapturedStep", BreaksOff)
    monkeypatch.setattr(captured, "EAGER_STEPS", 0)
    steps = CapturedSteps()
    vars(steps).update(_stream=None, _pool=None)
    with pytest.raises(UserError, match=r"cuda-graphs: .*stream is capturing\); .*--pipeline.cuda-graphs False\.$"):
        steps.run("all", lambda: StepResults(torch.zeros(()), {}, {}), [])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_step_reads_new_values_and_writes_new_gradients() -> None:
    layer = nn.Linear(3, 1, device="cuda")
    held, steps = Held(), CapturedSteps()
    losses: list[float] = []

    def compute(values: torch.Tensor) -> StepResults:
        loss = (layer(values) + torch.rand(1, device="cuda")).square().mean()
        loss.backward()
        return StepResults(loss.detach(), {}, {})

    for number in range(2 * EAGER_STEPS):
        layer.zero_grad()
        new = torch.full((4, 3), float(number), device="cuda")
        torch.manual_seed(number)
        (values,) = held.hold([new])
        results = steps.run("all", lambda values=values: compute(values), list(layer.parameters()))
        losses.append(float(results.loss))
        captured = layer.weight.grad.clone()
        layer.zero_grad()
        torch.manual_seed(number)
        assert float(compute(new).loss) == pytest.approx(losses[-1], rel=1e-5)
        torch.testing.assert_close(layer.weight.grad, captured)
    assert len(set(losses)) == len(losses)
    steps.forget()

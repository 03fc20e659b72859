"""nerfstudio's trainer with a training step that does not wait for the GPU."""

from __future__ import annotations

from functools import cached_property, partial, reduce
from typing import cast

import torch
from nerfstudio.engine.trainer import Trainer
from nerfstudio.utils import profiler
from torch import Tensor

from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.training.captured import StepResults
from disconerf_ns.training.step import TrainingStep


class DiscoNerfTrainer(Trainer):
    """Steps of the same values as nerfstudio's, on one GPU captured as CUDA graphs where the pipeline allows it.

    nerfstudio's step asks for the gradient scale twice, to hold schedulers back after a step that was skipped; this
    method has none. Accumulated or logged gradients and schedulers take nerfstudio's own step. Several devices add up
    their gradients after each step; nerfstudio's DistributedDataParallel could not follow parameters that change their
    shape with the number of objects, nor steps that are CUDA graphs.
    """

    pipeline: DiscoNerfPipeline

    @profiler.time_function
    def train_iteration(self, step: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """One iteration; returns the loss, its parts and the metrics."""
        if not self._plain:
            return super().train_iteration(step)
        self.optimizers.zero_grad_all()
        with self.pipeline.training_step(step) as upcoming:
            results = self._computed(upcoming)
            self.pipeline.after_step(results.metrics)
        self.optimizers.optimizer_scaler_step_all(self.grad_scaler)
        self.grad_scaler.update()
        return results

    @cached_property
    def _plain(self) -> bool:
        options = self.config
        return not (options.gradient_accumulation_steps or options.log_gradients or self.optimizers.schedulers)

    def eval_iteration(self, step: int) -> None:
        """nerfstudio's evaluation of a step, on the first device only."""
        if self.pipeline.devices.first:
            super().eval_iteration(step)

    def _computed(self, upcoming: TrainingStep) -> StepResults:
        compute = partial(self._differentiate, upcoming)
        if upcoming.kind is None:
            return compute()
        learning = [
            parameter for group in self.optimizers.parameters.values() for parameter in group if parameter.requires_grad
        ]
        return self.pipeline.captured.run(upcoming.kind, compute, learning)

    def _differentiate(self, upcoming: TrainingStep) -> StepResults:
        """Losses of a step; their gradients are added to the parameters'."""
        with torch.autocast(self.device.split(":")[0], enabled=self.mixed_precision):
            losses, metrics = upcoming.compute()
            loss = cast("Tensor", reduce(torch.add, losses.values()))
        cast("Tensor", self.grad_scaler.scale(loss)).backward()
        return StepResults(loss.detach(), detached(losses), detached(metrics))


def detached(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values without the operations that led to them, whose memory nobody shall keep."""
    return {name: value.detach() for name, value in values.items()}

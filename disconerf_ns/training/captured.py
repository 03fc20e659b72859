"""Forward and backward passes of training steps as CUDA graphs: one launch in the place of thousands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from disconerf_ns.errors import UserError, reason

if TYPE_CHECKING:
    from torch.autograd.graph import Node
    from torch.cuda import _POOL_HANDLE as Pool

EAGER_STEPS = 3
"""Number of steps of a kind that run as usual before one is captured, so that every kernel is compiled and loaded."""


class StepResults(NamedTuple):
    """Loss, its parts and metrics of a training step, whose gradients are in the parameters."""

    loss: Tensor
    losses: dict[str, Tensor]
    metrics: dict[str, Tensor]


class CapturedStep:
    """A step as a CUDA graph that reads the same tensors each time and writes its results and gradients in place.

    Random numbers come from torch's generator of the GPU, which every replay moves on.

    Args:
        compute: computes losses and adds gradients to the parameters; nothing in it waits for the GPU.
        parameters: the parameters that learn, without gradients.
        stream: stream of all earlier steps, to which torch ties the gradients' accumulation.
        pool: memory that graphs share which never run at the same time.
    """

    def __init__(
        self,
        compute: Callable[[], StepResults],
        parameters: Sequence[nn.Parameter],
        stream: torch.cuda.Stream,
        pool: Pool,
    ):
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            self._results = compute()
        self._learned = [(parameter, parameter.grad) for parameter in parameters]

    def replay(self) -> StepResults:
        """Compute the step anew; its results are overwritten by the next replay."""
        self._graph.replay()
        for parameter, gradient in self._learned:
            parameter.grad = gradient
        return self._results


class CapturedSteps:
    """Runs steps of several kinds, each kind as usual at first and then as a CUDA graph."""

    def __init__(self):
        self._seen: Counter[Hashable] = Counter()
        self._captured: dict[Hashable, CapturedStep] = {}
        self._claimed: list[object] = []

    def claim(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let the gradients of parameters be accumulated in the stream of these steps from now on.

        torch accumulates a parameter's gradient in the stream in which it was first looked at, as long as anything
        remembers that, and a graph of another stream cannot be captured. Call this before anything else looks at the
        parameters, and anew when their shapes change.
        """
        with torch.cuda.stream(self._stream), torch.enable_grad():
            self._claimed = [cast("Node", each.view_as(each).grad_fn).next_functions[0][0] for each in parameters]

    def run(
        self, kind: Hashable, compute: Callable[[], StepResults], parameters: Sequence[nn.Parameter]
    ) -> StepResults:
        """Compute a step.

        Args:
            kind: all steps of a kind call the same operators, with tensors at the same addresses.
            compute: computes losses and adds gradients to the parameters.
            parameters: the parameters that learn, without gradients.

        Raises:
            UserError: a step cannot be captured.
        """
        self._seen[kind] += 1
        if self._seen[kind] <= EAGER_STEPS:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                results = compute()
            torch.cuda.current_stream().wait_stream(self._stream)
            return results
        if kind not in self._captured:
            self._captured[kind] = self._capture(compute, parameters)
        return self._captured[kind].replay()

    def _capture(self, compute: Callable[[], StepResults], parameters: Sequence[nn.Parameter]) -> CapturedStep:
        try:
            return CapturedStep(compute, parameters, self._stream, self._pool)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # torch's random numbers do not recover from a capture that broke off
            raise UserError(
                f"cuda-graphs: a training step cannot be captured as a CUDA graph ({reason(error)}); start again, from "
                "the last checkpoint if there is one, with --pipeline.cuda-graphs False."
            ) from error

    @cached_property
    def _stream(self) -> torch.cuda.Stream:
        return torch.cuda.Stream()

    @cached_property
    def _pool(self) -> Pool:
        return torch.cuda.graph_pool_handle()

    def forget(self) -> None:
        """Drop all graphs and their memory."""
        self._seen.clear()
        self._captured.clear()
        vars(self).pop("_pool", None)


class Held:
    """Tensors at addresses that stay, into which the values of every step are copied."""

    def __init__(self):
        self._held: dict[Hashable, list[Tensor]] = {}

    def hold(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The same values at the addresses of earlier values of these shapes and types, which graphs may read."""
        kind = tuple((value.shape, value.dtype, value.device) for value in values)
        if kind not in self._held:
            self._held[kind] = [value.clone() for value in values]
        for held, value in zip(self._held[kind], values):
            held.copy_(value)
        return self._held[kind]

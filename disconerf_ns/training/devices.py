"""Several devices that learn one run together: each has its share of the views, and their gradients are added up.

A loss is a mean over n views. Where device r has n_r of them, the gradient of the mean over all views is
sum_r n_r / n times the gradient of the mean over the device's own views. So all devices make the same step, which is
the step that one device would make with everybody's batch. Everything that is found out from all views together, such
as the objects that masks agree on, the first device finds out, and the others are told.

Gradients travel by the backend that the processes were started with (nccl between GPUs, gloo between CPUs); all else
is in main memory and travels by gloo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

import torch
from nerfstudio.utils import comms
from torch import distributed, nn

from disconerf_ns.errors import UserError

Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Devices:
    """The devices of a run, one process each, as one of these processes sees them."""

    rank: int = 0
    """Number of this process's device, from 0."""
    count: int = 1
    """Number of devices."""

    @classmethod
    def of_process(cls) -> Devices:
        """The devices that the process was started with; one if it was started alone."""
        return cls(comms.get_rank(), comms.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this device writes files and finds out what all views together tell."""
        return self.rank == 0

    def views(self, count: int) -> range:
        """This device's views of all `count` views: view i belongs to device i modulo the number of devices.

        Raises:
            UserError: there are fewer views than devices.
        """
        if count < self.count:
            raise UserError(
                f"num-devices: {self.count} devices share the {count} training views, so some have none; pass "
                f"--machine.num-devices of at most {count}."
            )
        return range(self.rank, count, self.count)

    def portion(self, number: int) -> int:
        """Size of a device's part of a batch of `number` random rays or points, the same on each, rounded up."""
        return -(-number // self.count)

    def total(self, number: int) -> int:
        """Sum of the devices' numbers, known to all."""
        if self.count == 1:
            return number
        added = torch.tensor(number)
        distributed.all_reduce(added, group=self._host)
        return int(added)

    def equalize(self, module: nn.Module) -> None:
        """Give every device the first one's parameters and buffers."""
        if self.count > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                distributed.broadcast(tensor.data, 0)

    def add_gradients(self, parameters: Iterable[nn.Parameter], share: float) -> None:
        """Replace gradients by their weighted sum over all devices.

        Args:
            parameters: the same on every device; those without gradient have none on any device.
            share: weight of this device's gradients; all weights add up to 1.
        """
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        pending = [distributed.all_reduce(gradient.mul_(share), async_op=True) for gradient in gradients]
        for each in pending:
            cast("distributed.Work", each).wait()

    def on_first(self, compute: Callable[[list[Part]], Result], parts: Iterable[Part]) -> Result:
        """What the first device computes from the parts of all views, known to all devices.

        Args:
            compute: takes a part for each view, in the order of views; called on the first device only.
            parts: of this device's views, in main memory.
        """
        if self.count == 1:
            return compute(list(parts))
        received = [None] * self.count if self.first else None
        distributed.gather_object(list(parts), received, group=self._host)
        result = [None if received is None else compute(_in_order(cast("list[list[Part]]", received)))]
        distributed.broadcast_object_list(result, group=self._host)
        return cast("Result", result[0])

    @cached_property
    def _host(self) -> distributed.ProcessGroup | None:
        return cast("distributed.ProcessGroup | None", distributed.new_group(backend="gloo"))


def _in_order(received: list[list[Part]]) -> list[Part]:
    """The parts of every view, in the order of views."""
    views = sum(map(len, received))
    return [received[view % len(received)][view // len(received)] for view in range(views)]

"""When the radiance stage ends, and every learning rate, as pure functions of the step.

A run that was stopped, resumed or loaded is always in the stage that its step says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Stage(str, Enum):
    """The two stages of a run."""

    RADIANCE = "radiance"
    OBJECTS = "objects"


@dataclass(frozen=True)
class Schedule:
    """Steps [0, object_start) learn the radiance field, steps [object_start, total) the object field."""

    object_start: int
    total: int

    @property
    def object_iterations(self) -> int:
        """Iterations of the object stage."""
        return self.total - self.object_start

    def stage(self, step: int) -> Stage:
        """Stage of a training step."""
        return Stage.RADIANCE if step < self.object_start else Stage.OBJECTS

    def radiance_decay(self, step: int, final: float) -> float:
        """Exponential decay from 1 at the first step to `final` at the end of the radiance stage."""
        return final ** min(step / max(self.object_start, 1), 1.0)

    def completes_tenth(self, step: int) -> bool:
        """Whether another tenth of the object stage is done after a step."""
        done, length = step + 1 - self.object_start, self.object_iterations
        return done > 0 and done * 10 // length > (done - 1) * 10 // length

    def object_decay(self, step: int, warmup: int, final: float) -> float:
        """Linear warm-up from 0 over `warmup` object steps, then exponential decay to `final` at the end."""
        done, length = max(step - self.object_start, 0), self.object_iterations
        if done < warmup:
            return (done + 1) / (warmup + 1)
        return final ** min((done - warmup) / max(length - warmup, 1), 1.0)


@dataclass(frozen=True)
class Resumed:
    """How far a run is that goes on."""

    step: int
    """Iterations done."""
    object_start: int
    """First iteration of the object stage, as it was planned before."""


def plan_stages(total: int, object_iterations: int, radiance_given: bool, resumed: Resumed | None = None) -> Schedule:
    """Divide a run of `total` iterations between the two stages.

    The object stage gets `object_iterations`, in short runs at most a third of the run; all of it is object stage
    when the radiance field was trained before. An object stage that has begun keeps its first step.

    Args:
        total: iterations of the whole run, at least 1, also where it is resumed.
        object_iterations: the most iterations that the object stage takes.
        radiance_given: whether the radiance field comes from another run.
        resumed: how far the run is; None at its start.
    """
    start = 0 if radiance_given else total - min(object_iterations, max(total // 3, 1))
    if radiance_given:
        total = min(total, object_iterations)
    if resumed is None:
        return Schedule(start, total)
    if resumed.step > resumed.object_start:
        return Schedule(resumed.object_start, total)
    return Schedule(max(start, resumed.step), total)

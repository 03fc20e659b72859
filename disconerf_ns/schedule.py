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

    def stage(self, step: int) -> Stage:
        """Stage of a training step."""
        return Stage.RADIANCE if step < self.object_start else Stage.OBJECTS

    def radiance_decay(self, step: int, final: float) -> float:
        """Exponential decay from 1 at the first step to `final` at the end of the radiance stage."""
        return final ** min(step / max(self.object_start, 1), 1.0)

    def object_decay(self, step: int, warmup: int, final: float) -> float:
        """Linear warm-up from 0 over `warmup` object steps, then exponential decay to `final` at the end."""
        done, length = max(step - self.object_start, 0), self.total - self.object_start
        if done < warmup:
            return (done + 1) / (warmup + 1)
        return final ** min((done - warmup) / max(length - warmup, 1), 1.0)


def split(total: int, object_iterations: int, radiance_given: bool) -> Schedule:
    """Divide a run of `total` iterations between the two stages.

    The object stage gets `object_iterations`, in short runs at most a third of the run; all of it is object stage
    when the radiance field was trained before.

    Args:
        total: iterations of the whole run, at least 1.
        object_iterations: the most iterations that the object stage takes.
        radiance_given: whether the radiance field comes from another run.
    """
    if radiance_given:
        return Schedule(0, min(total, object_iterations))
    return Schedule(total - min(object_iterations, max(total // 3, 1)), total)


def resplit(planned: Schedule, resumed_object_start: int, start_step: int) -> Schedule:
    """The schedule of a resumed run: an object stage that has begun keeps its first step."""
    if start_step > resumed_object_start:
        return Schedule(resumed_object_start, planned.total)
    return Schedule(max(planned.object_start, start_step), planned.total)

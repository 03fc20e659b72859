"""The schedule of a run: its stages and learning rates, as pure functions of the step.

So a run that was stopped, resumed or loaded is always in the stage that belongs to its step.
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
    """Steps [0, object_start) train the radiance field, steps [object_start, total) train the object field."""

    object_start: int
    total: int

    @property
    def object_iterations(self) -> int:
        """Number of iterations of the object stage."""
        return self.total - self.object_start

    def stage(self, step: int) -> Stage:
        """Stage of a training step."""
        return Stage.RADIANCE if step < self.object_start else Stage.OBJECTS

    def radiance_decay(self, step: int, final: float) -> float:
        """Learning rate factor: exponential decay from 1 at step 0 to `final` at the end of the radiance stage."""
        return final ** min(step / max(self.object_start, 1), 1.0)

    def completes_tenth(self, step: int) -> bool:
        """Whether a step completes another tenth of the object stage."""
        done, length = step + 1 - self.object_start, self.object_iterations
        return done > 0 and done * 10 // length > (done - 1) * 10 // length

    def object_decay(self, step: int, warmup: int, final: float) -> float:
        """Learning rate factor: linear warm-up over `warmup` object steps, then exponential decay from 1 to `final`."""
        done, length = max(step - self.object_start, 0), self.object_iterations
        if done < warmup:
            return (done + 1) / (warmup + 1)
        return final ** min((done - warmup) / max(length - warmup, 1), 1.0)


@dataclass(frozen=True)
class Resumed:
    """Progress of a run that is resumed."""

    step: int
    """Number of iterations done."""
    object_start: int
    """First step of the object stage, as planned before the stop."""


def plan_stages(total: int, object_iterations: int, radiance_given: bool, resumed: Resumed | None = None) -> Schedule:
    """Divide a run of `total` iterations between the two stages.

    The object stage gets `object_iterations`, but at most a third of a short run. If the radiance field was trained
    before, the whole run is object stage. An object stage that has begun keeps its first step.

    Args:
        total: number of iterations of the whole run, at least 1, including the iterations before a stop.
        object_iterations: maximum number of iterations of the object stage.
        radiance_given: whether the radiance field comes from another run.
        resumed: progress of a resumed run; None for a new run.
    """
    start = 0 if radiance_given else total - min(object_iterations, max(total // 3, 1))
    if radiance_given:
        total = min(total, object_iterations)
    if resumed is None:
        return Schedule(start, total)
    if resumed.step > resumed.object_start:
        return Schedule(resumed.object_start, total)
    return Schedule(max(start, resumed.step), total)

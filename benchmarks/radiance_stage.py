"""Time of a radiance iteration in nerfstudio's own loop: this method and stock nerfacto, with tinycudann and without.

    python -m benchmarks.radiance_stage --data DATASET

Without a dataset, 60 random photographs of 320 x 240 are written; a step takes as long with them. Early steps teach the
proposal networks every second time, and late steps (`--first-step 6000`) every sixth time. Each variant has a process
of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from nerfstudio.engine.trainer import TrainerConfig
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.clock import peak_mib
from benchmarks.photographs import write_photographs
from benchmarks.table import commit, merged
from benchmarks.trainers import VARIANTS, Enough, config_of, installed, run_loop, trainer_of
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole

WINDOW = 10
"""Steps between two looks at the clock, each of which waits for the GPU."""


@dataclass
class RadianceStage:
    """Time radiance iterations."""

    data: Path | None = None
    """Dataset; by default one is written."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Which of the variants are measured; those by tinycudann only where it is installed."""
    first_step: int = 0
    """Step that the first iteration counts as."""
    warm: int = 200
    """Iterations before those that are timed."""
    timed: int = 200
    """Iterations that are timed."""
    profiled: int = 20
    """Iterations under the profiler, after those that are timed."""
    commit: str = ""
    """State of the program; by default git's."""
    output: Path = Path("benchmarks/results/radiance_stage.json")
    """File of the figures, beside those of other machines, states and variants."""


class Clock:
    """Looks at the clock after some steps, and profiles the steps after them."""

    def __init__(self, trial: RadianceStage):
        self._warm, self._timed, self._last = trial.warm, trial.warm + trial.timed, trial.warm + trial.timed
        self._last += trial.profiled
        self._done, self._times = 0, []
        on_gpu = torch.cuda.is_available()
        self.profiler = profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu)

    def after_step(self, _: int) -> None:
        """Ends the loop after the last step that is profiled."""
        self._done += 1
        if self._warm <= self._done <= self._timed and (self._done - self._warm) % WINDOW == 0:
            self._times.append(_now())
        if self._done == self._timed:
            self.profiler.start()
        if self._done == self._last:
            _now()
            self.profiler.stop()
            raise Enough

    @property
    def milliseconds(self) -> list[float]:
        """Time of an iteration in each window."""
        return [1e3 * (end - start) / WINDOW for start, end in zip(self._times, self._times[1:])]


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(config: TrainerConfig, trial: RadianceStage) -> dict:
    """Times of an iteration in ms, operator calls, launches, waits for the GPU, and peak memory."""
    trainer, clock = trainer_of(config, trial.first_step), Clock(trial)
    run_loop(trainer, clock.after_step)
    events = clock.profiler.key_averages()
    on_gpu = [event for event in events if event.device_type == DeviceType.CUDA]

    def calls(part: str) -> float:
        return sum(event.count for event in events if part in event.key) / trial.profiled

    return {
        "ms": statistics.median(clock.milliseconds),
        "slowest_ms": max(clock.milliseconds),
        "device_ms": sum(event.self_device_time_total for event in on_gpu) / 1e3 / trial.profiled,
        "host_ms": sum(event.self_cpu_time_total for event in events) / 1e3 / trial.profiled,
        "operators": calls("aten::"),
        "launches": calls("Launch"),
        "waits": calls("StreamSynchronize"),
        "peak_mib": peak_mib(),
        "rays": config.pipeline.datamanager.train_num_rays_per_batch,
    }


def measured_apart(variant: str, data: Path, trial: RadianceStage) -> dict:
    """The same, by a process of its own."""
    options = {"first-step": trial.first_step, "warm": trial.warm, "timed": trial.timed, "profiled": trial.profiled}
    command = [sys.executable, "-m", "benchmarks.radiance_stage", "--data", str(data), "--variants", variant]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(command, env={**os.environ, APART: "1"}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


APART = "DISCONERF_BENCHMARK_APART"
"""Set in the process that measures one variant."""


def main(trial: RadianceStage) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = trial.data or write_photographs(Path(folder) / "photographs")
        if os.environ.get(APART):
            method, implementation = VARIANTS[trial.variants[0]]
            config = config_of(method, data, Path(folder) / "runs", implementation)
            print(json.dumps(measure(config, trial)))
            return
        for variant in trial.variants:
            if not installed(variant):
                print(f"{variant}: not measured, because tinycudann is not installed")
                continue
            key = {"machine": machine(), "commit": trial.commit or commit(), "variant": variant}
            key |= {"first_step": trial.first_step, "data": data.name}
            row = key | measured_apart(variant, data, trial) | {"versions": versions()}
            print(json.dumps(row, indent=1), flush=True)
            write_whole(trial.output, json.dumps(merged(trial.output, row, tuple(key)), indent=1))


if __name__ == "__main__":
    main(tyro.cli(RadianceStage))

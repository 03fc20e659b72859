"""What `ns-train --help` costs with the plugin and without, in processes that alternate.

    python -m benchmarks.startup

Whole processes vary by more than the plugin costs, so the parts in which it does anything are measured by themselves
too, in the same runs: loading the methods, with all that is imported for them; looking at the stack, which nerfstudio
does for every external method and which takes longer the more modules there are; and parsing and printing, which tyro
does for every method.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

from disconerf_ns.files import write_whole
from disconerf_ns.provenance import machine, versions

HELP = """
import contextlib, importlib.metadata, inspect, io, json, sys, time

found, group = importlib.metadata.entry_points, "nerfstudio.method_configs"

class Chosen:
    def __init__(self, plugin):
        ours = [point for point in found(group=group) if point.value.startswith("disconerf_ns.")]
        self.points = {point.name: point for point in ours if plugin}
        self.names, self.seconds = list(self.points), 0.0

    def __getitem__(self, name):
        self.name = name
        return self

    def load(self):
        start = time.process_time()
        spec = self.points[self.name].load()
        self.seconds += time.process_time() - start
        return spec

def inspected(*arguments):
    global looking
    start = time.process_time()
    try:
        return stack(*arguments)[1:]
    finally:
        looking += time.process_time() - start

looking, stack, inspect.stack = 0.0, inspect.stack, inspected
chosen = Chosen(sys.argv.pop(1) == "with")
importlib.metadata.entry_points = lambda **by: chosen if by.get("group") == group else found(**by)
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    from nerfstudio.scripts.train import entrypoint
    start = time.process_time()
    entrypoint()
end = time.process_time()
parts = {"loading": chosen.seconds, "looking": looking, "printing": end - start}
print(json.dumps({"all": end, **parts, "parts": sum(parts.values()), "modules": len(sys.modules)}))
"""


@dataclass
class Startup:
    """Measure what the plugin adds to `ns-train --help`."""

    pairs: int = 10
    """Runs with and without the plugin."""
    output: Path = Path("benchmarks/results/startup.json")
    """Where the figures go."""


def measure(plugin: str) -> dict[str, float]:
    """Processor seconds of one process, and of its parts."""
    command = [sys.executable, "-c", HELP, plugin, "--help"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main(trial: Startup) -> None:
    rows = []
    for pair in range(trial.pairs):
        order = ("with", "without") if pair % 2 else ("without", "with")
        rows.append({plugin: measure(plugin) for plugin in order})
        print({plugin: round(row["all"], 2) for plugin, row in rows[-1].items()}, flush=True)
    added = {}
    for part in rows[0]["with"]:
        differences = sorted(row["with"][part] - row["without"][part] for row in rows)
        added[part] = {"median": median(differences), "least": differences[0], "most": differences[-1]}
        print(part, {name: round(value, 3) for name, value in added[part].items()})
    facts = {"machine": machine(), "versions": versions(), "cores": os.cpu_count()}
    whole = {plugin: median(row[plugin]["all"] for row in rows) for plugin in ("with", "without")}
    write_whole(trial.output, json.dumps({**facts, "pairs": trial.pairs, "whole": whole, "added": added}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Startup))

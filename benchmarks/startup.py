"""Time that the plugin adds to `ns-train --help`: the list of methods is made and printed with it and without.

    python -m benchmarks.startup

Whole processes vary by seconds on a busy machine, nearly all of it for importing torch. So that is done once, and then
what depends on plugins is done again and again in the same process, by turns with the plugin and without: nerfstudio's
list of methods is imported, for which plugins are found and imported, and tyro prints help. nerfstudio also looks
through all modules for each of its external methods, which takes seconds that vary; that is timed apart, and what the
plugin adds to it is its share of the modules.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import inspect
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

GROUP = "nerfstudio.method_configs"
AGAIN = (
    "disconerf_ns",
    "nerfstudio.configs.method_configs",
    "nerfstudio.plugins.registry",
    "nerfstudio.scripts.train",
)
"""Modules that are imported anew each time, with all that is in them."""


@dataclass
class Startup:
    """Measure what the plugin adds to `ns-train --help`."""

    turns: int = 15
    """Times with and without the plugin."""
    output: Path = Path("benchmarks/results/startup.json")
    """File of the figures."""


class Chosen:
    """The entry points of nerfstudio's methods, the plugin's or none."""

    def __init__(self, plugin: bool):
        found = _entry_points(group=GROUP) if plugin else ()
        self._points = {point.name: point for point in found if point.value.startswith("disconerf_ns.")}
        self.names = list(self._points)

    def __getitem__(self, name: str) -> importlib.metadata.EntryPoint:
        return self._points[name]


_entry_points = importlib.metadata.entry_points


class Stack:
    """`inspect.stack`, and the processor seconds spent in it."""

    def __init__(self):
        self.original, self.seconds = inspect.stack, 0.0

    def __call__(self, *arguments) -> list:
        start = time.process_time()
        frames = self.original(*arguments)[1:]
        self.seconds += time.process_time() - start
        return frames


def help_seconds(plugin: bool, stack: Stack) -> tuple[float, float, int]:
    """Processor seconds for the list of methods and its help, those to look through modules, and how many."""
    for name in [name for name in sys.modules if name.startswith(AGAIN)]:
        del sys.modules[name]
    chosen, printed = Chosen(plugin), io.StringIO()
    importlib.metadata.entry_points = lambda **by: chosen if by.get("group") == GROUP else _entry_points(**by)
    start, stack.seconds = time.process_time(), 0.0
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        importlib.import_module("nerfstudio.scripts.train").entrypoint()
    seconds = time.process_time() - start
    if ("disconerf-small" in printed.getvalue()) != plugin:
        raise RuntimeError(f"the help is not that of a nerfstudio with plugin {plugin}: {printed.getvalue()[:500]}")
    return seconds - stack.seconds, stack.seconds, len(sys.modules)


def measure(turns: int) -> list[dict[str, tuple[float, float, int]]]:
    """Seconds with and without the plugin, after one of each that does not count."""
    sys.argv, inspect.stack = ["ns-train", "--help"], Stack()
    rows = []
    for turn in range(turns + 1):
        order = ("with", "without") if turn % 2 else ("without", "with")
        rows.append({name: help_seconds(name == "with", inspect.stack) for name in order})
    return rows[1:]


def main(trial: Startup) -> None:
    from disconerf_ns.evaluation.provenance import machine, versions
    from disconerf_ns.files import write_whole

    command = [sys.executable, "-m", "benchmarks.startup", "--measure", str(trial.turns)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = json.loads(output.splitlines()[-1])
    added = sorted(1e3 * (row["with"][0] - row["without"][0]) for row in rows)
    looking, modules = median(row["without"][1] for row in rows), rows[0]["without"][2]
    more = rows[0]["with"][2] - modules
    found = {
        "turns": len(rows),
        "list_and_help_ms": 1e3 * median(row["without"][0] for row in rows),
        "added_ms": {"median": median(added), "least": added[0], "most": added[-1]},
        "modules": {"without": modules, "added": more},
        "looking_through_modules_ms": {"without": 1e3 * looking, "added": 1e3 * looking * more / modules},
    }
    print(json.dumps(found, indent=1))
    facts = {"machine": machine(), "versions": versions(), "cores": os.cpu_count()}
    write_whole(trial.output, json.dumps(facts | found, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        import tyro

        main(tyro.cli(Startup))

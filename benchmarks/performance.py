"""Writes the tables and the plot of docs/performance.md from the figures in benchmarks/results.

python -m benchmarks.performance
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.report import by
from benchmarks.table import write_tables

QUANTITIES = {"ms": "time of an iteration", "mib": "memory of an iteration", "consensus_s": "time of the consensus"}
SCORES = (("views", "IoU"), ("views", "SBD"), ("scene", "IoU"))


@dataclass
class Performance:
    """Write the tables and the plot of docs/performance.md."""

    results: Path = Path("benchmarks/results")
    """Folder of the figures."""
    page: Path = Path("docs/performance.md")
    """Page whose tables are replaced; the plot, scaling.png, is put beside it."""


def line(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    """The first two rows."""
    return [line(*cells), "|---" * len(cells) + "|"]


def about(facts: dict) -> str:
    """Machine and versions of the figures."""
    return f"{facts['machine']}; " + ", ".join(f"{name} {number}" for name, number in facts["versions"].items()) + "."


def scored(scores: dict | None) -> list[str]:
    """Cells of IoU, SBD, scene IoU and objects; empty if nothing was scored."""
    if scores is None:
        return [""] * (len(SCORES) + 1)
    return [*(f"{100 * scores[part][metric]:.1f}" for part, metric in SCORES), str(scores["objects"])]


def naive(runs: list[dict]) -> list[str]:
    """The object stage beside the paper's way."""
    text = ["## The object stage beside the paper's way", ""]
    for facts in runs:
        product, paper = facts["product"], facts["naive"]
        text += [f"Scene {facts['scene']}, {facts['iterations']} iterations, seed {facts['seed']}. {about(facts)}", ""]
        text += head("", "processor time", "wall time", "IoU", "SBD", "scene IoU", "objects")
        for name, lap in product["parts"].items():
            text.append(line(f"{name}", f"{lap['cpu_seconds']:.1f} s", f"{lap['seconds']:.1f} s", *[""] * 4))
        whole = [f"{product['cpu_seconds']:.1f} s", f"{product['seconds']:.1f} s", *scored(facts["scores"]["product"])]
        text.append(line("**object stage**", *whole))
        cells = [f"{paper['cpu_seconds']:.0f} s", f"{paper['seconds']:.0f} s", *scored(facts["scores"]["naive"])]
        timed = "" if paper["timed"] == facts["iterations"] else f" (from {paper['timed']} iterations)"
        text.append(line(f"the paper's way{timed}", *cells))
        ratio = facts["ratio"]
        text += [line("ratio", f"**{ratio['cpu_seconds']:.1f}**", f"{ratio['seconds']:.1f}", *[""] * 4), ""]
    return text


def stage(runs: list[dict]) -> list[str]:
    """Parts of an iteration."""
    text = ["## An iteration, part by part", ""]
    for facts in runs:
        batch, best, whole = facts["batch"], facts["ceilings"], facts["iteration"]
        text += [
            f"Scene {facts['scene']}, matching by {facts['matching']}: {batch['rays']:,} rays, "
            f"{batch['points']:,} points, {batch['masks']} masks, {facts['slots']} slots, {facts['implementation']}. "
            f"{about(facts)}",
            f"Ceilings: copy {best['copy_gb_s']:.1f} GB/s, {best['gathered_g_s']:.2f} G pairs of features read/s, "
            f"{best['scattered_g_s']:.2f} G features added to/s, {best['gflop_s']:.0f} GFLOP/s.",
            "",
            *head("part", "ms", "share", "floor ms", "times the floor", "GB/s", "GFLOP/s"),
        ]
        for row in facts["rows"]:
            share, times = row["ms"] / whole["ms"], row["ms"] / max(row["floor_ms"], 1e-9)
            cells = [f"{row['ms']:.2f}", f"{100 * share:.1f} %", f"{row['floor_ms']:.2f}", f"{times:.1f}"]
            text.append(line(row["part"], *cells, f"{row['gb_s']:.2f}", f"{row['gflop_s']:.1f}"))
        rest = [f"{whole['rest_ms']:.2f}", f"{100 * whole['rest_ms'] / whole['ms']:.1f} %", *[""] * 4]
        text.append(line("sums of gradients, the rest", *rest))
        cells = [f"{whole['ms']:.2f}", "", f"{whole['floor_ms']:.2f}", f"{whole['ms'] / whole['floor_ms']:.1f}", "", ""]
        parts = ", ".join(f"{name} {value:.1f} s" for name, value in facts["stage"].items())
        text += [line("**an iteration**", *cells), ""]
        rate = f"{1e-6 * whole['samples_per_second']:.2f} million points per second"
        text += [f"Throughput: {rate}. Object stage: {parts}.", ""]
    return text


def scaling(facts: dict) -> list[str]:
    """Time and memory at the smallest and the largest value of each number."""
    text = ["## Growth", "", about(facts), "", "![Time and memory against size](scaling.png)", ""]
    text += head(
        "number", "from", "to", "time of an iteration", "exponent", "memory", "exponent", "consensus", "exponent"
    )
    for axis, here in by(facts["rows"], "axis").items():
        first, last, grows = here[0], here[-1], facts["exponents"][axis]
        cells = [f"{first['ms']:.0f} to {last['ms']:.0f} ms", f"{grows['ms']:.2f}"]
        cells += [f"{first['mib']:.0f} to {last['mib']:.0f} MiB", f"{grows['mib']:.2f}"]
        if "consensus_s" in grows:
            cells += [f"{first['consensus_s']:.1f} to {last['consensus_s']:.1f} s", f"{grows['consensus_s']:.2f}"]
        else:
            cells += ["", ""]
        text.append(line(axis, f"{first['value']:,}", f"{last['value']:,}", *cells))
    return [*text, ""]


def viewer(facts: dict) -> list[str]:
    """Waiting times from an action to the pictures that show it."""
    size = facts["still picture"]
    text = ["## Waiting times in the viewer", ""]
    text += [f"Seconds over the viewer's connection, pictures of {size} x {size * 3 // 4} pixels. {about(facts)}", ""]
    text += head("action", "first changed picture: median", "worst", "sharp: median", "worst")
    for name, row in facts["seconds"].items():
        numbers = [row[kind][which] for kind in ("first", "sharp") for which in ("median", "worst")]
        text.append(line(name, *(f"{number:.2f}" for number in numbers)))
    return [*text, ""]


def startup(facts: dict) -> list[str]:
    """Time that the plugin adds to `ns-train --help`."""
    added, looking, modules = facts["added_ms"], facts["looking_through_modules_ms"], facts["modules"]
    text = ["## Start-up", "", f"Milliseconds of processor time, {facts['turns']} turns. {about(facts)}", ""]
    text += head("`ns-train --help`", "without the plugin", "added by the plugin")
    spread = f"{added['median']:.0f} ({added['least']:.0f} to {added['most']:.0f})"
    text.append(line("list of methods and help, after torch is imported", f"{facts['list_and_help_ms']:.0f}", spread))
    text.append(
        line("nerfstudio's search of all modules", f"{looking['without']:,.0f}", f"{looking['added']:.0f}, by share")
    )
    return [*text, line("modules", f"{modules['without']:,}", f"{modules['added']}"), ""]


def radiance(rows: list[dict]) -> list[str]:
    """Radiance iterations by machine, beside nerfacto's."""
    text = ["## A radiance iteration", ""]
    for here in by(rows, "machine").values():
        text += [f"{here[0]['rays']:,} rays. {about(here[-1])}", ""]
        text += head("", "state", "first step", "ms", "slowest", "GPU", "operators", "launches", "waits", "memory")
        for row in here:
            cells = [row["variant"], row["commit"], f"{row['first_step']:,}", f"{row['ms']:.1f}"]
            cells += [f"{row['slowest_ms']:.1f}", f"{row['device_ms']:.1f} ms"]
            cells += [f"{row[name]:,.0f}" for name in ("operators", "launches", "waits")]
            text.append(line(*cells, f"{row['peak_mib'] / 1024:.1f} GiB"))
        text.append("")
    return text


def whole_run(rows: list[dict]) -> list[str]:
    """Whole runs by machine and dataset, stage by stage, in seconds."""
    text = ["## A whole run, stage by stage", ""]
    for here in by([row | {"where": (row["machine"], row["data"])} for row in rows], "where").values():
        names = list(dict.fromkeys(name for row in here for name in row["stages"]))
        text += [f"Seconds, dataset {here[0]['data']}. {about(here[-1])}", ""]
        text += head("", "state", "iterations", *names, "from the command to objects.json", "to the end")
        for row in here:
            count = f"{row['iterations']:,}" if row["iterations"] else "its own"
            cells = [f"{row['stages'][name]:.1f}" if name in row["stages"] else "" for name in names]
            objects = f"**{row['to_objects']:.0f}**" if row["to_objects"] else ""
            text.append(line(row["variant"], row["commit"], count, *cells, objects, f"{row['seconds']:.0f}"))
        text.append("")
    return text


def plot(rows: list[dict], path: Path) -> None:
    """Each quantity over the factor by which each number grows, beside linear growth."""
    figure, axes = plt.subplots(1, len(QUANTITIES), figsize=(10.4, 3.6))
    colors = {axis: f"C{number}" for number, axis in enumerate(by(rows, "axis"))}
    for panel, (name, title) in zip(axes, QUANTITIES.items()):
        for axis, here in by([row for row in rows if name in row], "axis").items():
            factors = [row["factor"] for row in here]
            panel.plot(
                factors, [row[name] / here[0][name] for row in here], marker="o", ms=4, label=axis, color=colors[axis]
            )
        panel.plot(factors, factors, "--", color="0.5", lw=1, label="linear")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.set_xlabel("times as many")
        panel.set_title(title)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    axes[0].set_ylabel("times as much")
    figure.tight_layout()
    figure.savefig(path, dpi=130)


TABLES = {"radiance_stage": radiance, "whole_run": whole_run, "viewer": viewer, "startup": startup}


def main(report: Performance) -> None:
    def read(name: str):
        path = report.results / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else []

    text = naive(read("naive")) + stage(read("object_stage"))
    if facts := read("scaling"):
        text += scaling(facts)
        plot(facts["rows"], report.page.parent / "scaling.png")
    for name, table in TABLES.items():
        if facts := read(name):
            text += table(facts)
    write_tables(report.page, text)


if __name__ == "__main__":
    main(tyro.cli(Performance))

"""Turns `benchmarks/results/quality_*.json` into the tables of docs/results.md.

python -m benchmarks.report
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

NAMES = {
    "masks": "2D masks alone",
    "scene": "**as shipped** (matching by scene)",
    "view": "matching by view (the paper's)",
    "consensus": "the masks' consensus, no field",
    "panoptic lifting": "Panoptic Lifting's loss",
    "contrastive": "contrastive field, HDBSCAN",
}
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"


@dataclass
class Report:
    """Write the tables of docs/results.md."""

    results: Path = Path("benchmarks/results")
    """Folder of the figures."""
    page: Path = Path("docs/results.md")
    """Page whose tables are replaced."""


def spread(values: list[float]) -> str:
    """A mean in %, and the least and most of several."""
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def table(rows: list[dict]) -> list[str]:
    """Lines of one scene with one set of masks."""
    parts: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        parts[row["method"]].append(row)
    lines = ["| | IoU | BD | SBD | scene IoU | scene BD | scene SBD | objects | seeds |", "|---" * 9 + "|"]
    masks = rows[0]["scores"]["masks"]
    lines.append("| " + " | ".join([NAMES["masks"], *(spread([v]) for v in masks.values()), *"     "]) + " |")
    for method, name in NAMES.items():
        if some := parts.get(method):
            values = [
                spread([row["scores"][part][metric] for row in some])
                for part in ("views", "scene")
                for metric in ("IoU", "BD", "SBD")
            ]
            objects = "/".join(str(row["objects"]) for row in some)
            lines.append("| " + " | ".join([name, *values, objects, str(len(some))]) + " |")
    return lines


def main(report: Report) -> None:
    text = []
    for file in sorted(report.results.glob("quality_*.json")):
        content = json.loads(file.read_text())
        groups: dict[str, list[dict]] = defaultdict(list)
        for row in content["rows"]:
            groups[row["masks"]].append(row)
        for masks in sorted(groups, key=("mild", "middle", "heavy").index):
            text += [f"### {groups[masks][0]['scene']}, {masks} noise", "", *table(groups[masks]), ""]
    page = report.page.read_text()
    before, rest = page.split(BEGIN)
    report.page.write_text("\n".join([before + BEGIN, "", *text]) + END + rest.split(END)[1])


if __name__ == "__main__":
    main(tyro.cli(Report))

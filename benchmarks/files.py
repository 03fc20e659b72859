"""Writes the tables of docs/files.md from the figures in benchmarks/results.

python -m benchmarks.files

The figures are those of `benchmarks.edits`, `benchmarks.meshes` and `benchmarks.splats`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

import tyro

from benchmarks.table import write_tables

SCENES = "demo", "table", "clutter", "room"
"""Endings of the files' names, in the order of the rows."""
GOOD = 0.9
"""IoU that an object alone should have."""
VISIBLE = 0.2
"""Hidden fraction below which hardly anything of an object is guessed."""
NEAR = 2.0
"""Chamfer distance that a mesh should have at most, in percent of the scene's size."""
SURROUNDING = "background", "walls"
"""True objects around all cameras, whose meshes mean nothing."""
LOWEST = 3
"""Objects that a row names."""


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent."""
    return "" if value is None else f"{100 * value:.{digits}f}"


def reached(rows: Sequence[dict], column: str) -> int:
    """Objects whose IoU is good enough."""
    return sum(row[column] >= GOOD for row in rows)


def extremes(rows: Sequence[dict], column: str, most: bool = False) -> str:
    """The objects with the lowest or highest values of a column."""
    known = [row for row in rows if row[column] is not None]
    some = sorted(known, key=lambda row: row[column], reverse=most)[:LOWEST]
    return ", ".join(f"{row['object']} {percent(row[column], 0)}" for row in some)


def alone(content: dict) -> list:
    """Held-out views: objects, and how their masks fit, as the field has them and completed."""
    *rows, mean = content["rows"]
    clear = [row for row in rows if row["hidden"] < VISIBLE]
    part = sum(row["completed"] for row in clear) / max(len(clear), 1)
    field = percent(mean["amodal IoU"]), reached(rows, "amodal IoU")
    own = percent(mean["completed"]), reached(rows, "completed"), f"{percent(part)} ({len(clear)})"
    return [len(rows), *field, *own, extremes(rows, "completed")]


def turned(content: dict) -> list:
    """Turns: the same, and what is beyond the truth."""
    *rows, mean = content["rows"]
    field = percent(mean["the field"]), percent(mean["the field: beyond"])
    own = percent(mean["completed"]), percent(mean["completed: beyond"]), reached(rows, "completed")
    return [len(rows), *field, *own, extremes(rows, "completed")]


def colors(content: dict) -> list:
    """Differences of colours, and how many objects gain by completion."""
    *rows, mean = content["rows"]
    gain = sum(row["completed"] < row["the field"] for row in rows)
    columns = "the field", "completed", "the field beside", "completed beside"
    field, own, field_beside, own_beside = (f"{mean[column]:.3f}" for column in columns)
    return [field, own, percent(mean["changed"], 0), field_beside, own_beside, f"{gain} of {len(rows)}"]


def meshes(content: dict) -> list:
    """Distances of meshes to the truth; not of what surrounds the scene, which has no surface of its own."""
    rows = sorted((row for row in content["objects"] if row["true"] not in SURROUNDING), key=lambda row: row["chamfer"])
    near = sum(row["chamfer"] <= NEAR for row in rows)
    worst = ", ".join(f"{row['true']} {row['chamfer']:.2f}" for row in rows[: -1 - LOWEST : -1])
    return [len(rows), near, f"{median(row['chamfer'] for row in rows):.2f}", worst]


def removed(content: dict) -> list:
    """What is left of removed objects."""
    *rows, mean = content["rows"]
    columns = "residue", "residue where seen", "ghost", "ghost where seen", "unseen"
    return [len(rows), *(percent(mean.get(column)) for column in columns), extremes(rows, "residue", most=True)]


def splats(content: dict) -> list:
    """Gaussians of objects beside their pictures."""
    means = [content["mean"][f"{kind}, mask"] for kind in ("sampled", *(f"taken apart, {how}" for how in TAKEN))]
    small = good(each["sampled"]["mask"] for each in content["objects"].values())
    large = good(each.get("large mask") for each in content["objects"].values())
    return [*map(percent, means), small, percent(content["mean"].get("sampled, large mask")), large]


def good(values: Iterable[float | None]) -> str:
    """How many of the known values are at least GOOD."""
    known = [iou for iou in values if iou is not None]
    return f"{sum(iou >= GOOD for iou in known)} of {len(known)}" if known else ""


TAKEN = "keep", "drop", "split"
"""What `disconerf export --splats` does with gaussians that straddle a border."""


@dataclass(frozen=True)
class Section:
    """A table with one row a scene."""

    kind: str
    """Start of the files' names."""
    heads: str
    """Its columns after the scene's name."""
    row: Callable[[dict], list]
    """The cells of a scene's file."""

    def lines(self, results: Path) -> list[str]:
        """The table's lines; scenes that were not measured have no row."""
        files = {scene: results / f"{self.kind}_{scene}.json" for scene in SCENES}
        contents = {scene: json.loads(file.read_text()) for scene, file in files.items() if file.exists()}
        heads = f"| scene | {self.heads} | measured at |"
        rows = [
            "| " + " | ".join([scene, *map(str, self.row(content)), content.get("commit", "")]) + " |"
            for scene, content in contents.items()
        ]
        return [heads, "|---" * (heads.count("|") - 1) + "|", *rows]


SECTIONS = {
    "Alone, in held-out views": Section(
        "alone",
        "objects | the field: mean IoU | at 0.9 or more | completed: mean IoU | at 0.9 or more | completed, "
        "where less than a fifth is hidden | lowest",
        alone,
    ),
    "Alone, from all around": Section(
        "turned",
        "objects | the field: mean IoU | beyond | completed: mean IoU | beyond | at 0.9 or more | lowest",
        turned,
    ),
    "Colours, alone": Section(
        "colors",
        "the field | completed | changed, % | the field, where changed | completed, where changed | objects that gain",
        colors,
    ),
    "Meshes": Section("meshes", "meshes | within 2 % | median | largest", meshes),
    "Removed": Section(
        "removed",
        "objects | residue | residue, where seen | ghost | ghost, where seen | marked unseen | most residue",
        removed,
    ),
    "Splats": Section(
        "splats",
        "sampled | taken apart: keep | drop | split | sampled, at 0.9 or more | sampled, large | at 0.9 or more",
        splats,
    ),
}
"""The page's tables, under their headings."""


@dataclass
class Files:
    """Write the tables of docs/files.md."""

    results: Path = Path("benchmarks/results")
    """Folder of the figures."""
    page: Path = Path("docs/files.md")
    """Page whose tables are replaced."""

    def __call__(self) -> None:
        """Write the page."""
        parts = ([f"### {name}", "", *section.lines(self.results), ""] for name, section in SECTIONS.items())
        write_tables(self.page, chain.from_iterable(parts))


if __name__ == "__main__":
    tyro.cli(Files)()

"""`disconerf objects`: the table of a run's objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from disconerf_ns.cli.runs import objects_of

if TYPE_CHECKING:
    from disconerf_ns.discovery.report import MaskReport


@dataclass
class Objects:
    """List the objects of a run, as they were edited in the viewer."""

    load_config: Path
    """config.yml of the run."""

    def __call__(self) -> None:
        """Print one row per object, largest first, and the views and objects whose masks agree least.

        Raises:
            UserError: the run has no objects, or its files cannot be read.
        """
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from disconerf_ns.discovery.report import load_report

        table = Table()
        for column in ("object", "name", "colour", "share of surface", "confidence", "views", "size"):
            table.add_column(column, justify="left" if column in ("object", "name", "colour") else "right")
        for each in sorted(objects_of(self.load_config), key=lambda each: -each.share):
            swatch = Text("████", style=f"rgb({','.join(str(round(255 * c)) for c in each.color)})")
            size = " x ".join(f"{high - low:.2f}" for low, high in zip(*each.box))
            share, confidence = f"{100 * each.share:.1f} %", f"{100 * each.confidence:.0f} %"
            table.add_row(each.name, each.title, swatch, share, confidence, str(each.views), size)
        Console().print(table)
        report = self.load_config.parent / "masks.json"
        if report.exists():
            for worst in _worst(load_report(report)):
                Console().print(worst)


def _worst(report: MaskReport, most: int = 5):
    from rich.table import Table

    views = Table(title="Views whose masks agree least with the objects")
    for column in ("image", "masks", "explained", "affinity"):
        views.add_column(column, justify="left" if column == "image" else "right")
    for view in report.views[:most]:
        views.add_row(view.image, str(view.masks), str(view.explained), f"{view.affinity:.2f}")
    objects = Table(title="Objects whose masks agree least with them")
    for column in ("object", "masks of it alone", "with others", "affinity"):
        objects.add_column(column, justify="left" if column == "object" else "right")
    for found in report.objects[:most]:
        objects.add_row(found.name, str(found.masks), str(found.joined), f"{found.affinity:.2f}")
    return views, objects

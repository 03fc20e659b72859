"""`disconerf objects`: list the objects of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from disconerf_ns.runs import edit_of, manifest_of, objects_of
from disconerf_ns.scene.objects import load_manifest

if TYPE_CHECKING:
    from disconerf_ns.discovery.report import MaskReport


@dataclass
class Objects:
    """List the objects of a run as edited in the viewer."""

    load_config: Path
    """config.yml of the run."""

    def __call__(self) -> None:
        """Print one row per object, the largest first, then the views and objects whose masks agree least.

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
        objects = objects_of(self.load_config)
        hidden = edit_of(self.load_config, load_manifest(manifest_of(self.load_config)).slots).hidden
        for each in sorted(objects, key=lambda each: -each.share):
            swatch = Text("████", style=f"rgb({','.join(str(round(255 * c)) for c in each.color)})")
            size = " x ".join(f"{high - low:.2f}" for low, high in zip(*each.box))
            share, confidence = f"{100 * each.share:.1f} %", f"{100 * each.confidence:.0f} %"
            title = Text(f"{each.title} (hidden)".lstrip() if each.id in hidden else each.title)
            table.add_row(each.name, title, swatch, share, confidence, str(each.views), size)
        Console().print(table if objects else "objects: this run has discovered no object yet.")
        report = self.load_config.parent / "masks.json"
        if report.exists():
            for worst_table in _worst_tables(load_report(report)):
                Console().print(worst_table)


def _worst_tables(report: MaskReport, most: int = 5):
    """Tables of the views and of the objects whose masks agree least, at most `most` rows each."""
    from rich.table import Table

    views = Table(title="Views whose masks agree least with the objects")
    for column in ("image", "masks", "explained", "affinity"):
        views.add_column(column, justify="left" if column == "image" else "right")
    for view in report.views[:most]:
        views.add_row(view.image, str(view.masks), str(view.explained), f"{view.affinity:.2f}")
    objects = Table(title="Objects, as discovered, whose masks agree least with them")
    for column in ("object", "masks of it alone", "with others", "affinity"):
        objects.add_column(column, justify="left" if column == "object" else "right")
    for each in report.objects[:most]:
        objects.add_row(each.name, str(each.masks), str(each.joined), f"{each.affinity:.2f}")
    return views, objects

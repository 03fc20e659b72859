"""`disconerf objects`: list the objects of a run, at one size or as a tree of all sizes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from disconerf_ns.runs import check_granularity, edit_of, manifest_of, objects_of
from disconerf_ns.scene.arrangement import all_objects
from disconerf_ns.scene.objects import load_manifest

if TYPE_CHECKING:
    from rich.tree import Tree

    from disconerf_ns.discovery.report import MaskReport
    from disconerf_ns.scene.objects import SceneObject
    from disconerf_ns.scene.tree import ObjectTree


TREE_WIDTH = 120
"""Least columns of a tree, whose lines a narrower terminal wraps itself."""


@dataclass
class Objects:
    """List the objects of a run as edited in the viewer."""

    load_config: Path
    """config.yml of the run."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    tree: bool = False
    """List objects of every size as a tree: each above its parts. Those of the granularity are marked with a dot."""

    def __call__(self) -> None:
        """Print one row per object, the largest first, then the views and objects whose masks agree least.

        Raises:
            UserError: the run has no objects, its files cannot be read, or the granularity is not from 0 to 1.
        """
        check_granularity("objects", self.granularity)

        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from disconerf_ns.discovery.report import load_report

        discovered, tree = load_manifest(manifest_of(self.load_config))
        edit = edit_of(self.load_config, tree, self.granularity)
        objects = objects_of(self.load_config, self.granularity)
        if self.tree:
            listed = listed_tree(all_objects(discovered, tree, edit), tree, {each.id for each in objects})
            Console(width=max(Console().width, TREE_WIDTH)).print(listed)
            return
        table = Table()
        for column in ("object", "name", "colour", "share of surface", "confidence", "views", "size"):
            table.add_column(column, justify="left" if column in ("object", "name", "colour") else "right")
        for each in sorted(objects, key=lambda each: (each.number is None, -each.share)):
            swatch = Text("████", style=f"rgb({','.join(str(round(255 * c)) for c in each.color)})")
            size = " x ".join(f"{high - low:.2f}" for low, high in zip(*each.box))
            share, confidence = f"{100 * each.share:.1f} %", f"{100 * each.confidence:.0f} %"
            title = Text(f"{each.title} (hidden)".lstrip() if each.id in edit.hidden else each.title)
            table.add_row(each.name, title, swatch, share, confidence, str(each.views), size)
        Console().print(table if objects else "objects: this run has discovered no object yet.")
        report = self.load_config.parent / "masks.json"
        if report.exists():
            for worst_table in _worst_tables(load_report(report)):
                Console().print(worst_table)


def listed_tree(every: Sequence[SceneObject], tree: ObjectTree, shown: set[int]) -> Tree:
    """Objects of every size, each above its parts; those that are shown have a dot."""
    from rich.text import Text
    from rich.tree import Tree

    def facts(each: SceneObject) -> Iterator[str]:
        yield f"{100 * each.share:.1f} %"
        yield f"confidence {100 * each.confidence:.0f} %"
        if tree.masks:
            yield f"{tree.masks[each.id]} masks, support {tree.support[each.id]:.2f}"
        if each.id in tree.inner:
            yield f"opens at {tree.opens[each.id]:.2f}"

    def grow(branch: Tree, nodes: Collection[int]) -> None:
        for each in every:
            if each.id in nodes:
                dot, style = ("● ", "bold") if each.id in shown else ("", "")
                line = Text.assemble((f"{dot}{each.name} {each.title}".rstrip(), style), "  ", ", ".join(facts(each)))
                grow(branch.add(line), tree.children(each.id))

    root = Tree("objects of every size; ● those of this granularity")
    grow(root, tree.roots)
    return root


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

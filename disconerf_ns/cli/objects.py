"""`disconerf objects`: list the objects of a run, at one size or as a tree of all sizes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from disconerf_ns.cli.measured import measured_objects
from disconerf_ns.cli.naming import given_names
from disconerf_ns.errors import UserError
from disconerf_ns.options import GRANULARITY, check_options
from disconerf_ns.runs import capture_frame, edit_of, manifest_of, objects_of
from disconerf_ns.scene.arrangement import all_objects
from disconerf_ns.scene.cut import kept_open, shown_nodes
from disconerf_ns.scene.objects import load_manifest

if TYPE_CHECKING:
    from rich.table import Table
    from rich.tree import Tree

    from disconerf_ns.discovery.report import MaskReport
    from disconerf_ns.facts.measure import Measured
    from disconerf_ns.scene.edit import Edit
    from disconerf_ns.scene.objects import ObjectId, SceneObject
    from disconerf_ns.scene.tree import ObjectTree


TREE_WIDTH = 120
"""Least columns of a tree, whose lines a narrower terminal wraps itself."""


WIDTH = 120
"""Most columns of the table of objects."""


@dataclass
class Objects:
    """List the objects of a run as edited in the viewer. They are measured once, which takes the trained networks."""

    load_config: Path
    """config.yml of the run."""
    granularity: float | None = None
    """How fine objects are, from 0, the coarsest, to 1; by default as saved in the viewer, or else 0.5."""
    tree: bool = False
    """List objects of every size as a tree: each above its parts. Those of the granularity are marked with a dot."""
    json: bool = False
    """Print all facts of the objects as JSON: boxes, volumes, best photographs, neighbours and more."""

    def __call__(self) -> None:
        """Print one row per object, the largest first, then the views and objects whose masks agree least.

        Raises:
            UserError: the run has no objects, its files cannot be read, an option is out of range, or two options
                exclude each other.
        """
        check_options("objects", self, granularity=GRANULARITY)
        if self.tree and self.json:
            raise UserError("objects: --tree and --json exclude each other; choose one of them.")
        if self.tree:
            self._print_tree()
        elif self.json:
            self._print_json()
        else:
            self._print_table()

    def _print_tree(self) -> None:
        from rich.console import Console

        discovered, tree = load_manifest(manifest_of(self.load_config))
        edit = edit_of(self.load_config, tree, self.granularity)
        objects = objects_of(self.load_config, self.granularity)
        shown = {int(each.id): each.name for each in objects}
        remarks = dict.fromkeys(kept_open(edit, tree), "open now by changes") | _joined_and_split(edit, tree, shown)
        listed = listed_tree(all_objects(discovered, tree, edit), tree, shown.keys(), remarks)
        Console(width=max(Console().width, TREE_WIDTH)).print(listed)

    def _print_json(self) -> None:
        from disconerf_ns.facts.listing import listing

        edit, objects, measured = measured_objects(self.load_config, self.granularity)
        by_model, titles = given_names(self.load_config), {each.id: each.title for each in objects}
        scores = {id: given.score for id, given in by_model.items() if titles.get(id) == given.name}
        document = listing(objects, measured, capture_frame(self.load_config), edit, scores)
        print(json.dumps(document, indent=2, allow_nan=False))

    def _print_table(self) -> None:
        from rich.console import Console

        from disconerf_ns.discovery.report import load_report

        file = self.load_config.parent / "masks.json"
        report = load_report(file) if file.exists() else None
        edit, objects, measured = measured_objects(self.load_config, self.granularity)
        console = Console(width=min(max(Console().width, WIDTH), WIDTH))
        if not objects:
            console.print("objects: this run has discovered no object yet.")
            return
        console.print(table_of(objects, measured, capture_frame(self.load_config).scale, edit))
        if not measured:
            console.print("objects: sizes come with the run's first checkpoint.")
        if report is not None:
            for worst_table in _worst_tables(report, self._as_discovered(edit, objects)):
                console.print(worst_table)

    def _as_discovered(self, edit: Edit, objects: Sequence[SceneObject]) -> dict[str, str]:
        """How the table writes each object that masks are compared with, by its name.

        Masks are compared with the objects of the cut before any was merged or split, so a merged one is followed by
        the name of the object that it is part of now.
        """
        discovered, tree = load_manifest(manifest_of(self.load_config))
        cut, now = {*shown_nodes(edit, tree)}, {int(each.id): each.name for each in objects}
        return {
            each.name: f"{each.name}, now in {now[whole]}" if (whole := edit.merged.get(each.id)) in now else each.name
            for each in all_objects(discovered, tree, edit)
            if each.id in cut
        }


def table_of(objects: Sequence[SceneObject], measured: Mapping[ObjectId, Measured], scale: float, edit: Edit) -> Table:
    """One row per object, the largest first.

    Args:
        objects: the objects that are shown.
        measured: what was measured of them.
        scale: units of the capture in one of the scene.
        edit: what a person changed; sizes are of objects as it scales them.
    """
    from rich.table import Table
    from rich.text import Text

    from disconerf_ns.facts.changes import changes
    from disconerf_ns.facts.listing import sides

    size = "size: length x width x height of the object's box as it stands, in the capture's units"
    table = Table(caption=f"{size}; - of what reaches far beyond the cameras, or is solid nowhere")
    for column in ("object", "name", "colour", "surface", "confidence", "views", "size", "best view"):
        right = column in ("surface", "confidence", "views", "size")
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for each in sorted(objects, key=lambda each: (each.number is None, -each.share)):
        known = measured.get(each.id)
        changed = ", ".join(changes(edit, each.id))
        title = Text(" ".join(filter(None, (each.title, changed and f"({changed})"))))
        table.add_row(
            each.name,
            title,
            Text("████", style=f"rgb({','.join(str(round(255 * c)) for c in each.color)})"),
            f"{100 * each.share:.1f} %",
            f"{100 * each.confidence:.0f} %",
            str(each.views if known is None else known.views),
            " x ".join(sides(known.extent, scale * edit.standing_of(each.id)[0].scale))
            if known and known.extent
            else "-",
            Text(known.best_views[0].view if known and known.best_views else ""),
        )
    return table


def _joined_and_split(edit: Edit, tree: ObjectTree, shown: Mapping[int, str]) -> dict[int, str]:
    """What merging and splitting made of objects, by id.

    Args:
        edit: what a person changed.
        tree: how objects of every size hold each other.
        shown: names of the objects that are shown.
    """
    merged = {id: f"part of {shown[into]} now" for id, into in edit.merged.items() if into in shown}
    further = {id: [shown[part] for part in edit.part_ids(id, len(tree))[1:] if part in shown] for id in edit.split}
    return merged | {id: f"without {', '.join(parts)} now" for id, parts in further.items() if parts and id in shown}


def listed_tree(every: Sequence[SceneObject], tree: ObjectTree, shown: Set[int], remarks: Mapping[int, str]) -> Tree:
    """Objects of every size, each above its parts; those that are shown have a dot.

    Args:
        every: the objects.
        tree: how they hold each other.
        shown: ids of those that are shown.
        remarks: what a person's changes made of some of them, by id.
    """
    from rich.text import Text
    from rich.tree import Tree

    def facts(each: SceneObject) -> Iterator[str]:
        yield f"{100 * each.share:.1f} %"
        yield f"confidence {100 * each.confidence:.0f} %"
        if tree.masks:
            masks = tree.masks[each.id]
            yield f"{masks} mask{'s show' if masks != 1 else ' shows'} just it, support {tree.support[each.id]:.2f}"
        if each.id in tree.inner:
            yield f"opens at {tree.opens[each.id]:.3f}"
        if each.id in remarks:
            yield remarks[each.id]

    def grow(branch: Tree, nodes: Collection[int]) -> None:
        for each in every:
            if each.id in nodes:
                dot, style = ("● ", "bold") if each.id in shown else ("", "")
                line = Text.assemble((f"{dot}{each.name} {each.title}".rstrip(), style), "  ", ", ".join(facts(each)))
                grow(branch.add(line), tree.children(each.id))

    root = Tree("objects of every size; ● those of this granularity")
    grow(root, tree.roots)
    return root


def _worst_tables(report: MaskReport, said: Mapping[str, str], most: int = 5):
    """Tables of the views and objects whose masks agree least, at most `most` rows each.

    Args:
        report: how well masks agree with views, and with discovered objects of every size.
        said: the names of the objects that are listed, and how they are written.
        most: rows, at most.
    """
    from rich.table import Table

    views = Table(title="Views whose masks agree least with the objects")
    for column in ("image", "masks", "explained", "affinity"):
        views.add_column(column, justify="left" if column == "image" else "right")
    for view in report.views[:most]:
        views.add_row(view.image, str(view.masks), str(view.explained), f"{view.affinity:.2f}")
    objects = Table(title="Objects, as discovered, whose masks agree least with them")
    for column in ("object", "masks of it alone", "with others", "affinity"):
        objects.add_column(column, justify="left" if column == "object" else "right")
    for each in [each for each in report.objects if each.name in said][:most]:
        objects.add_row(said[each.name], str(each.masks), str(each.joined), f"{each.affinity:.2f}")
    return views, objects

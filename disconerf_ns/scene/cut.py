"""The cut that an edit shows, and the edit said of the objects that it shows, so that it survives another cut."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.tree import ObjectTree


class Look(NamedTuple):
    """How an edit shows something."""

    hidden: bool
    color: tuple[float, float, float] | None
    """RGB in [0, 1] that it takes on; None for its own."""


def shown_nodes(edit: Edit, tree: ObjectTree) -> tuple[int, ...]:
    """The nodes that an edit shows, which divide the slots among them, in the order of their numbers.

    These are the cut of the edit's granularity, with three exceptions. What a person opened is shown as its parts. What
    a person merged or split into connected parts stays as it is. An object whose parts look different stays open.
    """
    if tree.is_flat:
        return tuple(range(tree.slots))
    kept = edit.kept(len(tree))
    inside = {node for node in range(len(tree)) if not kept.isdisjoint((node, *tree.ancestors(node)))}
    around = {tree.parent[node] for node in kept} - {-1}
    return tree.cut(edit.granularity, ((edit.opened | _uneven(edit, tree)) - inside) | around, kept)


def said_of_shown(edit: Edit, tree: ObjectTree) -> Edit:
    """The same edit with all that is hidden or coloured said of the objects that it shows, which are alike throughout.

    What is said of an object holds for everything inside it; the nearest object that says something counts.
    """
    if tree.is_flat:
        return edit
    looks, nodes = _looks(edit, tree), shown_nodes(edit, tree)
    look = {node: looks[min(tree.leaves(node))] for node in nodes}
    hidden = {id for id in edit.hidden if id >= len(tree)} | {node for node in nodes if look[node].hidden}
    colors = {id: rgb for id, rgb in edit.colors.items() if id >= len(tree)}
    colors |= {node: rgb for node, (_, rgb) in look.items() if rgb is not None}
    return replace(edit, hidden=frozenset(hidden), colors=colors)


def _looks(edit: Edit, tree: ObjectTree) -> list[Look]:
    looks = [Look(False, None)] * len(tree)
    for node in reversed(range(len(tree))):  # parents come after their children
        around = looks[tree.parent[node]] if tree.parent[node] >= 0 else Look(False, None)
        looks[node] = Look(node in edit.hidden or around.hidden, edit.colors.get(node, around.color))
    return looks


def _uneven(edit: Edit, tree: ObjectTree) -> set[int]:
    """Nodes whose slots do not all look alike."""
    looks = _looks(edit, tree)
    return {node for node in tree.inner if len({looks[leaf] for leaf in tree.leaves(node)}) > 1}

"""The cut that an edit shows, and the edit said of the objects that it shows, so that it survives another cut."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from disconerf_ns.scene.edit import HERE, Edit
from disconerf_ns.scene.recolor import Recolor
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import ObjectTree


class ShownAs(NamedTuple):
    """How an edit shows something."""

    hidden: bool = False
    color: Recolor | None = None
    """New colours; None for its own."""
    places: tuple[Similarity, ...] = (HERE,)
    """Its places."""
    away: frozenset[int] = frozenset()
    """Numbers of those that are hidden."""


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


def kept_open(edit: Edit, tree: ObjectTree) -> set[int]:
    """The nodes that the edit's granularity shows whole, and that are shown as their parts because of other changes."""
    shown = {*shown_nodes(edit, tree)}
    return {
        node
        for node in tree.inner
        if tree.opens[node] > edit.granularity and shown.isdisjoint((node, *tree.ancestors(node)))
    }


def said_of_shown(edit: Edit, tree: ObjectTree) -> Edit:
    """The same edit with all that is hidden, coloured or placed said of the objects that it shows.

    They are alike throughout. What is said of an object holds for everything inside it; the nearest object that says
    something counts.
    """
    if tree.is_flat:
        return edit
    looks, nodes = _looks(edit, tree), shown_nodes(edit, tree)
    look = {node: looks[min(tree.leaves(node))] for node in nodes}
    hidden = {id for id in edit.hidden if id >= len(tree)} | {node for node in nodes if look[node].hidden}
    colors = {id: color for id, color in edit.colors.items() if id >= len(tree)}
    colors |= {node: each.color for node, each in look.items() if each.color is not None}
    places = {id: places for id, places in edit.places.items() if id >= len(tree)}
    places |= {node: each.places for node, each in look.items() if each.places != (HERE,)}
    away = {id: copies for id, copies in edit.hidden_copies.items() if id >= len(tree)}
    away |= {node: each.away for node, each in look.items() if each.away}
    return replace(edit, hidden=frozenset(hidden), colors=colors, places=places, hidden_copies=away)


def _looks(edit: Edit, tree: ObjectTree) -> list[ShownAs]:
    looks = [ShownAs()] * len(tree)
    for node in reversed(range(len(tree))):  # parents come after their children
        around = looks[tree.parent[node]] if tree.parent[node] >= 0 else ShownAs()
        hidden, color = node in edit.hidden or around.hidden, edit.colors.get(node, around.color)
        there = around.places, around.away
        if node in edit.places:
            there = edit.places[node], edit.hidden_places(node)
        looks[node] = ShownAs(hidden, color, *there)
    return looks


def _uneven(edit: Edit, tree: ObjectTree) -> set[int]:
    """Nodes whose slots do not all look alike."""
    looks = _looks(edit, tree)
    return {node for node in tree.inner if len({looks[leaf] for leaf in tree.leaves(node)}) > 1}

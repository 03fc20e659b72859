"""Entries of an edit's file: how the values of each are read and written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from disconerf_ns.scene.names import LONGEST
from disconerf_ns.scene.recolor import recolor_as_json, recolor_of_json
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.small_json import Value

MOST_PLACES = 64
"""Places of an object, at most."""
MOST_IDS = 10**9
"""Ids of objects, at most."""


def id_of(text: str) -> int:
    """The id that a key of a mapping is.

    Raises:
        ValueError: it is none.
    """
    if not text.isdecimal() or len(text) > len(str(MOST_IDS)) or str(int(text)) != text:
        raise ValueError(f"{text[:LONGEST]!a} is not an object's number")
    return int(text)


def _places(value: Value) -> tuple[Similarity, ...]:
    return tuple(map(Similarity.of_json, value.list(most=MOST_PLACES)))


def _copies(value: Value) -> frozenset[int]:
    return frozenset(each.whole() for each in value.list(most=MOST_PLACES))


def _places_as_json(places: tuple[Similarity, ...]) -> list[Any]:
    return [place.as_json() for place in places]


SETS = ("hidden", "opened")
"""Entries of an edit's file that list ids."""


class Entry(NamedTuple):
    """How the values of an entry of an edit's file are read and written."""

    read: Callable[[Value], Any]
    write: Callable[[Any], Any] = lambda value: value


MAPPINGS = {
    "colors": Entry(recolor_of_json, recolor_as_json),
    "places": Entry(_places, _places_as_json),
    "hidden_copies": Entry(_copies, sorted),
    "names": Entry(Value.text),
    "merged": Entry(Value.whole),
    "split": Entry(Value.whole),
}
"""Entries of an edit's file that map ids."""

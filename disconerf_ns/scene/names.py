"""Names that a person gives to objects."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import count

from disconerf_ns.scene.objects import REST, SceneObject

LONGEST = 60
"""Characters of a name, at most."""


def name_fault(name: str) -> str | None:
    """The reason why nothing can have a name; None if something can."""
    if not name.strip():
        return "a name is empty"
    if len(name) > LONGEST:
        return f"a name has {len(name)} characters, more than {LONGEST}"
    if not name.isprintable():
        return f"the name {name!r} has line breaks or other characters that cannot be shown"
    return None


def read_otherwise(name: str) -> bool:
    """Whether commands take a name for another kind: a number, an output name or the rest."""
    number = name.removeprefix("object_")
    return name == REST or number.isdecimal()


def numbered(name: str, taken: Container[str]) -> Iterator[str]:
    """Names for the pieces of what has a name: the name with numbers from 1 on, without names that are taken.

    >>> names = numbered("mug", {"mug 2"})
    >>> next(names), next(names)
    ('mug 1', 'mug 3')
    """
    for number in count(1):
        ending = f" {number}"
        if (piece := name[: LONGEST - len(ending)].rstrip() + ending) not in taken:
            yield piece


def new_name_fault(name: str, id: int, objects: Sequence[SceneObject]) -> str | None:
    """The reason why an object cannot be given a name; None if it can, or if the name is empty and takes its own away.

    Args:
        name: without spaces around it.
        id: of the object.
        objects: all that a name could mean.
    """
    if not name:
        return None
    if fault := name_fault(name):
        return fault
    if other := next((each for each in objects if each.id != id and name in (each.title, each.name)), None):
        taken = f"{other.name} is called {name} already"
        return taken if name == other.title else f"{name} is the name of another object"
    return f"{name} is what objects without a name are called" if read_otherwise(name) else None

"""What a person changed of an object, in words, as lists and pages of objects say it."""

from __future__ import annotations

from disconerf_ns.scene.edit import HERE, Edit


def changes(edit: Edit, id: int) -> tuple[str, ...]:
    """The changes that an edit makes to an object, such as ("hidden", "2 copies")."""
    place, *copies = edit.places_of(id)
    said = {
        "hidden": id in edit.hidden,
        "moved": place != HERE,
        f"{len(copies)} cop{'y' if len(copies) == 1 else 'ies'}": bool(copies),
        "recoloured": id in edit.colors,
    }
    return tuple(words for words, true in said.items() if true)

"""Words for a person's changes of an object, which lists and pages of objects share."""

from __future__ import annotations

from disconerf_ns.scene.edit import HERE, Edit


def changes(edit: Edit, id: int) -> tuple[str, ...]:
    """The changes that an edit makes to an object, such as ("hidden", "2 copies")."""
    place, *copies = edit.standing_of(id)
    away = len(edit.hidden_places(id))
    said = {
        "hidden": id in edit.hidden,
        "moved": place != HERE,
        f"{len(copies)} cop{'y' if len(copies) == 1 else 'ies'}": bool(copies),
        f"{away} of {len(edit.places_of(id))} places hidden": bool(away),
        "recoloured": id in edit.colors,
    }
    return tuple(words for words, true in said.items() if true)

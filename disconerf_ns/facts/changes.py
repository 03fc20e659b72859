"""Words for a person's changes of an object, which lists and pages of objects share."""

from __future__ import annotations

from disconerf_ns.scene.edit import HERE, Edit


def changes(edit: Edit, id: int) -> tuple[str, ...]:
    """The changes that an edit makes to an object, such as ("hidden", "2 copies")."""
    places, away = len(edit.places_of(id)), len(edit.hidden_places(id))
    said = {
        "hidden": id in edit.hidden,
        "moved": edit.standing_of(id)[0] != HERE,
        f"{places - 1} cop{'y' if places == 2 else 'ies'}": places > 1,
        f"{away} of {places} places hidden": bool(away),
        "recoloured": id in edit.colors,
    }
    return tuple(words for words, true in said.items() if true)

"""An object's row of the manifest: what is known of it, in the capture's frame."""

from __future__ import annotations

import math
from typing import Any

import torch

from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.recolor import recolor_as_json
from disconerf_ns.scene.similarity import Similarity


def manifest_row(scene: ArrangedScene, each: SceneObject, capture: Similarity) -> dict[str, Any]:
    """The facts of an object as JSON holds them; places and lengths are the capture's, of where the edit has it stand.

    Args:
        scene: the scene.
        each: one of its objects.
        capture: scene coordinates to the capture's.
    Returns:
        The entries that docs/manifest.md lists, but those of its files.
    """
    solid, edit = scene.bodies.whole(each.id), scene.edit
    box, there = solid.box, len(solid) > 0
    place, *copies = edit.standing_of(each.id)
    frame = capture @ place
    return {
        "id": int(each.id),
        "number": each.number,
        "label": each.label_number,
        "name": each.name,
        "title": each.title,
        "file_name": each.file_name,
        "color": [round(float(channel), 4) for channel in each.color],
        "slots": sorted(each.slots),
        "share": round(float(each.share), 6),
        "confidence": round(float(each.confidence), 4),
        "views": each.views,
        "hidden": each.id in edit.hidden,
        "recolor": recolor_as_json(edit.colors[each.id]) if each.id in edit.colors else None,
        "place": (frame @ capture.inverse()).as_json(),
        "copies": [(capture @ copy @ frame.inverse()).as_json() for copy in copies],
        "centre": _rounded(frame.points(torch.tensor(solid.centre)).tolist()) if there else None,
        "volume": _number(solid.volume * frame.scale**3) if there else None,
        "box": None if box is None else {name: _rounded(value) for name, value in box.as_json(frame).items()},
    }


def _number(value: float) -> float:
    """Six significant digits."""
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0


def _rounded(values: list) -> list:
    return [_rounded(value) if isinstance(value, list) else _number(value) for value in values]

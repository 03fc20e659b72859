"""All facts of a run's objects as one JSON document, with every length in the frame of the capture.

Volume, centre and box are of the object where the edit has it stand, the first of its `places`; photographs and
neighbours are those of where it was photographed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from disconerf_ns.facts.measure import Extent, Measured
from disconerf_ns.facts.views import Sight
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.similarity import Similarity, Vector, vector

VERSION = 3


def listing(
    objects: Sequence[SceneObject],
    measured: Mapping[ObjectId, Measured],
    to_capture: Similarity,
    edit: Edit,
    scores: Mapping[ObjectId, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """The document that `disconerf objects --json` prints.

    Args:
        objects: the objects that are shown.
        measured: what was measured of them; what is missing is null.
        to_capture: scene coordinates to those of the capture.
        edit: says what is hidden, and where objects stand.
        scores: scores in [0, 1] of the names that a model gave.
    """
    names = {each.id: each.name for each in objects}
    return {
        "version": VERSION,
        "frame": {
            "lengths": "capture",
            "up": list(up(to_capture)),
            "scene_to_capture": to_capture.as_json(),
        },
        "objects": [
            {
                **_identity(each, scores.get(each.id)),
                "hidden": each.id in edit.hidden,
                "places": [_in_capture(place, to_capture).as_json() for place in edit.standing_of(each.id)],
                **_facts(measured.get(each.id), names, to_capture, edit.standing_of(each.id)[0]),
            }
            for each in objects
        ],
    }


def sides(extent: Extent | None, unit: float) -> tuple[str, ...]:
    """Length, width and height in the capture's units, to three digits of the longest side; none without an extent.

    Args:
        extent: how much space an object takes up.
        unit: units of the capture in one of the scene, times the scale of the object's place.
    """
    if extent is None:
        return ()
    size = [unit * side for side in extent.box.size]
    decimals = max(2 - math.floor(math.log10(max(size))), 0)
    return tuple(f"{side:.{decimals}f}" for side in size)


def up(to_capture: Similarity) -> Vector:
    """The direction in the capture's frame that is z in the scene's."""
    return vector(to_capture.directions(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)))


def _in_capture(place: Similarity, to_capture: Similarity) -> Similarity:
    """What a similarity of scene coordinates does to those of the capture."""
    return to_capture @ place @ to_capture.inverse()


def _identity(each: SceneObject, score: float | None) -> dict[str, Any]:
    return {
        "id": each.id,
        "number": each.number,
        "name": each.name,
        "title": each.title,
        "title_score": score,
        "slots": sorted(each.slots),
        "color": list(each.color),
        "share_of_surface": each.share,
        "confidence": each.confidence,
    }


def _facts(
    known: Measured | None, names: Mapping[ObjectId, str], to_capture: Similarity, place: Similarity
) -> dict[str, Any]:
    if known is None:
        return dict.fromkeys((*SEEN, *EXTENT))
    scale = to_capture.scale
    beside = [{"id": other.id, "name": names[other.id], "gap": scale * other.gap} for other in known.neighbours]
    seen = {
        "share_of_pixels": known.pixels,
        "views": known.views,
        "best_views": list(map(_sight, known.best_views)),
        "neighbours": beside,
    }
    return seen | (dict.fromkeys(EXTENT) if known.extent is None else _extent(known.extent, to_capture @ place))


def _sight(sight: Sight) -> dict[str, Any]:
    return {
        "photograph": sight.view,
        "score": sight.score,
        "share_of_pixels": sight.pixels,
        "unoccluded": sight.visible,
        "whole": sight.whole,
    }


SEEN = ("share_of_pixels", "views", "best_views", "neighbours")
"""Entries that are null before the run's first checkpoint."""
EXTENT = ("volume", "centre", "box")
"""Entries that are null then too, and where nothing is solid, and for the background."""


def _extent(extent: Extent, to_capture: Similarity) -> dict[str, Any]:
    centre = to_capture.points(torch.tensor(extent.centre, dtype=torch.float64)).tolist()
    return {"volume": to_capture.scale**3 * extent.volume, "centre": centre, "box": extent.box.as_json(to_capture)}

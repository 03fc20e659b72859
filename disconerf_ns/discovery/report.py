"""Which views' and which objects' masks agree least with the scene: those to look at, and to make anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.files import write_whole
from disconerf_ns.scene.objects import SceneObject


class ViewReport(NamedTuple):
    """How well one view's masks agree with the objects of the scene."""

    image: str
    """Key of the image."""
    masks: int
    """Masks of the view."""
    explained: int
    """Those that a union of objects explains."""
    affinity: float
    """Mean affinity of its masks with their objects, in [0, 1]; 0 without masks."""


class ObjectReport(NamedTuple):
    """How well the masks show one object."""

    name: str
    """Name of the object."""
    masks: int
    """Masks of all views that are about this object alone."""
    joined: int
    """Masks that hold it together with others."""
    affinity: float
    """Mean affinity of the masks about it alone, in [0, 1]; 0 without any."""


class MaskReport(NamedTuple):
    """Views and objects, those whose masks agree least first."""

    views: list[ViewReport]
    objects: list[ObjectReport]


def report_masks(
    images: Sequence[str], explanations: Sequence[Explanation], objects: Sequence[SceneObject]
) -> MaskReport:
    """Sum up how the masks are explained.

    Args:
        images: keys of the views.
        explanations: what the masks of each view are about.
        objects: the discovered objects.
    """
    views = [
        ViewReport(image, len(e.affinity), int(e.explained.sum()), float(e.affinity.sum()) / max(len(e.affinity), 1))
        for image, e in zip(images, explanations)
    ]
    sets, affinity = torch.cat([e.sets for e in explanations]), torch.cat([e.affinity for e in explanations])
    alone = sets.sum(1) == 1
    about = []
    for found in objects:
        holds = sets[:, found.id] > 0
        own = affinity[holds & alone]
        about.append(
            ObjectReport(found.name, len(own), int((holds & ~alone).sum()), float(own.sum()) / max(len(own), 1))
        )
    return MaskReport(sorted(views, key=lambda view: view.affinity), sorted(about, key=lambda one: one.affinity))


def save_report(report: MaskReport, path: Path) -> None:
    """Write a report as JSON."""
    content = {part: [row._asdict() for row in rows] for part, rows in report._asdict().items()}
    write_whole(path, json.dumps(content, indent=1))


def load_report(path: Path) -> MaskReport:
    """Read what `save_report` wrote."""
    content = json.loads(path.read_text())
    return MaskReport(
        [ViewReport(**row) for row in content["views"]], [ObjectReport(**row) for row in content["objects"]]
    )

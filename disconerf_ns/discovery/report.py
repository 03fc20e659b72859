"""Report of the views and objects whose masks agree least with the scene, for a person to check or make anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.files import write_whole
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.small_json import small_json


class ViewReport(NamedTuple):
    """How well one view's masks agree with the objects of the scene."""

    image: str
    """Key of the image."""
    masks: int
    """Number of masks in the view."""
    explained: int
    """Number of these masks that a union of objects explains."""
    affinity: float
    """Mean affinity of the masks with their objects, in [0, 1]; 0 without masks."""


class ObjectReport(NamedTuple):
    """How well the masks show one object."""

    name: str
    """Name of the object."""
    masks: int
    """Number of masks, over all views, that are about this object alone."""
    joined: int
    """Number of masks that are about this object together with others."""
    affinity: float
    """Mean affinity of the masks about this object alone, in [0, 1]; 0 without any."""


class MaskReport(NamedTuple):
    """Reports of all views and objects, in order of increasing affinity."""

    views: list[ViewReport]
    objects: list[ObjectReport]


def report_masks(
    images: Sequence[str], explanations: Sequence[Explanation], objects: Sequence[SceneObject]
) -> MaskReport:
    """Summarise the explanations of all masks.

    Args:
        images: keys of the views.
        explanations: explanations of the masks of each view.
        objects: discovered objects.
    """
    masks = [len(view.affinity) for view in explanations]
    sets = torch.cat([view.sets for view in explanations]).cpu()
    affinity = torch.cat([view.affinity for view in explanations]).cpu()
    views = [
        ViewReport(image, len(view.affinity), int(view.explained.sum()), _mean(view.affinity))
        for image, view in zip(images, map(Explanation, sets.split(masks), affinity.split(masks)))
    ]
    reports = []
    for each in objects:
        inside = sets[:, sorted(each.slots)].sum(1)
        alone = (inside > 0) & (inside == sets.sum(1))
        own = affinity[alone]
        reports.append(ObjectReport(each.name, len(own), int(((inside > 0) & ~alone).sum()), _mean(own)))
    return MaskReport(
        sorted(views, key=lambda report: report.affinity), sorted(reports, key=lambda report: report.affinity)
    )


def _mean(affinity: Float[Tensor, "masks"]) -> float:
    return float(affinity.sum()) / max(len(affinity), 1)


def save_report(report: MaskReport, path: Path) -> None:
    """Write a report as JSON."""
    content = {section: [row._asdict() for row in rows] for section, rows in report._asdict().items()}
    write_whole(path, json.dumps(content, indent=1))


def load_report(path: Path) -> MaskReport:
    """Read a report that `save_report` wrote.

    Raises:
        UserError: it is something else.
    """
    with small_json(path, "a report of masks", "delete it; objects are listed without it.") as content:
        return MaskReport(
            [
                ViewReport(
                    row["image"].text(), row["masks"].whole(), row["explained"].whole(), row["affinity"].number()
                )
                for row in content["views"].list()
            ],
            [
                ObjectReport(row["name"].text(), row["masks"].whole(), row["joined"].whole(), row["affinity"].number())
                for row in content["objects"].list()
            ],
        )

"""The objects in the training photographs: label images, COCO's JSON, and the opacity of each object alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16

from disconerf_ns.evaluation.predictions import frame_of_view
from disconerf_ns.evaluation.views import EvaluatedRun, View
from disconerf_ns.files import write_whole
from disconerf_ns.filming.matte import in_bytes, write_png
from disconerf_ns.masks import rle
from disconerf_ns.masks.label_image import write_label_image
from disconerf_ns.rendering.outputs import label_numbers
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject

Track = Callable[[Iterable[View], str], Iterable[View]]
"""Shows progress over views, under a sentence."""


def write_labels(
    folder: Path,
    run: EvaluatedRun,
    scene: ArrangedScene,
    objects: Sequence[SceneObject],
    views: Sequence[View],
    downscale: int,
    track: Track,
) -> None:
    """Write `labels/<photograph>.png`, 16 bit, and `coco.json`, which says the same of each object and view.

    COCO's masks have the size of the photographs that it names, because programs lay them over these; where labels are
    smaller, a pixel is that of the nearest label. Labels are 1 for `object_00` and so on, 0 where none of the objects
    is seen, as in `disconerf eval --save`; they are COCO's categories too.

    Args:
        folder: where both are written.
        run: the loaded run.
        scene: the scene, as edited.
        objects: the objects that are written; pixels of others are 0.
        views: the training views.
        downscale: views are looked at at 1 / downscale of their size.
        track: shows progress.
    """
    wanted = {each.label_number: each for each in objects if each.number is not None}
    images, annotations = [], []
    for number, view in enumerate(track(views, "labels of the views"), 1):
        frame = frame_of_view(run, view.index, downscale, "train").under(scene)
        labels = frame.image(label_numbers(frame))[..., 0].cpu().numpy()
        labels = np.where(np.isin(labels, list(wanted)), labels, 0).astype(np.uint16)
        write_label_image(labels, folder / "labels" / f"{view.key}.png")
        size = {"height": view.height, "width": view.width}
        images.append({"id": number, "file_name": f"{view.key}{view.image.suffix}", "key": view.key} | size)
        annotations += [
            {"id": len(annotations) + k, "image_id": number, **annotation}
            for k, annotation in enumerate(_annotations(_enlarged(labels, view.height, view.width)), 1)
        ]
    categories = [{"id": label, "name": each.label} for label, each in wanted.items()]
    info = {"description": "objects in the training photographs", "version": "1.0", "contributor": "disconerf export"}
    content = {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    write_whole(folder / "coco.json", json.dumps(content))


def write_alphas(
    folder: Path,
    run: EvaluatedRun,
    scene: ArrangedScene,
    objects: Sequence[SceneObject],
    views: Sequence[View],
    downscale: int,
    track: Track,
) -> None:
    """Write `alpha/<object>/<photograph>.png`, 8 bit: how opaque an object is with everything in front of it removed.

    Arguments as in `write_labels`.
    """
    for view in track(views, "objects without what hides them"):
        frame = frame_of_view(run, view.index, downscale, "train").under(scene)
        for each in objects:
            alpha = frame.image(frame.alone(each.id)["accumulation"])[..., 0].cpu().numpy()
            write_png(folder / "alpha" / each.file_name / f"{view.key}.png", in_bytes(alpha))


def _annotations(labels: UInt16[np.ndarray, "h w"]) -> list[dict[str, Any]]:
    found = []
    for label in np.unique(labels[labels > 0]):
        mask = rle.encode(labels == label)
        found.append(
            {
                "category_id": int(label),
                "segmentation": mask,
                "area": rle.area(mask),
                "bbox": list(rle.bounding_box(mask)),
                "iscrowd": 0,
            }
        )
    return found


def _enlarged(labels: UInt16[np.ndarray, "h w"], height: int, width: int) -> UInt16[np.ndarray, "height width"]:
    """Each pixel as the nearest of a smaller picture: its middle is at (k + 1/2) h / height."""
    rows, columns = ((2 * np.arange(n) + 1) * few // (2 * n) for n, few in zip((height, width), labels.shape))
    return labels[np.ix_(rows, columns)]

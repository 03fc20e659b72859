"""Scoring a run, and the masks that taught it, on held-out views with true labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.masks.store import MaskStore, image_key, resample
from disconerf_ns.metrics import (
    OverlapTable,
    best_dice,
    labels_table,
    masks_table,
    symmetric_best_dice,
    weighted_iou,
)
from disconerf_ns.pipeline import DiscoNerfPipeline

METRICS: dict[str, Callable[[OverlapTable], float]] = {
    "IoU": weighted_iou,
    "BD": best_dice,
    "SBD": symmetric_best_dice,
}
"""The paper's three metrics."""


@dataclass
class Scores:
    """Values in [0, 1] by metric."""

    masks: dict[str, float]
    """The 2D masks, a mean over views (the paper's SAM (2D) column)."""
    views: dict[str, float]
    """The field, a mean over views."""
    scene: dict[str, float]
    """The field over all views at once: one label has to be one object everywhere."""


def read_labels(folder: Path, key: str) -> Int[np.ndarray, "h w"]:
    """True labels of an image, `<folder>/<key>.png`, 8 or 16 bit.

    Raises:
        UserError: there is no such file.
    """
    path = folder / f"{key}.png"
    if not path.exists():
        raise UserError(f"ground truth: there is no {path}; one label image per held-out view is needed.")
    return np.asarray(Image.open(path)).astype(np.int64)


def predict_labels(pipeline: DiscoNerfPipeline, view: int, downscale: int = 1) -> Int[np.ndarray, "h w"]:
    """The slot that each pixel of a held-out view belongs to, + 1; 0 where there is no surface."""
    camera = pipeline.datamanager.eval_dataset.cameras[view : view + 1].to(pipeline.device)
    camera.rescale_output_resolution(1 / downscale)
    return pipeline.model.get_outputs_for_camera(camera)["label"][..., 0].long().cpu().numpy()


def evaluate(
    pipeline: DiscoNerfPipeline, labels: Path, masks: MaskStore, void: int | None = 0, downscale: int = 1
) -> Scores:
    """Score the field and the masks on every held-out view.

    Args:
        pipeline: a loaded or trained run.
        labels: folder of true labels by image key.
        masks: 2D masks of the same views; a view without masks scores 0.
        void: true label that counts nowhere.
        downscale: the field is rendered at 1 / downscale of the images' size.
    Raises:
        UserError: no view is held out, or one has no true labels.
    """
    dataset, data = pipeline.datamanager.eval_dataset, Path(pipeline.config.datamanager.dataparser.data)
    if len(dataset) == 0:
        raise UserError(f"evaluation: {data} holds no view out; keep some out with the dataparser's split options.")
    predicted, truth, of_masks, of_views = [], [], [], []
    for view, image in enumerate(dataset.image_filenames):
        key = image_key(image, data)
        true = read_labels(labels, key)
        found = predict_labels(pipeline, view, downscale)
        predicted.append(found)
        truth.append(resample(true, *found.shape))
        of_views.append(labels_table(found, truth[-1], void))
        stored = masks.resolve(key)
        found_masks = np.zeros((0, *true.shape), bool) if stored is None else masks.load(stored).decode(*true.shape)
        of_masks.append(masks_table(found_masks, true, void))
    scene = labels_table(*(np.concatenate([m.ravel() for m in maps]) for maps in (predicted, truth)), void)

    def mean(tables: list[OverlapTable]) -> dict[str, float]:
        return {name: float(np.mean([metric(t) for t in tables])) for name, metric in METRICS.items()}

    return Scores(mean(of_masks), mean(of_views), {name: metric(scene) for name, metric in METRICS.items()})


def psnr(pipeline: DiscoNerfPipeline, view: int) -> float:
    """Peak signal to noise ratio of a held-out view in dB."""
    dataset = pipeline.datamanager.eval_dataset
    rgb = pipeline.model.get_outputs_for_camera(dataset.cameras[view : view + 1].to(pipeline.device))["rgb"]
    error = (rgb.cpu() - dataset[view]["image"][..., :3]).square().mean()
    return float(-10 * torch.log10(error))

"""What the objects of a scene look like beside the truth, at their best and at their worst, and how far to trust them.

    python -m benchmarks.pictures --run outputs/room/disconerf-small/TIME/config.yml --data data/room

Trains the object stage as `benchmarks.quality` does, and writes docs/<scene>.png and
benchmarks/results/confidence_<scene>.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import tyro
from jaxtyping import Float, Int
from PIL import Image

from benchmarks.quality import Stage, least_share
from benchmarks.variants import VARIANTS, train
from disconerf_ns.evaluation import compare, number_objects, whole_scene
from disconerf_ns.files import write_whole
from disconerf_ns.labels import label_files, read_label_image
from disconerf_ns.metrics import match, weighted_iou
from disconerf_ns.palette import object_colors
from disconerf_ns.provenance import machine, versions
from disconerf_ns.views import load_masks, views_of

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BINS = 10


@dataclass
class Pictures:
    """Draw a scene's objects beside the truth."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: str = "middle"
    """Set of masks."""
    iterations: int = 400
    """Iterations of the object stage."""
    downscale: int = 2
    """Held-out views are rendered at 1 / downscale of their size."""
    shown: int = 2
    """Views with the highest IoU that are drawn, and as many with the lowest."""
    docs: Path = Path("docs")
    """Folder of the picture."""
    results: Path = Path("benchmarks/results")
    """Folder of the figures."""


def paint(labels: Int[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Label n in the n-th colour, 0 in dark grey."""
    colors = np.concatenate([[[0.15, 0.15, 0.15]], object_colors(int(labels.max()))])
    return colors[labels]


def as_labels(masks: np.ndarray, truth: Int[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Overlapping masks as one map, the small ones on top, each as the true object that it holds most of."""
    labels = np.zeros_like(truth)
    for mask in sorted(masks, key=lambda mask: -mask.sum()):
        labels[mask] = np.bincount(truth[mask]).argmax()
    return labels


def main(trial: Pictures) -> None:
    stage = Stage(trial, trial.masks, {})
    pipeline = stage.prepare(VARIANTS["scene"])
    train(pipeline, VARIANTS["scene"], trial.iterations, seed=0)
    pipeline.config.object_min_share = least_share("scene")
    pipeline.discover_objects()
    views = views_of(pipeline)
    compared, confidences, photos, masks = [], [], [], []
    for view, path in zip(views, label_files(trial.data / "labels", views)):
        camera = pipeline.datamanager.eval_dataset.cameras[view.index : view.index + 1].to(pipeline.device)
        camera.rescale_output_resolution(1 / trial.downscale)
        outputs = pipeline.model.get_outputs_for_camera(camera)
        compared.append(compare(number_objects(pipeline, outputs["label"]), read_label_image(path)))
        height, width = compared[-1].truth.shape
        confidences.append(outputs["confidence"][..., 0].cpu().numpy())
        photos.append(np.asarray(Image.open(view.image).convert("RGB").resize((width, height), Image.BOX)) / 255)
        masks.append(load_masks(pipeline.datamanager.store, view).decode(height, width))
    scene = whole_scene(compared)
    segments, objects = match(scene)
    partner = {0: 0, **{int(scene.segments[s]): int(scene.objects[o]) for s, o in zip(segments, objects)}}
    most = int(scene.objects.max())
    extra = {s: most + 1 + i for i, s in enumerate(s for s in map(int, scene.segments) if s not in partner)}
    found = [np.vectorize({**partner, **extra}.get)(view.predicted) for view in compared]

    order = np.argsort([-weighted_iou(view.field) for view in compared])
    chosen = [*order[: trial.shown], *order[len(order) - trial.shown :]]
    titles = ["photograph, held out", "true objects", "2D masks of this view", "objects of the scene", "wrong pixels"]
    figure, axes = plt.subplots(len(chosen), 5, figsize=(15, 2.36 * len(chosen)), squeeze=False)
    for row, index in zip(axes, chosen):
        truth = compared[index].truth
        wrong = (found[index] != truth) & (truth != 0)
        error = np.where(wrong[..., None], [0.85, 0.1, 0.1], 0.35 + 0.5 * photos[index].mean(-1, keepdims=True))
        images = [photos[index], paint(truth), paint(as_labels(masks[index], truth)), paint(found[index]), error]
        for axis, image, title in zip(row, images, titles):
            axis.imshow(image, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(title if row is axes[0] else "", fontsize=11)
        row[0].set_ylabel(f"view IoU {100 * weighted_iou(compared[index].field):.1f}", fontsize=11)
    figure.tight_layout(pad=0.3)
    trial.docs.mkdir(parents=True, exist_ok=True)
    figure.savefig(trial.docs / f"{trial.data.name}.png", dpi=80)

    counted = np.concatenate([(view.truth != 0).ravel() for view in compared])
    confidence = np.concatenate([c.ravel() for c in confidences])[counted]
    correct = np.concatenate([(f == view.truth).ravel() for f, view in zip(found, compared)])[counted]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = [
        {
            "from": b / BINS,
            "pixels": int((bins == b).sum()),
            "confidence": float(confidence[bins == b].mean()) if (bins == b).any() else None,
            "correct": float(correct[bins == b].mean()) if (bins == b).any() else None,
        }
        for b in range(BINS)
    ]
    error = sum(r["pixels"] * abs(r["confidence"] - r["correct"]) for r in rows if r["pixels"]) / len(confidence)
    facts = {"machine": machine(), "versions": versions(), "scene": trial.data.name, "masks": trial.masks}
    content = {**facts, "iterations": trial.iterations, "calibration_error": float(error), "bins": rows}
    write_whole(trial.results / f"confidence_{trial.data.name}.json", json.dumps(content, indent=1))
    print(f"{trial.data.name}: expected calibration error {100 * error:.1f} %")


if __name__ == "__main__":
    main(tyro.cli(Pictures))

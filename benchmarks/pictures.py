"""A scene's objects beside the truth, where they are best and where they are worst, and how far to trust them.

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

from benchmarks.quality import Stage, show
from benchmarks.variants import VARIANTS, train
from disconerf_ns.evaluation.label_files import label_files
from disconerf_ns.evaluation.metrics import match_segments, weighted_iou
from disconerf_ns.evaluation.predictions import frame_of_view, label_map
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.scores import compare, whole_scene
from disconerf_ns.evaluation.views import load_masks, views_of
from disconerf_ns.files import write_whole
from disconerf_ns.palette import object_colors
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.rendering.outputs import frame_outputs

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


@dataclass
class Look:
    """A held-out view, all of it at one size."""

    photo: Float[np.ndarray, "h w 3"]
    truth: Int[np.ndarray, "h w"]
    """True label; 0 counts nowhere."""
    masks: Int[np.ndarray, "h w"]
    """2D masks as labels, see `as_labels`."""
    found: Int[np.ndarray, "h w"]
    """The true label of the scene's object that is seen; an object that matches none has a number of its own."""
    confidence: Float[np.ndarray, "h w"]
    iou: float
    """Area-weighted IoU of the view."""


def look(pipeline: DiscoNerfPipeline, labels: Path, downscale: int) -> list[Look]:
    """Every held-out view of a run with objects."""
    views = views_of(pipeline)
    compared, confidences = [], []
    for view, file in zip(views, label_files(labels, views)):
        outputs = frame_outputs(frame_of_view(pipeline, view.index, downscale))
        compared.append(compare(label_map(outputs["label"]), file.read()))
        confidences.append(outputs["confidence"][..., 0].cpu().numpy())
    scene = whole_scene(compared)
    names = {0: 0} | {int(scene.segments[s]): int(scene.objects[t]) for s, t in zip(*match_segments(scene))}
    strangers = [int(s) for s in scene.segments if int(s) not in names]
    names |= {s: int(scene.objects.max()) + 1 + number for number, s in enumerate(strangers)}
    looks = []
    for view, found, confidence in zip(views, compared, confidences):
        height, width = found.truth.shape
        photo = Image.open(view.image).convert("RGB").resize((width, height), Image.BOX)
        masks = load_masks(pipeline.datamanager.store, view).decode(height, width)
        objects = np.vectorize(names.get)(found.predicted)
        painted, iou = as_labels(masks, found.truth), weighted_iou(found.field)
        looks.append(Look(np.asarray(photo) / 255, found.truth, painted, objects, confidence, iou))
    return looks


def draw(looks: list[Look], path: Path) -> None:
    """One row of pictures per view."""
    titles = ["photograph, held out", "true objects", "2D masks of this view", "objects of the scene", "wrong pixels"]
    figure, axes = plt.subplots(len(looks), len(titles), figsize=(15, 2.36 * len(looks)), squeeze=False)
    for row, view in zip(axes, looks):
        wrong = (view.found != view.truth) & (view.truth != 0)
        grey = 0.35 + 0.5 * view.photo.mean(-1, keepdims=True)
        errors = np.where(wrong[..., None], [0.85, 0.1, 0.1], grey)
        for axis, image in zip(row, [view.photo, paint(view.truth), paint(view.masks), paint(view.found), errors]):
            axis.imshow(image, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(f"view IoU {100 * view.iou:.1f}", fontsize=11)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=11)
    figure.tight_layout(pad=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)


def reliability(looks: list[Look]) -> tuple[float, list[dict]]:
    """Confidence beside the part of pixels that are right: the expected calibration error, and tenths of confidence."""
    counted = [view.truth != 0 for view in looks]
    confidence = np.concatenate([view.confidence[some] for view, some in zip(looks, counted)])
    correct = np.concatenate([(view.found == view.truth)[some] for view, some in zip(looks, counted)])
    tenth = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {
            "pixels": int((tenth == number).sum()),
            "confidence": float(confidence[tenth == number].mean()),
            "correct": float(correct[tenth == number].mean()),
        }
        for number in np.unique(tenth)
    ]
    error = sum(b["pixels"] * abs(b["confidence"] - b["correct"]) for b in bins) / len(confidence)
    return error, bins


def main(trial: Pictures) -> None:
    pipeline = Stage(trial, trial.masks, {}).prepare(VARIANTS["scene"])
    show(pipeline, "scene", train(pipeline, VARIANTS["scene"], trial.iterations, seed=0))
    looks = sorted(look(pipeline, trial.data / "labels", trial.downscale), key=lambda view: -view.iou)
    draw([*looks[: trial.shown], *looks[len(looks) - trial.shown :]], trial.docs / f"{trial.data.name}.png")
    error, bins = reliability(looks)
    facts = {"machine": machine(), "versions": versions(), "scene": trial.data.name, "masks": trial.masks}
    content = {**facts, "iterations": trial.iterations, "calibration_error": error, "bins": bins}
    write_whole(trial.results / f"confidence_{trial.data.name}.json", json.dumps(content, indent=1))
    print(f"{trial.data.name}: expected calibration error {100 * error:.1f} %")


if __name__ == "__main__":
    main(tyro.cli(Pictures))

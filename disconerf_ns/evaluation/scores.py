"""Scores of a run, and of the masks that taught it, on views with true labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.label_files import LabelFile, label_files, listed_void, said_void, void_labels
from disconerf_ns.evaluation.metrics import (
    COUNTS,
    FRACTIONS,
    METRICS,
    Metrics,
    OverlapTable,
    labels_table,
    masks_table,
    match_segments,
)
from disconerf_ns.evaluation.predictions import NOTHING, label_map, predict_labels
from disconerf_ns.evaluation.views import EvaluatedRun, View, load_masks, views_of
from disconerf_ns.masks.image_masks import resample
from disconerf_ns.masks.numbers import Named
from disconerf_ns.masks.placement import Orientation
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.scene.tree import DEFAULT


@dataclass
class Scores:
    """Values by metric."""

    masks: dict[str, float]
    """The 2D masks, a mean over views (the paper's SAM (2D) column); empty where none were scored."""
    views: dict[str, float]
    """The field, a mean over views."""
    scene: dict[str, float]
    """The field over all views at once: one label has to be one object everywhere."""


@dataclass(frozen=True)
class Comparison:
    """A view's prediction beside the truth."""

    predicted: Int[np.ndarray, "h w"]
    truth: Int[np.ndarray, "h w"]
    """True labels at the prediction's size."""
    ignored: frozenset[int]
    """True labels that count nowhere."""
    field: OverlapTable
    """The prediction's overlaps."""
    masks: OverlapTable | None
    """Overlaps of the 2D masks; None if masks are not scored."""


def compare(
    predicted: Int[np.ndarray, "h w"],
    true: Int[np.ndarray, "a b"],
    masks: OverlapTable | None = None,
    void: Named = "auto",
) -> Comparison:
    """Compare a prediction with true labels of any size, at the prediction's.

    Args:
        void: true labels that count nowhere; "auto" judges by this view's labels.
    """
    ignored = void_labels([true], void)
    truth = resample(true, *predicted.shape)
    return Comparison(predicted, truth, ignored, labels_table(predicted, truth, ignored, NOTHING), masks)


def compare_masks(store: MaskStore, view: View, true: Int[np.ndarray, "h w"], void: Named = "auto") -> OverlapTable:
    """Overlaps of a view's 2D masks with the true labels, at these labels' size; `void` as in `compare`."""
    return masks_table(load_masks(store, view).decode(*true.shape), true, void_labels([true], void))


class TrueLabels(NamedTuple):
    """True labels of views, and the 2D masks that are scored beside the predictions."""

    files: Sequence[LabelFile]
    """In the order of the views."""
    masks: MaskStore | None
    """None scores no masks."""
    void: frozenset[int]
    """Labels that count nowhere."""

    def compare(self, index: int, view: View, predicted: Int[np.ndarray, "h w"]) -> Comparison:
        """Compare a prediction, and the 2D masks, of the view with this index with its true labels."""
        true = self.files[index].read()
        of_masks = None if self.masks is None else compare_masks(self.masks, view, true, self.void)
        return compare(predicted, true, of_masks, self.void)


def whole_scene(views: Sequence[Comparison]) -> OverlapTable:
    """Overlaps over all views at once, without the labels that count nowhere in one of them."""
    predicted = np.concatenate([view.predicted.ravel() for view in views])
    truth = np.concatenate([view.truth.ravel() for view in views])
    return labels_table(predicted, truth, _ignored(views), NOTHING)


def _ignored(views: Sequence[Comparison]) -> frozenset[int]:
    return frozenset().union(*(view.ignored for view in views))


def apply(metrics: Metrics, table: OverlapTable) -> dict[str, float]:
    """Value of each metric."""
    return {name: float(metric(table)) for name, metric in metrics.items()}


def summarize(views: Sequence[Comparison], metrics: Metrics = METRICS) -> Scores:
    """Means over the views that show a true object, and the scene as a whole.

    Raises:
        UserError: no view shows one.
    """

    def mean(tables: Sequence[OverlapTable]) -> dict[str, float]:
        return {name: float(np.mean([metric(table) for table in tables])) for name, metric in metrics.items()}

    shown = [view for view in views if len(view.field.objects)]
    if not shown:
        ignored = " or ".join(map(str, listed_void(_ignored(views))))
        raise UserError(
            f"ground truth: all pixels of the evaluated views have the label {ignored}, which means no object, so "
            "nothing can be scored; name the labels that mean no object with --void, or --void None if there are none."
        )
    of_masks = [view.masks for view in shown if view.masks is not None]
    return Scores(
        masks=mean(of_masks) if of_masks else {},
        views=mean([view.field for view in shown]),
        scene=apply(metrics, whole_scene(views)),
    )


@dataclass(frozen=True)
class ObjectScore:
    """How a true object was found in the scene as a whole."""

    label: int
    """True label."""
    area: int
    """Pixels in all views."""
    iou: float
    """IoU with the object that was matched to it one to one, in [0, 1]; 0 where none was."""
    segment: str | None
    """Name of that object."""


def score_objects(scene: OverlapTable) -> list[ObjectScore]:
    """Every true object of the scene, by label."""
    iou = scene.iou()
    partner = {int(t): int(p) for p, t in zip(*match_segments(scene))}
    return [
        ObjectScore(
            label=int(label),
            area=int(scene.true[t]),
            iou=float(iou[partner[t], t]) if t in partner else 0.0,
            segment=f"object_{scene.segments[partner[t]] - 1:02d}" if t in partner else None,
        )
        for t, label in enumerate(scene.objects)
    ]


def report(views: Mapping[View, Comparison]) -> dict[str, Any]:
    """All there is to say about compared views, as JSON: `scores`, `views` one by one, and the scene's `objects`."""
    metrics = {**FRACTIONS, **COUNTS}
    scores = asdict(summarize(list(views.values()), metrics))
    each = [
        {
            "image": view.key,
            "split": view.split,
            "width": found.predicted.shape[1],
            "height": found.predicted.shape[0],
            "field": apply(metrics, found.field),
            "masks": None if found.masks is None else apply(metrics, found.masks),
        }
        for view, found in views.items()
    ]
    objects = [asdict(found) for found in score_objects(whole_scene(list(views.values())))]
    return {"scores": {name: values for name, values in scores.items() if values}, "views": each, "objects": objects}


def evaluate(
    run: EvaluatedRun,
    labels: Path,
    masks: MaskStore | None,
    void: Named = "auto",
    downscale: int = 1,
    metrics: Metrics = METRICS,
    orientation: Orientation = "auto",
    granularity: float = DEFAULT,
) -> Scores:
    """Score the field and the masks on every held-out view.

    Args:
        run: a loaded or trained run; a person's edit takes no part.
        labels: folder of true labels by image key.
        masks: 2D masks of the same views, of which a view without masks scores 0; None scores no masks.
        void: true labels that count nowhere; "auto" judges by all labels and says what was judged.
        downscale: the field is rendered at 1 / downscale of the images' size.
        metrics: what is measured.
        orientation: picture that the labels were drawn on, as in `placement.decide_picture`.
        granularity: how fine the scored objects are, in [0, 1].
    Raises:
        UserError: no view is held out, one has no true labels or labels of another shape, or there are no objects.
    """
    views = views_of(run)
    files = label_files(labels, views, orientation)
    truth = TrueLabels(files, masks, said_void(files, void))
    predictions = (predict_labels(run, view.index, downscale, granularity=granularity) for view in views)
    compared = [truth.compare(index, *pair) for index, pair in enumerate(zip(views, predictions))]
    return summarize(compared, metrics)


def psnr(run: EvaluatedRun, view: int) -> float:
    """Peak signal to noise ratio of a held-out view in dB."""
    dataset = run.datamanager.eval_dataset
    rgb = run.model.get_outputs_for_camera(dataset.cameras[view : view + 1].to(run.device))["rgb"]
    error = (rgb.cpu() - dataset[view]["image"][..., :3]).square().mean()
    return float(-10 * torch.log10(error))


# -------------------------------------------------------------------- ns-eval

NS_EVAL: Metrics = {name.lower(): FRACTIONS[name] for name in (*METRICS, "PQ")}
"""Metrics of the objects that ns-eval reports."""


@contextmanager
def object_metrics(run: EvaluatedRun) -> Iterator[dict[str, float]]:
    """Scores of the label maps that nerfstudio's evaluation renders within; they are there when it is over.

    Keys are `object_iou`, ... (means over views) and `scene_iou`, ...; there are none without true labels of every
    held-out view in DATA/labels/, or without objects.
    """
    scores: dict[str, float] = {}
    data = Path(run.config.datamanager.dataparser.data)
    folder = (data.parent if data.suffix == ".json" else data) / "labels"
    if not folder.is_dir():
        yield scores
        return
    run.model.label_maps = maps = {}
    try:
        yield scores
    finally:
        run.model.label_maps = None
    if not maps:
        return
    try:
        files = label_files(folder, views_of(run))
        truths = {i: files[i].read() for i in sorted(maps)}
        ignored = void_labels(truths.values(), "auto")
        scored = summarize([compare(label_map(maps[i]), true, void=ignored) for i, true in truths.items()], NS_EVAL)
    except UserError as error:
        CONSOLE.log(f"objects are not scored (`disconerf eval` has options for it): {error}")
        return
    if listed_void(ignored) != [0]:
        listed = ", ".join(map(str, listed_void(ignored)))
        CONSOLE.log(f"true labels that mean no object, whose pixels no score counts: {listed or 'none'}")
    scores.update({f"object_{name}": value for name, value in scored.views.items()})
    scores.update({f"scene_{name}": value for name, value in scored.scene.items()})

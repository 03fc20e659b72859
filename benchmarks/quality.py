"""The object field beside its own supervision and other ways to lift the same masks, on the same frozen surfaces.

    python -m benchmarks.quality --run outputs/room/disconerf-small/TIME/config.yml --data data/room

The run's radiance field is used as it is; for every set of masks, method and seed the objects are found anew and
scored on the held-out views: beside true instances and, where `parts/` is there, true parts, at the default cut and at
the best of the cuts of GRANULARITIES. Methods without a tree have one cut. Figures are written after each of them, and
what is in the file already is not done again.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from jaxtyping import Float, Int
from torch import Tensor, nn

from benchmarks.baselines import contrastive, panoptic_lifting
from benchmarks.runs import UNKNOWN, load
from benchmarks.scoring import LabelMaps, islands, outside, read_truth, score_maps, score_masks, uncovered
from benchmarks.variants import VARIANTS, Variant, train
from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.discovery.cells import Cells
from disconerf_ns.evaluation.label_files import label_path
from disconerf_ns.evaluation.predictions import NOTHING, frame_of_view, label_map
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.views import views_of
from disconerf_ns.files import write_whole
from disconerf_ns.masks.image_masks import resample
from disconerf_ns.masks.label_image import read_label_image
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.rendering.outputs import label_numbers
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.tree import DEFAULT


@dataclass
class Quality:
    """Score ways to find objects from the same masks."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("middle", "mixed", "heavy", "mild")
    """Sets of masks."""
    methods: tuple[str, ...] = (
        "scene",
        "view",
        "view, agreed slots",
        "panoptic lifting",
        "panoptic lifting, agreed slots",
        "contrastive",
        "contrastive, authors' settings",
        "consensus",
        "scene, spare slots",
    )
    """Methods that are scored: those of benchmarks/variants.py and of BASELINES. "agreed slots" are as many slots as
    the masks agree on objects, "spare slots" twice the most masks of a view; matching by scene has the former, others
    the latter where nothing is said."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each."""
    surface: Literal["learned", "true"] = "learned"
    """The run's surface, or that of the made scene of the dataset's name, for training and for scoring."""
    iterations: int = 400
    """Iterations of each training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    output: Path = Path("benchmarks/results/quality.json")
    """File of the figures."""


SMALLEST = DiscoNerfPipelineConfig().object_min_share
"""Least share of the visible surface that is an object, for every method: the shipped one."""
GRANULARITIES = tuple(np.linspace(0, 1, 21).round(2).tolist())
"""Cuts among which the best is looked for."""


class NearestPoint(nn.Module):
    """An object for every point: that of the nearest of some surface points."""

    def __init__(self, points: Float[Tensor, "n 3"], groups: Int[Tensor, "n"]):
        super().__init__()
        self.cells, self.groups, self.slots = Cells(points.cpu()), groups.cpu(), int(groups.max()) + 1

    def forward(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n slots"]:
        """1 for the object of each contracted position, 0 for the others."""
        groups = self.groups[self.cells.at(positions.detach().cpu())]
        return nn.functional.one_hot(groups, self.slots).float().to(positions.device)


def consensus_alone(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> nn.Module:
    """The objects that all views agree on, without a field."""
    return NearestPoint(pipeline.model.consensus_points, pipeline.model.consensus_groups)


def true_labels(pipeline: DiscoNerfPipeline, iterations: int, seed: int) -> nn.Module:
    """The true object of the nearest surface point that has one: what the learned geometry leaves possible."""
    points, truth = true_points(pipeline)
    return NearestPoint(points[truth > 0], truth[truth > 0] - 1)


def true_points(pipeline: DiscoNerfPipeline) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "n"]]:
    """All surface points of the training views, contracted, and their true labels; 0 is no object."""
    manager = pipeline.datamanager
    root = Path(manager.config.dataparser.data) / "labels"
    points, groups = [], []
    for index, surface in enumerate(pipeline.object_stage.surfaces):
        labels = read_label_image(label_path(root, manager.train_keys[index])).astype(np.int64)
        truth = torch.from_numpy(resample(labels, *manager.view_size(index))).flatten()
        points.append(surface.positions.flatten(0, 1))
        groups.append(truth.repeat_interleave(surface.packed.shape[1]))
    return torch.cat(points), torch.cat(groups)


BASELINES: dict[str, Callable[[DiscoNerfPipeline, int, int], nn.Module]] = {
    "consensus": consensus_alone,
    "panoptic lifting": panoptic_lifting.train,
    "panoptic lifting, agreed slots": partial(panoptic_lifting.train, in_masks=None),
    "contrastive": contrastive.train,
    "contrastive, authors' settings": partial(contrastive.train, clustering=contrastive.AUTHORS),
    "true labels": true_labels,
}


def show(pipeline: DiscoNerfPipeline, method: str, found: nn.Module) -> int:
    """Make what a method found the objects of the run; their number at the default cut.

    The consensus is forgotten where slots are not the objects that the masks agree on, because it says nothing about
    who owns a point then. The smallest object is SMALLEST for every method.
    """
    model, agreed = pipeline.model, UNKNOWN
    if method.split(",")[0] in ("scene", "consensus"):
        near = VARIANTS.get(method, Variant()).vicinity
        agreed = model.consensus if near else replace(UNKNOWN, tree=model.tree)
    model.object_field, model.slots_by_masks = found, False
    model.agree_on(agreed)
    model.slots_by_masks = True
    pipeline.config.object_min_share = SMALLEST
    return len(pipeline.object_stage.discover_objects())


class Stage:
    """A run's frozen surfaces with one set of masks, sampled and explained once for each resolution."""

    def __init__(self, trial: Quality, masks: str, surfaces: dict):
        self.masks = masks
        self.pipeline = load(trial.run, trial.data, trial.data / "masks" / masks)
        self.pipeline.model.slots_by_masks = True
        self.field = self.pipeline.model.object_field
        self.pixels = self.pipeline.config.datamanager.view_pixels
        self.points = self.pipeline.config.model.surface_points
        self.surfaces, self.explained = surfaces, {}

    def prepare(self, variant: Variant) -> DiscoNerfPipeline:
        """The pipeline at a variant's resolution."""
        pipeline, model = self.pipeline, self.pipeline.model
        model.object_field = self.field
        size = variant.view_pixels or self.pixels, variant.surface_points or self.points
        pipeline.config.datamanager.view_pixels, model.config.surface_points = size
        pipeline.datamanager._kept.clear()
        for of_before in ("fetched", "scene_rays"):
            vars(pipeline.object_stage).pop(of_before, None)
        if size not in self.surfaces:
            self.surfaces[size] = pipeline.object_stage.sample_surfaces(pipeline.folder)
        pipeline.object_stage.surfaces = self.surfaces[size]
        if size not in self.explained:
            model.agree_on(UNKNOWN)
            explanations = pipeline.object_stage.explain_masks()
            self.explained[size] = model.consensus, explanations
        consensus, pipeline.object_stage.explanations = self.explained[size]
        model.agree_on(consensus)
        return pipeline


KEYS = ("scene", "surface", "masks", "method", "seed")
"""Fields that say what a row of figures is about."""


def main(trial: Quality) -> None:
    rows = json.loads(trial.output.read_text())["rows"] if trial.output.exists() else []
    done = {tuple(row[key] for key in KEYS) for row in rows}
    surfaces = {}
    for masks in trial.masks:
        stage = Stage(trial, masks, surfaces)
        with surface_of(trial, stage.pipeline):
            for method, seed in itertools.product(trial.methods, trial.seeds):
                key = (trial.data.name, trial.surface, masks, method, seed)
                if key not in done:
                    rows.append(dict(zip(KEYS, key)) | score(trial, stage, method, seed))
                    save(trial, rows)


def surface_of(trial: Quality, pipeline: DiscoNerfPipeline) -> AbstractContextManager:
    """The surface that a trial is about, while it lasts."""
    if trial.surface == "learned":
        return nullcontext()
    from benchmarks.exact import true_surfaces

    return true_surfaces(trial.data.name, pipeline)


def score(trial: Quality, stage: Stage, method: str, seed: int) -> dict:
    """Find the objects by a method, and how good they are."""
    variant = VARIANTS.get(method)
    pipeline = stage.prepare(variant or Variant())
    start = time.perf_counter()
    if variant is None:
        found = BASELINES[method](pipeline, trial.iterations, seed)
    else:
        found = train(pipeline, variant, trial.iterations, seed)
    seconds = time.perf_counter() - start
    objects = show(pipeline, method, found)
    figures = {"objects": objects, "slots": found.slots, "seconds": round(seconds, 1)}
    figures |= score_cuts(pipeline, trial.data, maps_by_cut(pipeline, trial.downscale))
    shown = [" ".join(f"{100 * v:.1f}" for v in part.values()) for part in figures["scores"].values()]
    print(trial.data.name, stage.masks, method, seed, "masks, views, scene:", " | ".join(shown), flush=True)
    return figures


def maps_by_cut(pipeline: DiscoNerfPipeline, downscale: int) -> dict[float, LabelMaps]:
    """Label maps of the held-out views at every cut that differs from a coarser one; the default is among them.

    Surface points of a view are rendered once, and only their objects are looked up for each cut.
    """
    scene = pipeline.model.current.value
    cuts = {DEFAULT: scene.with_edit(Edit())}
    for granularity in GRANULARITIES:
        cut = scene.with_edit(Edit().at(granularity))
        if all(cut.nodes != other.nodes for other in cuts.values()):
            cuts[granularity] = cut
    maps: dict[float, list[np.ndarray]] = {granularity: [] for granularity in cuts}
    for view in views_of(pipeline):
        frame = frame_of_view(pipeline, view.index, downscale)
        frame.images()
        for granularity, cut in cuts.items():
            shown = frame.under(cut)
            maps[granularity].append(label_map(shown.image(label_numbers(shown))))
    return dict(maps)


def score_cuts(pipeline: DiscoNerfPipeline, data: Path, maps: dict[float, LabelMaps]) -> dict:
    """Scores at the default cut and at the one with the highest scene IoU, of instances and of parts."""
    store, views = pipeline.datamanager.store, views_of(pipeline)
    figures = {}
    for folder, name in {"labels": "", "parts": "parts"}.items():
        if not (data / folder).is_dir():
            continue
        truth = read_truth(data, folder, views, uncovered(store))
        by_cut = {at: score_maps(some, truth) for at, some in maps.items()}
        best = max(by_cut, key=lambda at: (by_cut[at]["scene"]["IoU"], -abs(at - DEFAULT)))
        figures[name or "scores"] = {"masks": score_masks(store, views, truth), **by_cut[DEFAULT]}
        shown = len(np.unique(np.concatenate([view[view != NOTHING] for view in maps[best]])))
        figures[f"best {name}".strip()] = {"granularity": best, "objects": shown, **by_cut[best]}
        if not name:
            figures |= {"outside": outside(maps[DEFAULT], truth), "islands": islands(maps[DEFAULT], truth)}
    return figures


def save(trial: Quality, rows: list[dict]) -> None:
    """Write all figures."""
    facts = {
        "machine": machine(),
        "versions": versions(),
        "iterations": trial.iterations,
        "downscale": trial.downscale,
    }
    write_whole(trial.output, json.dumps({**facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Quality))

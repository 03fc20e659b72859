"""Ways to draw the borders of objects, each on the same frozen surface and masks with this one thing changed.

    python -m benchmarks.borders --run outputs/sheet/disconerf-small/TIME/config.yml --data data/sheet --masks sparse

Nearly all wrong pixels lie at a border, so besides the scores it is said how many do, and on which side of the borders
between objects and nobody's surface. Figures are added to those that the file has already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.segmentation import find_boundaries
from torch import Tensor

from benchmarks.edges import on_edges
from benchmarks.quality import Quality, Stage, consensus_alone, maps_by_cut, show
from benchmarks.scoring import LabelMaps, Truth, outside, read_truth, score_maps, uncovered
from benchmarks.variants import Variant, train
from disconerf_ns.discovery import find
from disconerf_ns.discovery.consensus import Consensus
from disconerf_ns.evaluation.metrics import labels_table
from disconerf_ns.evaluation.predictions import NOTHING
from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.evaluation.views import views_of
from disconerf_ns.files import write_whole
from disconerf_ns.masks.image_masks import resample
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.scene.tree import DEFAULT
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training import scene_rays
from disconerf_ns.training.scene_rays import Rays, SceneRays

AT_BORDER = 1.5
"""Pixels from the nearest pixel whose neighbour is another true object, up to which a pixel is at a border."""
FAR_APART = 1 / 64
"""Distance of a ray's first and last surface point, in contracted space, from which on it meets two surfaces."""

Change = Callable[[DiscoNerfPipeline], AbstractContextManager]


@dataclass
class Borders:
    """Score ways to draw borders."""

    run: Path
    """config.yml of a disconerf run whose radiance field is used."""
    data: Path
    """Its dataset, with true labels in `labels/` and sets of masks in `masks/`."""
    masks: tuple[str, ...] = ("sparse",)
    """Sets of masks."""
    ways: tuple[str, ...] = ()
    """Keys of WAYS; all of them by default."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each."""
    iterations: int = 400
    """Iterations of each training."""
    downscale: int = 2
    """Held-out views are scored at 1 / downscale of their size."""
    output: Path = Path("benchmarks/results/borders.json")
    """File of the figures."""


@contextmanager
def a_quarter(pipeline: DiscoNerfPipeline) -> Iterator[None]:
    """The consensus teaches that cells are an object's as far as a quarter of its masks reach into the rest."""
    nothing = lambda covered, cells, slots, rest: torch.zeros_like(slots, dtype=torch.bool)
    with mock.patch.object(find, "beyond_border", nothing):
        yield


@contextmanager
def no_points_at_borders(pipeline: DiscoNerfPipeline) -> Iterator[None]:
    """The consensus teaches nothing in cells that have a neighbour of another object."""
    draw_points = Consensus.draw_points

    def inner(consensus: Consensus, count: int) -> tuple[Float[Tensor, "count 3"], Int[Tensor, "count"]]:
        groups = consensus.groups
        mixed = (groups[consensus.neighbours] != groups[:, None]).any(1)
        return draw_points(Consensus(consensus.points, groups.masked_fill(mixed, -1), consensus.neighbours), count)

    with mock.patch.object(Consensus, "draw_points", inner):
        yield


def other_rays(change: Callable[[Rays, Int[Tensor, "rays"], Bool[Tensor, "pixels"]], Rays], at_most: int = 1) -> Change:
    """Training draws other rays of each view: `change` is given the rays, their pixels, and pixels at mask borders.

    Args:
        change: makes the rays of a view.
        at_most: how many times as many rays there may be.
    """

    @contextmanager
    def changed(pipeline: DiscoNerfPipeline) -> Iterator[None]:
        rays_that_count, of = scene_rays.rays_that_count, SceneRays.of

        def rays(surface: SurfaceSamples, view: scene_rays.MaskedView, masks: int, stride: int) -> Rays:
            pixels = scene_rays.pixels_that_count(surface, view, stride)
            border = mask_borders(pipeline, view.index)[pixels]
            return change(rays_that_count(surface, view, masks, stride), pixels, border)

        def with_room(surfaces, *others) -> SceneRays:
            return of([*surfaces] * at_most, *others)

        with mock.patch.object(scene_rays, "rays_that_count", rays), mock.patch.object(SceneRays, "of", with_room):
            yield

    return changed


def mask_borders(pipeline: DiscoNerfPipeline, index: int) -> Bool[Tensor, "pixels"]:
    """Pixels of a training view in the object stage that lie within a pixel of its image from a mask's border."""
    manager = pipeline.datamanager
    masks = manager.masks[index].decode(*manager._image_size(index))
    borders = [binary_dilation(mask) & binary_dilation(~mask) for mask in masks.astype(bool)]
    border = np.logical_or.reduce(borders) if borders else np.zeros(manager._image_size(index), bool)
    return torch.from_numpy(resample(border, *manager.view_size(index))).flatten()


@contextmanager
def borders_on_edges(pipeline: DiscoNerfPipeline) -> Iterator[None]:
    """The borders of the training views' masks lie on the photographs' edges."""
    manager = pipeline.datamanager
    photographs = (manager.train_dataset.get_image_uint8(index) for index in range(len(manager.masks)))
    moved = [on_edges(masks, photograph.numpy()) for masks, photograph in zip(manager.masks, photographs)]
    with mock.patch.dict(vars(manager), masks=moved):
        manager._kept.clear()
        yield
    manager._kept.clear()


def meets_two(rays: Rays) -> Bool[Tensor, "rays"]:
    """Rays whose first and last surface points are far apart."""
    positions = SurfaceSamples(rays[0], rays[1]).positions
    return (positions[:, 0] - positions[:, -1]).norm(dim=-1) > FAR_APART


def taught_by(rays: Rays, which: Bool[Tensor, "rays"]) -> Rays:
    """The same rays, of which all but some see nothing."""
    return rays[0], rays[1] * which, rays[2]


def repeated(rays: Rays, times: Int[Tensor, "rays"]) -> Rays:
    """Rays, each a number of times."""
    return tuple(column.repeat_interleave(times, 0) for column in rays)


def first_taught(rays: Rays) -> Rays:
    """Rays of which those that meet two surfaces teach the first one alone."""
    return torch.where(meets_two(rays)[:, None, None], rays[0][:, :1], rays[0]), rays[1], rays[2]


WAYS: dict[str, Change] = {
    "as shipped": lambda _: nullcontext(),
    "the consensus as far as a quarter of the masks": a_quarter,
    "no consensus points beside other objects": no_points_at_borders,
    "mask borders on the photographs' edges": borders_on_edges,
    "rays that meet two surfaces teach nothing": other_rays(lambda rays, *_: taught_by(rays, ~meets_two(rays))),
    "rays that meet two surfaces teach the first": other_rays(lambda rays, *_: first_taught(rays)),
    "rays at mask borders teach nothing": other_rays(lambda rays, _, border: taught_by(rays, ~border)),
    "rays at mask borders are drawn three times as often": other_rays(
        lambda rays, _, border: repeated(rays, 1 + 2 * border), at_most=3
    ),
}
"""What is changed, by name."""


def missing(maps: LabelMaps, truth: Truth) -> float:
    """Share of true objects' pixels at which no object is predicted."""
    predicted, true = (np.concatenate([each.ravel() for each in some]) for some in (maps, truth.at(maps)))
    objects = ~np.isin(true, [0, *truth.nobody])
    return float((predicted[objects] == NOTHING).mean())


def wrong(maps: LabelMaps, truth: Truth) -> dict[str, float]:
    """Share of all pixels at which the object is another than the true one, and share at borders among these."""
    true = [np.where(np.isin(label, list(truth.nobody)), 0, label) for label in truth.at(maps)]
    table = labels_table(np.stack(maps), np.stack(true), -1, -1)
    own = dict(zip(table.segments, table.objects[table.shared.argmax(1)]))
    errors = np.stack([np.vectorize(own.get)(predicted) for predicted in maps]) != np.stack(true)
    at_border = np.stack([distance_transform_edt(~find_boundaries(label)) < AT_BORDER for label in true])
    return {"wrong": float(errors.mean()), "at borders": float((errors & at_border).sum() / max(errors.sum(), 1))}


def main(trial: Borders) -> None:
    rows = json.loads(trial.output.read_text())["rows"] if trial.output.exists() else []
    surfaces = {}
    for masks in trial.masks:
        stage = Stage(Quality(trial.run, trial.data), masks, surfaces)
        for way in trial.ways or WAYS:
            stage.explained.clear()
            with WAYS[way](stage.pipeline):
                pipeline = stage.prepare(Variant())
                found = {("consensus alone", 0): consensus_alone(pipeline, 0, 0)}
                for seed in trial.seeds:
                    found["field", seed] = train(pipeline, Variant(), trial.iterations, seed)
            for (what, seed), field in found.items():
                row = {"scene": trial.data.name, "masks": masks, "way": way, "what": what, "seed": seed}
                rows.append(row | score(pipeline, trial, what, field))
                print(*rows[-1].values(), flush=True)
                facts = {"machine": machine(), "versions": versions(), "iterations": trial.iterations}
                write_whole(trial.output, json.dumps({**facts, "rows": rows}, indent=1))


def score(pipeline: DiscoNerfPipeline, trial: Borders, what: str, field: torch.nn.Module) -> dict[str, float]:
    """Scores of the default cut, and what is wrong where."""
    show(pipeline, "consensus" if what == "consensus alone" else "scene", field)
    maps = maps_by_cut(pipeline, trial.downscale)[DEFAULT]
    truth = read_truth(trial.data, "labels", views_of(pipeline), uncovered(pipeline.datamanager.store))
    scene = score_maps(maps, truth)["scene"]
    figures = {"IoU": scene["IoU"], "SBD": scene["SBD"], "outside": outside(maps, truth)}
    figures |= {"missing": missing(maps, truth), **wrong(maps, truth)}
    return {name: round(float(value), 5) for name, value in figures.items()}


if __name__ == "__main__":
    main(tyro.cli(Borders))

"""The object stage as shipped, and with one thing changed: the rows of the ablations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from unittest import mock

import torch
from nerfstudio.scripts.train import _set_random_seed
from torch import nn

from benchmarks.baselines.training import OBJECT_RATE, optimize
from disconerf_ns.field import ObjectField
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.training import objective


@dataclass(frozen=True)
class Variant:
    """An object stage."""

    matching: str = "scene"
    """Partners of masks in the matching: the objects that all views agree on, or in each view the slots as they are."""
    changes: dict = field(default_factory=dict)
    """Other values of the model's settings."""
    field: dict = field(default_factory=dict)
    """Other values of the object field's settings."""
    rate: float = OBJECT_RATE
    """Learning rate."""
    slots: float = 2.0
    """Slots, in most masks of a view; matching by scene has as many as objects."""
    one_to_one: bool = True
    """Whether no slot is matched twice in a view."""
    by_area: bool = False
    """Whether masks count by their area in the matching, as in Unified-Lift, where one view is matched at a time."""
    vicinity: bool = True
    """Whether an object owns only what the masks saw around there, where masks are matched by scene."""
    view_pixels: int | None = None
    """Pixels of a training view, where it is not the run's number."""
    surface_points: int | None = None
    """Surface points of a training ray, where it is not the run's number."""
    length: float = 1.0
    """Iterations, in those that are asked for."""


VARIANTS = {
    "scene": Variant(),
    "scene, no total variation": Variant(changes={"tv_mult": 0.0}),
    "scene, no false positive loss": Variant(changes={"false_positive_mult": 0.0}),
    "scene, no consensus loss": Variant(changes={"consensus_mult": 0.0}),
    "scene, no vicinity": Variant(vicinity=False),
    "scene, learning rate 0.03": Variant(rate=0.03),
    "scene, 1 point per ray": Variant(surface_points=1),
    "scene, 4 points per ray": Variant(surface_points=4),
    "scene, 750 pixels per view": Variant(view_pixels=750),
    "scene, 12000 pixels per view": Variant(view_pixels=12000),
    "scene, a quarter of the iterations": Variant(length=0.25),
    "scene, 4 times the iterations": Variant(length=4.0),
    "view": Variant(matching="view"),
    "view, large masks first": Variant(matching="view", by_area=True),
    "view, best slot per mask": Variant(matching="view", one_to_one=False),
    "view, no total variation": Variant(matching="view", changes={"tv_mult": 0.0}),
    "view, no false positive loss": Variant(matching="view", changes={"false_positive_mult": 0.0}),
    "view, half the slots": Variant(matching="view", slots=1.0),
    "view, twice the slots": Variant(matching="view", slots=4.0),
    "view, usual start": Variant(matching="view", field={"random_levels": 0, "start_contrast": 1.0}),
}
"""Object stages by name."""


def train(pipeline: DiscoNerfPipeline, variant: Variant, iterations: int, seed: int) -> nn.Module:
    """An object field trained from its start, on the surfaces and explanations that the pipeline has."""
    _set_random_seed(seed)
    model, shipped = pipeline.model, pipeline.model.config
    most = pipeline.datamanager.train_dataset.metadata["most_masks"]
    by_scene = variant.matching == "scene"
    slots = len(model.consensus) if by_scene else max(round(variant.slots * most), most)
    explanations, pipeline.explanations = pipeline.explanations, pipeline.explanations if by_scene else []
    model.config = replace(shipped, **variant.changes)
    model.object_field = ObjectField(replace(shipped.object_field, **variant.field), slots).to(pipeline.device)
    with _matching(variant):
        losses = lambda step: sum(pipeline.get_train_loss_dict(step)[1].values())  # noqa: E731
        optimize(model.object_field, pipeline, round(variant.length * iterations), losses, variant.rate)
    model.config, pipeline.explanations = shipped, explanations
    return model.object_field


@contextmanager
def _matching(variant: Variant) -> Iterator[None]:
    """The Hungarian matching, by area if asked for, or each mask's best slot, also where another mask has it."""
    with ExitStack() as changed:
        if not variant.one_to_one:
            best = lambda alpha: alpha.argmax(1) if len(alpha) else torch.zeros(0).long()  # noqa: E731
            changed.enter_context(mock.patch.object(objective, "assign", best))
        if variant.by_area:
            affinity = objective.affinity
            by_area = lambda slots, masks: affinity(slots, masks) * masks.mean(1)[..., None]  # noqa: E731
            changed.enter_context(mock.patch.object(objective, "affinity", by_area))
        yield

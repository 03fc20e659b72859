"""The object stage as shipped, and with one thing changed: the rows of the ablations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from unittest import mock

import torch
from nerfstudio.scripts.train import _set_random_seed
from torch import nn

from benchmarks.baselines.training import OBJECT_RATE, TWICE, assign_some, optimize, slot_count
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.field import ObjectField
from disconerf_ns.pipeline import DiscoNerfPipeline
from disconerf_ns.training import objective
from disconerf_ns.training.objective import MaskTargets, PendingMatching


@dataclass(frozen=True)
class Variant:
    """An object stage."""

    matching: str = "scene"
    """Partners of masks in the matching: the objects that all views agree on, or in each view the slots as they are."""
    changes: dict = field(default_factory=dict)
    """Other values of the model's settings."""
    field: dict = field(default_factory=dict)
    """Other values of the object field's settings."""
    rate: float | None = None
    """Learning rate; None is the object stage's for matching by scene, and that of `benchmarks.rates` for matching by
    view."""
    slots: float | None = None
    """Slots, in most masks of a view; None for as many as the masks agree on objects."""
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


BY_VIEW = Variant(matching="view", slots=TWICE)
"""Matching in each view as in the paper."""
VIEW_RATE = 0.15
"""Learning rate for matching by view."""
VARIANTS = {
    "scene": Variant(),
    "scene, spare slots": Variant(slots=TWICE),
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
    "view": BY_VIEW,
    "view, agreed slots": replace(BY_VIEW, slots=None),
    "view, large masks first": replace(BY_VIEW, by_area=True),
    "view, best slot per mask": replace(BY_VIEW, one_to_one=False),
    "view, no total variation": replace(BY_VIEW, changes={"tv_mult": 0.0}),
    "view, no false positive loss": replace(BY_VIEW, changes={"false_positive_mult": 0.0}),
    "view, half the slots": replace(BY_VIEW, slots=1.0),
    "view, twice the slots": replace(BY_VIEW, slots=4.0),
    "view, usual start": replace(BY_VIEW, field={"random_levels": 0, "start_contrast": 1.0}),
}
"""Object stages by name."""


def train(pipeline: DiscoNerfPipeline, variant: Variant, iterations: int, seed: int) -> nn.Module:
    """An object field trained from its start, on the surfaces and explanations that the pipeline has."""
    _set_random_seed(seed)
    model, shipped = pipeline.model, pipeline.model.config
    by_scene = variant.matching == "scene"
    rate = variant.rate or (OBJECT_RATE if by_scene else VIEW_RATE)
    slots = slot_count(pipeline, variant.slots)
    slots = max(slots, len(model.consensus)) if by_scene else slots
    explanations = pipeline.object_stage.explanations
    pipeline.object_stage.explanations = [_widened(each, slots) for each in explanations] if by_scene else []
    vars(pipeline.object_stage).pop("scene_rays", None)
    model.config = replace(shipped, **variant.changes)
    model.object_field = ObjectField(replace(shipped.object_field, **variant.field), slots).to(pipeline.device)
    with _matching(variant):
        losses = lambda step: sum(pipeline.get_train_loss_dict(step)[1].values())
        optimize(model.object_field, pipeline, round(variant.length * iterations), losses, rate)
    model.config, pipeline.object_stage.explanations = shipped, explanations
    return model.object_field


def _widened(explanation: Explanation, slots: int) -> Explanation:
    """The same explanation among more slots, which explain no mask."""
    return explanation._replace(sets=nn.functional.pad(explanation.sets, (0, slots - explanation.sets.shape[1])))


@contextmanager
def _matching(variant: Variant) -> Iterator[None]:
    """The Hungarian matching, by area if asked for, or each mask's best slot, also where another mask has it.

    Where a view has more masks than slots, masks that get no slot have no loss.
    """
    best = lambda alpha: alpha.argmax(1) if len(alpha) else torch.zeros(0).long()
    result = PendingMatching.result

    def without_left_over(pending: PendingMatching, counts: Sequence[int]) -> MaskTargets:
        targets = result(pending, counts)
        return targets._replace(counted=targets.counted & (targets.sets.sum(-1) > 0))

    with ExitStack() as changed:
        changed.enter_context(mock.patch.object(objective, "assign", assign_some if variant.one_to_one else best))
        changed.enter_context(mock.patch.object(PendingMatching, "result", without_left_over))
        if variant.by_area:
            affinity = objective.affinity
            by_area = lambda slots, masks: affinity(slots, masks) * masks.mean(1)[..., None]
            changed.enter_context(mock.patch.object(objective, "affinity", by_area))
        yield

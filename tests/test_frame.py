"""Pictures that are kept: an edit of them looks like the edited scene rendered anew, and asks for fewer rays."""

from __future__ import annotations

import pytest
import torch
from conftest import Run
from helpers import assert_close

from disconerf_ns import rendering
from disconerf_ns.edit import Edit
from disconerf_ns.frame import SEEN, Frame
from disconerf_ns.model import DiscoNerfModel


def frame_of(model: DiscoNerfModel, run: Run, keep: bool) -> Frame:
    camera = run.trainer.pipeline.datamanager.eval_dataset.cameras[0:1].to(model.device)
    rays = camera.generate_rays(0, keep_shape=True)
    return Frame(model, rays.flatten(), rays.origins.shape[:2], keep)


def assert_alike(one: torch.Tensor, other: torch.Tensor) -> None:
    """Equal within half a step of 8 bits on average.

    Where an object hardly weighs, its removal moves samples of the proposal networks along the ray, no more; the rays
    of a kept picture stay where they were.
    """
    assert (one - other).abs().mean() < SEEN


def ids(model: DiscoNerfModel) -> list[int]:
    return [found.slot for found in model.objects]


def test_without_an_edit_both_are_the_scene(model: DiscoNerfModel, run: Run) -> None:
    kept, plain = frame_of(model, run, True), frame_of(model, run, False)
    assert torch.equal(kept.outputs()["edited"], plain.outputs()["rgb"])
    samples, owners = kept._base()
    table = Edit().table(model.object_field.slots, model.device)
    assert_close(rendering.compose(model, samples, table, owners, 1.0), plain.scene()["rgb"], 1e-5)


def test_colours_are_mixed_anew_without_any_network(
    model: DiscoNerfModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, plain = frame_of(model, run, True), frame_of(model, run, False)
    model.edit = Edit().recolor(ids(model)[0], (1.0, 0.0, 0.0))
    kept.outputs()["edited"]
    model.edit = model.edit.recolor(ids(model)[1], (0.0, 0.0, 1.0))
    expected = plain.outputs()["edited"]
    monkeypatch.setattr(model.field, "forward", None)
    monkeypatch.setattr(model.object_field, "forward", None)
    assert kept.waiting(["edited"]) == 0
    assert_close(kept.outputs()["edited"], expected, 1e-5)


def test_hiding_samples_the_rays_that_met_the_object(
    model: DiscoNerfModel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = frame_of(model, run, True)
    kept.outputs()["edited"]
    sampled = []
    original = rendering.sample_edited
    monkeypatch.setattr(
        rendering, "sample_edited", lambda m, rays, *a, **k: sampled.append(len(rays)) or original(m, rays, *a, **k)
    )

    def check(edit: Edit) -> int:
        model.edit = edit
        sampled.clear()
        seen = kept.outputs()["edited"]
        count = sum(sampled)
        assert_alike(seen, frame_of(model, run, False).outputs()["edited"])
        return count

    one, other = ids(model)[1:3]
    assert 0 < check(Edit().hide(one)) < len(kept.rays)
    base, owners = kept._base()
    met = ((base.weights * (owners == one)).sum(-1) > SEEN)[:, None]
    expected = torch.where(met, frame_of(model, run, False).edited(), kept.scene()["rgb"])
    assert_close(kept.edited(), expected, 1e-5)
    assert check(Edit().hide(one).recolor(other, (0.0, 1.0, 0.0))) == 0
    assert 0 < check(Edit().hide(one, other)) < len(kept.rays)
    check(Edit().hide(other))
    assert check(Edit()) == 0
    assert check(Edit().hide(*ids(model))) > 0


def test_a_mix_of_samples_of_two_edits_is_what_a_fresh_frame_shows(model: DiscoNerfModel, run: Run) -> None:
    kept, (one, other) = frame_of(model, run, True), ids(model)[1:3]
    for edit in (Edit().hide(one), Edit().hide(one, other), Edit().hide(other), Edit()):
        model.edit = edit
        kept.edited()
        fresh = frame_of(model, run, True)
        assert_alike(kept.edited(), fresh.edited())
        if edit.repaints:
            assert not torch.isin(kept.edited_ids(), torch.tensor(sorted(edit.hidden))).any()


def test_merged_and_split_objects_in_the_labels(model: DiscoNerfModel, run: Run) -> None:
    kept, before = frame_of(model, run, True), frame_of(model, run, False).labels()["id"]
    (one, other), slots = ids(model)[1:3], model.object_field.slots
    model.edit = Edit().merge([one], other)
    merged = kept.labels()["id"]
    assert not (merged == one).any()
    assert (merged == other).sum() >= ((before == one) | (before == other)).sum()
    assert [found.name for found in model.objects][1:3] == ["object_02", "object_03"]

    model.edit = Edit().divide(one, 2)
    divided = kept.labels()["id"]
    assert model.ids == slots + 1
    assert ((divided == one) | (divided == slots)).sum() == (before == one).sum()
    model.edit = model.edit.merge([slots], one)
    assert torch.equal(kept.labels()["id"] == one, before == one)


def test_an_object_of_merged_ones_is_rendered_as_both(model: DiscoNerfModel, run: Run) -> None:
    plain, (one, other) = frame_of(model, run, False), ids(model)[1:3]
    alone = [plain.alone(id)["accumulation"] for id in (one, other)]
    model.edit = Edit().merge([one], other)
    both = plain.alone(other)["accumulation"]
    apart = (alone[0] == 0) | (alone[1] == 0)
    assert (both[apart] > 0.5).sum() >= 0.9 * (torch.maximum(*alone)[apart] > 0.5).sum() > 0


def test_unsure_pixels_are_nobodys(model: DiscoNerfModel, run: Run) -> None:
    frame = frame_of(model, run, False)
    sure = frame.labels()["confidence"] >= 0.9
    assert 0 < sure.sum() < len(sure)
    model.config.min_confidence = 0.9
    assert (frame.outputs()["label"].flatten()[~sure] == 0).all()
    assert (frame.colors()[~sure] == 0).all() and (frame.colors()[sure].sum(-1) > 0).any()


def test_soft_extraction_is_rendered_anew(model: DiscoNerfModel, run: Run) -> None:
    model.config.extraction = "soft"
    kept, plain = frame_of(model, run, True), frame_of(model, run, False)
    assert not kept.remembers_owners
    model.edit = Edit().hide(ids(model)[1])
    assert_close(kept.outputs()["edited"], plain.outputs()["edited"])


@pytest.mark.parametrize("extraction", ["hard", "soft"])
def test_rays_that_pass_by_what_is_left_need_no_network(
    model: DiscoNerfModel, run: Run, monkeypatch: pytest.MonkeyPatch, extraction: str
) -> None:
    """One ball alone looks the same whether or not the rays beside its box are asked about."""
    model.config.extraction = extraction
    smallest = min(model.objects, key=lambda one: one.share)
    model.edit = Edit().isolate([smallest.slot], range(model.ids))
    asked = []
    sample = rendering._sample_edited
    monkeypatch.setattr(
        rendering, "_sample_edited", lambda model, rays, *rest: asked.append(len(rays)) or sample(model, rays, *rest)
    )
    few = frame_of(model, run, False).edited()
    monkeypatch.setattr(rendering, "passes_something", lambda model, rays, _: torch.ones(len(rays), dtype=torch.bool))
    every = frame_of(model, run, False).edited()
    assert asked[0] < 0.5 * asked[1]
    assert (few - every).abs().mean() < 0.01
    assert (few < 0.7).any(), "the ball is there"


def test_nothing_left_is_a_plain_background(model: DiscoNerfModel, run: Run) -> None:
    model.edit = Edit().isolate([], range(model.ids))
    for keep in (False, True):
        assert (frame_of(model, run, keep).edited() == 1.0).all()


@pytest.mark.parametrize("alone", [False, True])
def test_the_object_field_is_asked_only_where_boxes_leave_it_open(model: DiscoNerfModel, run: Run, alone: bool) -> None:
    smallest = min(model.objects, key=lambda one: one.share).slot
    model.edit = Edit().isolate([smallest], range(model.ids)) if alone else Edit().hide(smallest)
    table = model.edit.table(model.object_field.slots, model.device)
    _, samples = frame_of(model, run, True)._scene()
    asked = []

    def owners(positions: torch.Tensor) -> torch.Tensor:
        asked.append(len(positions))
        return model.owners(positions)

    kept = rendering.kept_density(model, table.density, owners)(samples.positions)[..., 0]
    everywhere = table.density[model.owners(samples.positions)]
    assert (kept - everywhere).abs().mean() < 0.01, "where no box is, the likeliest slot owns a point after all"
    assert sum(asked) < 0.3 * samples.positions[..., 0].numel()

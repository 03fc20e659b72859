"""An edit is seen at once: few rays are sampled, and what did not change looks as it did."""

from __future__ import annotations

import threading

import pytest
import torch
from test_displays import camera_of

from disconerf_ns.edit import Edit
from disconerf_ns.frame import Frame
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.viewer import displays
from disconerf_ns.viewer.preview import Preview, blocks

SIZE = 36, 48


@pytest.fixture
def frame(run, model: DiscoNerfModel) -> Frame:
    """A picture that was looked at, edited and as it is."""
    frame = Frame(model, camera_of(run, SIZE[0]).generate_rays(0, keep_shape=True).flatten(), SIZE, keep=True)
    model.edit = Edit().recolor(model.objects[0].slot, (1.0, 0.0, 0.0))
    frame.edited()
    model.edit = Edit()
    return frame


@pytest.fixture
def sampled(model: DiscoNerfModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rays of each call of the radiance field."""
    asked, density = [], model.field.get_density

    def count(samples):
        asked.append(len(samples.frustums.starts))
        return density(samples)

    monkeypatch.setattr(model.field, "get_density", count)
    return asked


def largest(frame: Frame) -> int:
    """The object with most pixels."""
    return int(frame.labels()["id"].clamp(min=0).bincount().argmax())


def test_pixels_of_a_block_share_its_first() -> None:
    pixels = torch.tensor([0, 1, 4, 9, 10, 23])  # of an image of 8 columns, in blocks of 2
    block, first = blocks(pixels, width=8, side=2)
    assert block.tolist() == [0, 0, 2, 0, 1, 3]
    assert pixels[first].tolist() == [0, 10, 4, 23]
    alone, each = blocks(pixels, width=8, side=1)
    assert alone.tolist() == each.tolist() == list(range(6))


def test_what_comes_to_light_is_the_exact_picture_where_all_rays_are_sampled(frame, model) -> None:
    scene, counts = frame.scene()["rgb"], frame.labels()["id"].clamp(min=0).bincount()
    id = int(counts.masked_fill(counts < 100, 10**6).argmin())
    model.edit = Edit().hide(id)
    preview = Preview(frame, most=10**6).edited()
    samples, owners = frame._base()
    hidden = (samples.weights * (owners == id)).sum(-1) / samples.weights.sum(-1)
    exact = frame.edited()
    assert (hidden > 0.55).sum() > 50
    assert torch.allclose(preview[hidden > 0.55], exact[hidden > 0.55], atol=1e-5)
    assert (preview - scene)[hidden < 1e-3].abs().max() < 2e-3
    assert (exact - scene)[hidden > 0.55].abs().mean() > 0.02


@pytest.mark.parametrize("edit", ["hide", "isolate"])
def test_few_rays_are_sampled_and_the_picture_is_close(frame, model, sampled, edit) -> None:
    ids = [one.slot for one in model.objects]
    model.edit = Edit().hide(largest(frame)) if edit == "hide" else Edit().isolate([largest(frame)], ids)
    sampled.clear()
    preview = Preview(frame, most=150).edited()
    few = sum(sampled)
    sampled.clear()
    exact = frame.edited()
    assert few < 300 < sum(sampled) / 2
    assert (preview - exact).abs().mean() < 0.5 * (frame.scene()["rgb"] - exact).abs().mean()


def test_a_preview_leaves_the_frame_alone(frame, model) -> None:
    id, before = largest(frame), dict(frame._kept)
    model.edit = Edit().hide(id)
    preview = Preview(frame, most=20)
    preview.edited()
    assert torch.equal(preview.edited_ids(), preview.edited_ids())
    assert frame._kept.keys() == before.keys() and all(frame._kept[name] is before[name] for name in before)


def test_objects_are_seen_from_one_point_a_ray_and_edits_before_owners_are_known(run, model, sampled) -> None:
    frame = Frame(model, camera_of(run, SIZE[0]).generate_rays(0, keep_shape=True).flatten(), SIZE, keep=True)
    frame.scene()
    labels = Preview(frame, most=150).labels()["id"]
    id = int(labels.clamp(min=0).bincount().argmax())
    model.edit = Edit().hide(id)
    preview = Preview(frame, most=150)
    sampled.clear()
    edited = preview.edited()
    assert 0 < sum(sampled) < 300 and "labels" not in frame._kept and not frame.knows_owners
    assert (frame.labels()["id"] == labels).float().mean() > 0.9
    assert (edited - frame.edited()).abs().mean() < 0.5 * (frame.scene()["rgb"] - frame.edited()).abs().mean()


def test_the_coarse_picture_is_the_preview_and_the_sharp_one_is_exact(run, model, monkeypatch) -> None:
    monkeypatch.setattr(displays, "QUICK", 20)
    client, coarse, sharp = threading.Thread(), camera_of(run, 12), camera_of(run, SIZE[0])

    def show(camera, name):
        return model.displays.show(client, camera, [name])[name]

    assert show(coarse, "rgb").shape[:2] == (12, 16)
    show(sharp, "rgb")
    first = model.objects[0]
    assert show(coarse, "objects").shape[:2] == SIZE, "though a coarse picture of that very size is kept"
    model.edit = Edit().hide(first.slot)
    assert show(coarse, "edited").shape[:2] == SIZE
    exact = show(sharp, "edited")
    model.edit = Edit().isolate([first.slot], [one.slot for one in model.objects])
    assert show(coarse, "edited").shape[:2] == SIZE
    model.edit = Edit().hide(first.slot)
    assert torch.allclose(show(sharp, "edited"), exact)
    assert show(coarse, first.name).shape[:2] == (12, 16)


def test_a_soft_edit_has_no_preview(run, model, monkeypatch) -> None:
    monkeypatch.setattr(displays, "QUICK", 20)
    monkeypatch.setattr(model.config, "extraction", "soft")
    client, coarse, sharp = threading.Thread(), camera_of(run, 12), camera_of(run, SIZE[0])
    model.displays.show(client, sharp, ["rgb"])
    model.edit = Edit().hide(model.objects[0].slot)
    assert model.displays.show(client, coarse, ["edited"])["edited"].shape[:2] == (12, 16)

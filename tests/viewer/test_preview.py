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


def test_the_coarse_picture_of_an_edit_is_the_preview_and_the_sharp_one_is_exact(run, model, monkeypatch) -> None:
    monkeypatch.setattr(displays, "QUICK", 20)
    client, coarse, sharp = threading.Thread(), camera_of(run, 12), camera_of(run, SIZE[0])
    show = model.displays.show
    show(client, coarse, ["rgb"])
    show(client, sharp, ["rgb"])
    frame = model.displays._frames[client][-1][2]
    model.edit = Edit().hide(largest(frame))
    assert show(client, coarse, ["edited"])["edited"].shape[:2] == (12, 16), "nobody knows yet whose the samples are"
    exact = show(client, sharp, ["edited"])["edited"]
    model.edit = Edit().isolate([largest(frame)], [one.slot for one in model.objects])
    seen = show(client, coarse, ["edited"])["edited"]
    assert seen.shape[:2] == SIZE, "though a coarse picture of that very size was kept"
    model.edit = Edit().hide(largest(frame))
    assert torch.allclose(show(client, sharp, ["edited"])["edited"], exact)
    assert show(client, coarse, [model.objects[0].name])[model.objects[0].name].shape[:2] == (12, 16)

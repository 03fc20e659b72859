"""An edit is seen at once: few rays are sampled, and what did not change looks as it did."""

from __future__ import annotations

import threading

import pytest
import torch
from helpers import edit_scene
from test_pictures import camera_of

from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.preview import Preview, blocks
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.viewer import pictures

SIZE = 36, 48


def new_frame(run, scene: ArrangedScene) -> Frame:
    return Frame(scene, camera_of(run, SIZE[0]).generate_rays(0, keep_shape=True).flatten(), SIZE, keep=True)


@pytest.fixture
def frame(run, scene_now: ArrangedScene) -> Frame:
    """A picture that was looked at, edited and as it is."""
    red = new_frame(run, scene_now.with_edit(Edit().recolor(scene_now.objects[0].id, (1.0, 0.0, 0.0))))
    red.edited()
    return red.under(scene_now)


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rays of each call of the radiance field."""
    asked, shade = [], NerfactoRadiance.shade

    def count(radiance, positions, directions):
        asked.append(len(positions))
        return shade(radiance, positions, directions)

    monkeypatch.setattr(NerfactoRadiance, "shade", count)
    return asked


def largest(frame: Frame) -> int:
    """The object with most pixels."""
    return int(frame.labels().id.clamp(min=0).bincount().argmax())


def test_pixels_of_a_block_share_its_first() -> None:
    pixels = torch.tensor([0, 1, 4, 9, 10, 23])  # of an image of 8 columns, in blocks of 2
    block, first = blocks(pixels, width=8, side=2)
    assert block.tolist() == [0, 0, 2, 0, 1, 3]
    assert pixels[first].tolist() == [0, 10, 4, 23]
    alone, each = blocks(pixels, width=8, side=1)
    assert alone.tolist() == each.tolist() == list(range(6))


def test_an_object_that_is_moved_out_of_sight_is_gone(frame, scene_now) -> None:
    """No ray met it, and the preview ended in an error about an empty tensor: the picture was grey."""
    id = largest(frame)
    away = frame.under(scene_now.with_edit(Edit().move(id, Similarity(translation=(0.0, 0.0, 1000.0)))))
    gone = frame.under(scene_now.with_edit(Edit().hide(id)))
    for most in (20, 10**6):
        preview, hidden = (each.previewed(Preview(most)).edited() for each in (away, gone))
        assert torch.equal(preview, hidden)
    torch.testing.assert_close(away.edited(), gone.edited())
    assert [len(block) for block in blocks(torch.tensor([], dtype=torch.long), 8, 2)] == [0, 0]


def test_what_is_moved_is_seen_before_it_is_cleaned_and_completed(run, scene_now, monkeypatch) -> None:
    """A preview of a copy took four times as long as one of what is hidden, and as long again for each place."""

    def clean(bodies, id):
        raise AssertionError("this takes long")

    scene = scene_now.with_trained(scene_now.trained)
    copied = new_frame(run, scene.with_edit(Edit().copy(scene.objects[1].id, Similarity(translation=(0.1, 0.0, 0.1)))))
    with monkeypatch.context() as patch:
        patch.setattr(Bodies, "clean", clean)
        quick = copied.previewed(Preview(most=10**6)).edited()
    exact, before = copied.edited(), copied.images()["rgb"]
    assert (quick - exact).abs().mean() < 0.3 * (before - exact).abs().mean()


def test_what_comes_to_light_is_the_exact_picture_where_all_rays_are_sampled(frame, scene_now) -> None:
    scene, counts = frame.images()["rgb"], frame.labels().id.clamp(min=0).bincount()
    id = int(counts.masked_fill(counts < 100, 10**6).argmin())
    edited = frame.under(scene_now.with_edit(Edit().hide(id)))
    assert edited.scene.revealed is not None and edited.scene.reveals_at_once, "the preview knows what is completed"
    preview = edited.previewed(Preview(most=10**6)).edited()
    samples, owners = edited.unedited()
    hidden = (samples.weights * (owners == id)).sum(-1) / samples.weights.sum(-1)
    exact = edited.edited()
    assert (hidden > 0.55).sum() > 50
    assert torch.allclose(preview[hidden > 0.55], exact[hidden > 0.55], atol=1e-5)
    assert (preview - exact)[hidden < 1e-3].abs().max() < 2e-3
    raw = edited.under(edited.scene.with_options(complete=False)).previewed(Preview(most=10**6)).edited()
    assert (raw - scene)[hidden < 1e-3].abs().max() < 2e-3, "colours around what is gone apart"
    assert (exact - scene)[hidden > 0.55].abs().mean() > 0.02


@pytest.mark.parametrize(("edit", "left"), [("hide", 0.5), ("isolate", 0.2)])
def test_few_rays_are_sampled_and_the_picture_is_close(frame, scene_now, sampled, edit, left) -> None:
    """Closer than the scene before for every object, and closer by a factor over all of them.

    What is left of the error is 0.17 to 0.29 in runs of several seeds where objects are hidden, since what was behind
    them was hardly photographed, and 0.04 to 0.08 where one is isolated.
    """
    ids, off, before = [each.id for each in scene_now.objects], [], []
    for id in ids:
        edited = frame.under(scene_now.with_edit(Edit().hide(id) if edit == "hide" else Edit().isolate([id], ids)))
        sampled.clear()
        preview = edited.previewed(Preview(most=150)).edited()
        assert sum(sampled) < 300
        sampled.clear()
        exact = edited.edited()
        assert id != largest(frame) or sum(sampled) > 600
        off.append(float((preview - exact).abs().mean()))
        before.append(float((frame.images()["rgb"] - exact).abs().mean()))
    assert all(one < other for one, other in zip(off, before)) and sum(off) < left * sum(before)


def test_a_preview_leaves_the_frame_alone(frame, scene_now) -> None:
    edited = frame.under(scene_now.with_edit(Edit().hide(largest(frame))))
    before, now = dict(edited.kept.entries), edited.kept.entries
    preview = edited.previewed(Preview(most=20))
    preview.edited()
    assert torch.equal(preview.edited_ids(), preview.edited_ids())
    assert now.keys() == before.keys() and all(now[name] is before[name] for name in before)


def test_objects_are_seen_from_one_point_a_ray_and_edits_before_owners_are_known(run, scene_now, sampled) -> None:
    frame = new_frame(run, scene_now)
    frame.images()
    labels = frame.previewed(Preview(most=150)).labels().id
    edited = frame.under(scene_now.with_edit(Edit().hide(int(labels.clamp(min=0).bincount().argmax()))))
    sampled.clear()
    quick = edited.previewed(Preview(most=150)).edited()
    assert 0 < sum(sampled) < 300 and not edited.has_labels and not edited.knows_owners
    assert (edited.labels().id == labels).float().mean() > 0.9
    exact = edited.edited()
    assert (quick - exact).abs().mean() < 0.5 * (frame.images()["rgb"] - exact).abs().mean()


def test_the_coarse_picture_is_the_preview_and_the_sharp_one_is_exact(run, model, shown, monkeypatch) -> None:
    monkeypatch.setattr(pictures, "QUICK", 20)
    monkeypatch.setattr(pictures, "QUICK_ON_GPU", 20)
    client, coarse, sharp = threading.Thread(), camera_of(run, 12), camera_of(run, SIZE[0])

    def show(camera, name):
        return shown.show(client, camera, [name])[name]

    assert show(coarse, "rgb").shape[:2] == (12, 16)
    show(sharp, "rgb")
    first, *_ = objects = model.current.value.objects
    assert show(coarse, "objects").shape[:2] == SIZE, "though a coarse picture of that very size is kept"
    edit_scene(model, Edit().hide(first.id))
    assert show(coarse, "edited").shape[:2] == SIZE
    exact = show(sharp, "edited")
    edit_scene(model, Edit().isolate([first.id], [each.id for each in objects]))
    assert show(coarse, "edited").shape[:2] == SIZE
    edit_scene(model, Edit().hide(first.id))
    assert torch.allclose(show(sharp, "edited"), exact)
    assert show(coarse, first.name).shape[:2] == (12, 16)


@pytest.fixture
def soft(model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points belong to several objects, and previews have few rays."""
    monkeypatch.setattr(pictures, "QUICK", 20)
    monkeypatch.setattr(pictures, "QUICK_ON_GPU", 20)
    model.current.replace(lambda scene: scene.with_options(extraction="soft"))


def test_a_soft_edit_is_seen_at_once_and_its_sharp_picture_is_kept(soft, run, model, shown, sampled) -> None:
    """The coarse picture was drawn anew of few pixels, each time again, also where the sharp one was there."""
    client, coarse, sharp = threading.Thread(), camera_of(run, 12), camera_of(run, SIZE[0])
    shown.show(client, sharp, ["rgb"])
    edit_scene(model, Edit().hide(model.current.value.objects[0].id))
    sampled.clear()
    assert shown.show(client, coarse, ["edited"])["edited"].shape[:2] == SIZE and sum(sampled) < 100
    exact = shown.show(client, sharp, ["edited"])["edited"]
    sampled.clear()
    assert torch.equal(shown.show(client, coarse, ["edited"])["edited"], exact) and sampled == []
    unseen = shown.show(client, coarse, ["unseen"])["unseen"]
    assert unseen.shape[:2] == SIZE and sum(sampled) < 100, "of which no sharp picture was drawn"


@pytest.mark.parametrize("change", ["hide", "move", "recolor"])
def test_a_soft_preview_is_close(run, scene_now, change: str) -> None:
    """Probabilities of a field that was trained for a minute are far from 0 and 1, so the exact picture has haze."""
    scene = scene_now.with_options(extraction="soft")
    before, id = new_frame(run, scene), scene.objects[1].id
    edit = {
        "hide": Edit().hide(id),
        "move": Edit().move(id, Similarity(translation=(0.1, 0.0, 0.1))),
        "recolor": Edit().recolor(id, (1.0, 0.0, 1.0)),
    }[change]
    before.images()
    edited = before.under(scene.with_edit(edit))
    assert edited.scene.revealed is not None, "what is completed is known"
    quick = edited.previewed(Preview(most=150)).edited()
    exact = edited.edited()
    assert (quick - exact).abs().mean() < 0.7 * (before.images()["rgb"] - exact).abs().mean()
    ids = edited.previewed(Preview(most=150)).edited_ids()
    assert (ids == edited.edited_ids()).float().mean() > 0.9


def test_a_soft_edit_waits_for_no_completion_where_the_camera_moves(soft, run, model, shown, monkeypatch) -> None:
    """What was hidden stayed in the picture until it was completed."""

    def enclose(*_):
        raise AssertionError("this takes long")

    scene = model.current.value.with_trained(model.current.value.trained)
    shown.current.replace(lambda _: scene.with_edit(Edit().hide(scene.objects[1].id)))
    monkeypatch.setattr(ClosedSurface, "through", enclose)
    outputs = shown.show(threading.Thread(), camera_of(run, 12), ["edited"], glimpse=True)
    assert (outputs["edited"] - outputs["rgb"]).abs().mean() > 0.005

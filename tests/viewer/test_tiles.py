"""A picture becomes sharp tile by tile: nothing computed is lost, and in the end it is the picture computed at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest
import torch
from helpers import edit_scene
from test_pictures import camera_of
from test_preview import largest, new_frame, sampled  # noqa: F401  (a fixture)

from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.compat.viewer import IOChangeException
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.surface.intervals import Intervals
from disconerf_ns.viewer import pictures
from disconerf_ns.viewer.pictures import Pictures
from disconerf_ns.viewer.presented import presented
from disconerf_ns.viewer.tiles import Canvas, Tile, Tiles, resized

SIZE = HEIGHT, WIDTH = 36, 48


@pytest.fixture
def in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures take long: nine tiles of 12 x 16 pixels, each of which is shown."""
    monkeypatch.setattr(pictures, "SIDE", 16)
    monkeypatch.setattr(pictures, "LONG", 200)
    monkeypatch.setattr(pictures, "QUICK", 200)
    monkeypatch.setattr(pictures, "is_fast", lambda scene: False)
    monkeypatch.setattr(pictures, "PAUSE", 0.0)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets nerfstudio interrupt once, after a number of calls of the radiance field."""

    def after(calls: int) -> None:
        left, shade = [calls], NerfactoRadiance.shade

        def count(radiance, positions, directions):
            left[0] -= 1
            if left[0] == -1:
                raise IOChangeException
            return shade(radiance, positions, directions)

        monkeypatch.setattr(NerfactoRadiance, "shade", count)

    return after


class Seen:
    """What a client was sent, and heard of, while its picture became sharp."""

    def __init__(self, shown: Pictures):
        self.sent: list[dict] = []
        self.fractions: list[float] = []
        shown.send = lambda client, outputs: self.sent.append(outputs)
        shown.sharpening = lambda client, fraction: self.fractions.append(fraction)


def edits(scene: ArrangedScene) -> dict[str, Edit]:
    one, other, *_ = ids = [each.id for each in scene.objects]
    aside = Similarity(translation=(0.2, 0.0, 0.1))
    return {
        "hidden": Edit().hide(one),
        "alone": Edit().isolate([other], ids),
        "moved": Edit().move(one, aside).copy(other, aside),
    }


@pytest.mark.parametrize(("kind", "extraction"), [("hidden", "soft"), ("alone", "hard"), ("moved", "hard")])
def test_tiles_joined_are_the_frame_computed_at_once(run, scene_now, kind: str, extraction: str) -> None:
    scene = scene_now.with_options(extraction=extraction)
    whole, divided = (new_frame(run, scene.with_edit(edits(scene)[kind])) for _ in range(2))
    parts = Tiles.of(divided, 16)
    assert len(parts.frames) == 9 and sum(len(frame.rays) for frame in parts.frames) == HEIGHT * WIDTH
    first = scene.objects[0].id
    for frame in (whole, *parts.frames):
        frame.images(), frame.labels(), frame.edited(), frame.edited_depth(), frame.alone(first)
    joined = parts.joined()
    assert joined.kept.entries.keys() == whole.kept.entries.keys()
    for name, (key, result) in whole.kept.entries.items():
        assert joined.kept.entries[name].key == key
        assert_alike(joined.kept.entries[name].result, result)
    assert torch.allclose(joined.edited(), whole.edited(), atol=1e-5)


def assert_alike(one, other) -> None:
    """Compares results, tensor by tensor; a point on the border of two objects may go to either."""
    if isinstance(one, torch.Tensor):
        assert one.shape == other.shape and one.dtype == other.dtype
        if one.is_floating_point():
            assert (one - other).abs().nan_to_num().quantile(0.999) < 1e-4
        else:
            assert (one == other).float().mean() > 0.999
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_alike(one[name], other[name])
    elif isinstance(one, (list, tuple)):
        for mine, its in zip(one, other, strict=True):
            assert_alike(mine, its)
    elif isinstance(one, Intervals):
        for column in ("origins", "directions", "edges"):
            assert_alike(getattr(one, column), getattr(other, column))
    else:
        assert one is other is None


def test_a_frame_divided_and_joined_is_what_it_was(run, scene_now, sampled) -> None:  # noqa: F811
    frame = new_frame(run, scene_now.with_edit(edits(scene_now)["moved"]))
    frame.labels(), frame.edited()
    sampled.clear()
    again = Tiles.of(frame, 13).joined()
    assert torch.equal(again.edited(), frame.edited()) and torch.equal(again.labels().id, frame.labels().id)
    assert sampled == []


def test_a_result_that_one_tile_lacks_is_none_of_the_whole(run, scene_now) -> None:
    parts = Tiles.of(new_frame(run, scene_now), 16)
    for frame in parts.frames:
        frame.images()
    for frame in parts.frames[1:]:
        frame.labels()
    assert parts.joined().has_images and not parts.joined().has_labels


def test_the_middle_comes_first_or_what_is_in_focus(run, scene_now) -> None:
    parts = Tiles.of(new_frame(run, scene_now), 16)
    first, *others = [tile for tile, _ in parts.nearest_first(None)]
    assert first == Tile(12, 24, 16, 32)
    assert {others[-1].top, others[-1].left} <= {0, 24, 32}
    corner = torch.zeros(SIZE, dtype=torch.bool)
    corner[35, 47] = True
    order = [tile for tile, _ in parts.nearest_first(corner)]
    assert order[0] == Tile(24, 36, 32, 48) and order[-1] == Tile(0, 12, 0, 16)


def test_a_picture_becomes_sharp_from_the_middle(run, shown, in_tiles) -> None:
    client, seen = threading.Thread(), Seen(shown)
    coarse = shown.show(client, camera_of(run, 12), ["rgb"])["rgb"]
    sharp = shown.show(client, camera_of(run, HEIGHT), ["rgb"])["rgb"]
    assert len(seen.sent) == 8 and seen.fractions == [number / 9 for number in range(10)]
    first = seen.sent[0]["rgb"]
    assert first.shape == sharp.shape == (*SIZE, 3)
    assert torch.allclose(first[12:24, 16:32], sharp[12:24, 16:32], atol=1e-5)
    border = resized(coarse, SIZE, "bilinear")
    assert torch.equal(first[:12], border[:12]) and not torch.allclose(first[:12], sharp[:12], atol=1e-2)
    assert list(seen.sent[0].keys()) == list(shown.show(client, camera_of(run, 12), ["rgb"]).keys())
    for before, after in zip(seen.sent, seen.sent[1:]):
        assert (after["rgb"] - sharp).abs().mean() <= (before["rgb"] - sharp).abs().mean()


def test_the_selected_object_comes_first(run, shown, scene_now, in_tiles) -> None:
    labels = new_frame(run, scene_now).labels().id.view(SIZE)
    seen_small = Frame(scene_now, camera_of(run, 12).generate_rays(0, keep_shape=True).flatten(), (12, 16)).labels().id
    chosen = next(id for id in seen_small.unique().tolist() if id >= 0 and not (labels[12:24, 16:32] == id).any())
    client, seen = threading.Thread(), Seen(shown)
    shown.selected = lambda asked: frozenset({chosen}) if asked is client else frozenset()
    shown.show(client, camera_of(run, 12), ["rgb"])
    sharp = shown.show(client, camera_of(run, HEIGHT), ["rgb"])["rgb"]
    off = (seen.sent[0]["rgb"] - sharp).abs().amax(-1)
    places = [tile for tile in Tiles.of(new_frame(run, scene_now), 16).tiles if tile_of(off, tile).median() < 1e-5]
    assert len(places) == 1 and (tile_of(labels, places[0]) == chosen).any()


def tile_of(image: torch.Tensor, tile: Tile) -> torch.Tensor:
    return image[tile.top : tile.bottom, tile.left : tile.right]


def test_what_was_computed_before_an_interruption_is_kept(run, shown, in_tiles, interrupted, sampled) -> None:  # noqa: F811
    client, camera = threading.Thread(), camera_of(run, HEIGHT)
    coarse = shown.show(client, camera_of(run, 12), ["rgb"])["rgb"]
    interrupted(5)
    with pytest.raises(IOChangeException):
        shown.show(client, camera, ["rgb"])
    sampled.clear()
    half = shown.show(client, camera_of(run, 12), ["rgb"])["rgb"]
    assert half.shape == (*SIZE, 3) and sampled == []
    sharp = shown.show(client, camera, ["rgb"])["rgb"]
    assert 0 < sum(sampled) <= 4 * 12 * 16, "five tiles were done, or more by other threads"
    assert torch.allclose(half[12:24, 16:32], sharp[12:24, 16:32], atol=1e-5)
    assert (half - resized(coarse, SIZE, "bilinear")).abs().sum(-1).gt(0).float().mean() > 0.4
    sampled.clear()
    assert torch.equal(shown.show(client, camera, ["rgb"])["rgb"], sharp) and sampled == []


def test_a_picture_that_is_interrupted_becomes_sharp_no_more(run, shown, in_tiles, interrupted) -> None:
    """The panel said "sharpening 75 %" for ever where the next picture was at hand and needed no sharpening."""
    client, seen = threading.Thread(), Seen(shown)
    shown.show(client, camera_of(run, 12), ["rgb"])
    interrupted(5)
    with pytest.raises(IOChangeException):
        shown.show(client, camera_of(run, HEIGHT), ["rgb"])
    assert 0 < max(seen.fractions[:-1]) < 1 and seen.fractions[-1] == 1


def test_an_edit_meanwhile_loses_no_tile(run, model, shown, in_tiles, interrupted, sampled) -> None:  # noqa: F811
    client, camera = threading.Thread(), camera_of(run, HEIGHT)
    scene = model.current.value
    shown.show(client, camera_of(run, 12), ["rgb"])
    interrupted(5)
    with pytest.raises(IOChangeException):
        shown.show(client, camera, ["rgb"])
    edit_scene(model, Edit().recolor(scene.objects[0].id, (1.0, 0.0, 0.0)))
    shown.show(client, camera_of(run, 12), ["edited"])
    sampled.clear()
    edited = shown.show(client, camera, ["edited"])["edited"]
    assert 0 < sum(sampled) <= 4 * 12 * 16, "colours are mixed from the samples of the tiles that were done"
    exact = new_frame(run, model.current.value)
    assert torch.allclose(edited, exact.image(exact.edited()), atol=1e-5)


def test_it_is_said_while_what_comes_to_light_is_completed(run, model, shown, in_tiles) -> None:
    """The panel said "sharpening 0 %" for half a minute."""
    client, seen = threading.Thread(), Seen(shown)
    scene = model.current.value.with_trained(model.current.value.trained)
    model.current.replace(lambda _: scene.with_edit(Edit().hide(scene.objects[1].id)))
    shown.show(client, camera_of(run, 12), ["edited"], glimpse=True)
    shown.show(client, camera_of(run, HEIGHT), ["edited"])
    assert seen.fractions[0] is None and seen.fractions[1:] == [number / 9 for number in range(1, 10)]
    again = scene.with_edit(Edit().hide(scene.objects[1].id).recolor(scene.objects[2].id, (1.0, 0.0, 0.0)))
    assert again.edits_at_once


def test_a_long_edit_is_sharp_where_the_object_was_first(run, model, shown, in_tiles) -> None:
    client, camera, seen = threading.Thread(), camera_of(run, HEIGHT), Seen(shown)
    shown.show(client, camera, ["objects"])
    frame = new_frame(run, model.current.value)
    id = largest(frame)
    edit_scene(model, Edit().hide(id))
    preview = shown.show(client, camera_of(run, 12), ["edited"])["edited"]
    seen.sent.clear()
    sharp = shown.show(client, camera, ["edited"])["edited"]
    assert preview.shape == sharp.shape and len(seen.sent) > 0
    off = [float((outputs["edited"] - sharp).abs().mean()) for outputs in seen.sent]
    assert off == sorted(off, reverse=True) and off[0] < float((preview - sharp).abs().mean()) + 1e-6
    exact = frame.under(model.current.value)
    assert torch.allclose(sharp, exact.image(exact.edited()), atol=1e-4)


def test_every_line_may_be_the_one_at_which_a_picture_is_interrupted(run, shown, in_tiles, sampled) -> None:  # noqa: F811
    """As nerfstudio does, by a trace: the picture is right after that; at most a tile is computed again each time."""
    client, camera, lines = threading.Thread(), camera_of(run, HEIGHT), [0]
    shown.show(client, camera_of(run, 12), ["rgb"])

    def interrupt(frame, event, arg):
        lines[0] -= event == "line" and "pictures.py" in frame.f_code.co_filename
        if event == "line" and lines[0] == 0:
            raise IOChangeException
        return interrupt

    count = 0
    for first in range(20, 200, 20):
        lines[0] = first
        sys.settrace(interrupt)
        try:
            shown.show(client, camera, ["rgb"])
        except IOChangeException:
            count += 1
        finally:
            sys.settrace(None)
    sharp = shown.show(client, camera, ["rgb"])["rgb"]
    assert count > 2 and sum(sampled) <= 12 * 16 + HEIGHT * WIDTH + count * 12 * 16
    whole = new_frame(run, shown.current.value)
    assert torch.allclose(sharp, whole.image(whole.images()["rgb"]), atol=1e-5)


def test_another_output_that_is_asked_for_meanwhile_can_be_read(run, scene_now) -> None:
    coarse = new_frame(run, scene_now)
    table = pictures.output_table(scene_now)
    canvas = Canvas(coarse, SIZE, [table["rgb"]], outlining=True)
    outputs = presented(canvas, frozenset({scene_now.objects[0].id}))
    for name in ("rgb", "depth", "confidence", "object_00_mask", "no such output"):
        assert outputs[name].shape == (*SIZE, 3)

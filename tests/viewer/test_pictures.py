"""What the viewer draws: nothing that it does not show, nothing twice, under names that a person gave."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
from helpers import alike
from made_scene import made_scene
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.compat.nerfacto import NerfactoRadiance
from disconerf_ns.compat.viewer import IOChangeException
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import drawn_instead, output_table
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.tree import NEVER, ObjectTree
from disconerf_ns.viewer import pictures, views
from disconerf_ns.viewer.outline import is_background, marked, outline
from disconerf_ns.viewer.presented import presented
from disconerf_ns.viewer.tiles import Images

DRAWN = ["rgb", "depth"]
"""What the viewer is about to draw."""


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many positions each call of the object field or rays of the radiance field was about."""
    asked: list[int] = []
    shade, owners = NerfactoRadiance.shade, ArrangedScene.owners

    def count(of, size):
        def call(*args, **kwargs):
            asked.append(size(*args))
            return of(*args, **kwargs)

        return call

    monkeypatch.setattr(NerfactoRadiance, "shade", count(shade, lambda radiance, x, directions: len(x)))
    monkeypatch.setattr(ArrangedScene, "owners", count(owners, lambda scene, x: len(x)))
    return asked


def camera_of(run, height: int, aspect: float = 4 / 3) -> Cameras:
    camera = run.trainer.pipeline.datamanager.eval_dataset.cameras[0:1]
    scale = height / float(camera.height)
    width = int(height * aspect)
    return Cameras(
        camera.camera_to_worlds.clone(), camera.fx * scale, camera.fy * scale, width / 2, height / 2, width, height
    ).to(run.trainer.pipeline.device)


def test_the_same_view_is_not_computed_twice(run, shown, networks) -> None:
    client, camera = threading.Thread(), camera_of(run, 36)
    first = shown.show(client, camera, DRAWN)["rgb"]
    assert len(networks) > 0
    networks.clear()
    assert torch.equal(shown.show(client, camera, DRAWN)["rgb"], first) and networks == []


def test_the_sharp_picture_answers_for_the_coarse_one(run, shown, networks) -> None:
    client = threading.Thread()
    shown.show(client, camera_of(run, 36), DRAWN)
    networks.clear()
    outputs = shown.show(client, camera_of(run, 12), DRAWN)
    assert outputs["rgb"].shape[:2] == (36, 48) and networks == []
    assert outputs["depth"].shape[:2] == (12, 16), "the viewer multiplies it by rays of the size that it asked for"


@pytest.mark.parametrize("fast", [False, True])
def test_a_coarse_picture_has_few_rays_however_many_are_asked_for(run, shown, networks, monkeypatch, fast) -> None:
    """After clicks whose pictures were at hand, nerfstudio asked for as many as a sharp picture has, and waited."""
    monkeypatch.setattr(views, "GLIMPSE", 12 * 16)
    monkeypatch.setattr(pictures, "is_fast", lambda scene: fast)
    outputs = shown.show(threading.Thread(), camera_of(run, 36), DRAWN, glimpse=True)
    assert outputs["rgb"].shape[:2] == ((36, 48) if fast else (12, 16))
    assert outputs["depth"].shape[:2] == (36, 48), "the viewer multiplies it by rays of the size that it asked for"
    client = threading.Thread()
    sharp = shown.show(client, camera_of(run, 36), DRAWN)["rgb"]
    networks.clear()
    assert torch.equal(shown.show(client, camera_of(run, 36), DRAWN, glimpse=True)["rgb"], sharp) and networks == []


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("change", ["hide", "move", "copy"])
def test_a_coarse_picture_waits_for_no_completion(run, shown, scene_now, monkeypatch, change: str, fast: bool) -> None:
    """What was hidden stayed in the picture for half a minute where the camera moved, or a picture was in work."""

    def enclose(*_):
        raise AssertionError("this takes long")

    client, camera = threading.Thread(), camera_of(run, 12)
    scene = scene_now.with_trained(scene_now.trained)
    id, aside = scene.objects[1].id, Similarity(translation=(0.1, 0.0, 0.1))
    edit = {"hide": Edit().hide(id), "move": Edit().move(id, aside), "copy": Edit().copy(id, aside)}[change]
    shown.current.replace(lambda _: scene.with_edit(edit))
    assert not shown.current.value.edits_at_once
    monkeypatch.setattr(pictures, "is_fast", lambda scene: fast)
    monkeypatch.setattr(ClosedSurface, "through", enclose)
    outputs = shown.show(client, camera, ["edited"], glimpse=True)
    assert (outputs["edited"] - outputs["rgb"]).abs().mean() > 0.005


def test_another_camera_step_or_client_gets_a_picture_of_its_own(run, shown, networks) -> None:
    client, camera = threading.Thread(), camera_of(run, 12)
    shown.show(client, camera, DRAWN)
    moved = camera_of(run, 12)
    moved.camera_to_worlds[..., 3] += 0.1
    for ask in (
        lambda: shown.show(client, moved, DRAWN),
        lambda: shown.show(threading.Thread(), camera, DRAWN),
    ):
        networks.clear()
        ask()
        assert len(networks) > 0
    networks.clear()
    shown.step += 1
    shown.show(client, camera, DRAWN)
    shown.step -= 1
    assert len(networks) > 0


def test_a_lens_that_differs_a_little_gets_a_picture_of_its_own(run, shown, networks) -> None:
    """A kept picture answered, as the final one too, for a focal length within 1 %."""
    client, camera = threading.Thread(), camera_of(run, 36)
    shown.show(client, camera, DRAWN)
    longer = replace(camera, fx=camera.fx * 1.005, fy=camera.fy * 1.005)
    networks.clear()
    shown.show(client, longer, DRAWN)
    assert len(networks) > 0


def test_only_what_is_drawn_is_computed(run, shown, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(Frame, "labels", lambda self: asked.append("labels"))
    monkeypatch.setattr(Frame, "alone", lambda self, id: asked.append(id))
    shown.show(threading.Thread(), camera_of(run, 12), DRAWN)
    assert asked == []


def named(scene: ArrangedScene) -> ArrangedScene:
    return scene.with_edit(Edit().rename(scene.objects[0].id, "red ball"))


def test_names_that_a_person_gave(scene_now) -> None:
    table, first, second = output_table(named(scene_now)), *scene_now.objects[:2]
    assert table[first.name].caption == f"{first.name} red ball"
    assert table[f"{first.name}_mask"].caption == f"{first.name}_mask red ball"
    assert table[second.name].caption == second.name


def test_named_outputs_answer_to_both_names(run, scene_now) -> None:
    first, rays = scene_now.objects[0], camera_of(run, 12).generate_rays(0, keep_shape=True)
    outputs = presented(Images(Frame(named(scene_now), rays.flatten(), (12, 16))), frozenset())
    assert f"{first.name} red ball" in list(outputs.keys()) and first.name not in list(outputs.keys())
    assert torch.equal(outputs[first.name], outputs[f"{first.name} red ball"])
    for name in ("confidence", f"{first.name}_mask"):
        assert outputs[name].shape == (12, 16, 3), "the colour map is chosen by itself"


def test_an_output_that_is_gone_shows_the_scene(run, scene_now, shown) -> None:
    """nerfstudio's render thread ended with a KeyError when the drawn object was merged into another one."""
    one, other = scene_now.objects[1:3]
    shown.current.replace(lambda scene: scene.with_edit(Edit().merge([one.id], other.id)))
    outputs = shown.show(threading.Thread(), camera_of(run, 12), [one.name])
    assert one.name not in outputs.keys() and torch.equal(outputs[one.name], outputs["rgb"])


def whole_and_parts() -> ArrangedScene:
    """object_00 and object_01, the balls, are shown as one, object_02."""
    scene = made_scene()
    whole = replace(scene.trained.discovered[0], node=2, **alike(((-1.0,) * 3, (1.0,) * 3)))
    tree = ObjectTree(2, (2, 2, -1), (NEVER, NEVER, 0.7))
    return scene.with_trained(replace(scene.trained, tree=tree, discovered=(*scene.trained.discovered, whole)))


@pytest.mark.parametrize(
    ("before", "after", "drawn", "instead"),
    [
        (Edit(), Edit().rename(0, "ball"), "object_00", "object_00 ball"),
        (Edit().rename(0, "ball"), Edit(), "object_00_depth ball", "object_00_depth"),
        (Edit(), Edit().merge([1], 0).rename(0, "both"), "object_01_mask", "object_00_mask both"),
        (Edit().merge([1], 0), Edit(), "object_00", "object_00"),
        (Edit(), Edit().divide(0, 2), "object_00", "edited"),
        (Edit().divide(0, 2), Edit(), "object_02_mask", "object_00_mask"),
        (Edit().divide(0, 2), Edit().divide(0, 2).merge([2], 1), "object_02", "object_01"),
        (Edit(), Edit().hide(0), "object_00", "object_00"),
        (Edit(), Edit().hide(0), "rgb", "rgb"),
        (Edit(), Edit().hide(0), "object_77", "rgb"),
    ],
)
def test_an_output_whose_object_is_gone_gives_way_to_who_holds_it(before, after, drawn, instead, halves) -> None:
    """Merging the object that was drawn fell back to `rgb`."""
    scene = made_scene()
    assert drawn_instead(drawn, scene.with_edit(before), scene.with_edit(after)) == instead


def test_an_output_of_a_whole_gives_way_to_the_edited_scene_and_of_a_part_to_the_whole() -> None:
    scene = whole_and_parts()
    opened = scene.with_edit(Edit().open(2))
    assert drawn_instead("object_02_mask", scene, opened) == "edited"
    assert drawn_instead("object_01_mask", opened, scene) == "object_02_mask"
    assert drawn_instead("objects_overlay", opened, scene) == "objects_overlay"


def test_a_picture_that_fails_is_said_and_the_next_one_is_drawn(run, shown, told, monkeypatch, caplog) -> None:
    def fail(frame) -> None:
        raise IndexError("index out of range in self")

    client, camera = threading.Thread(), camera_of(run, 12)
    with monkeypatch.context() as patch:
        patch.setattr(Frame, "colors", fail)
        outputs = shown.show(client, camera, ["objects"])
    assert outputs["objects"].shape == (12, 16, 3) and (outputs["objects"] == 0.5).all()
    assert len(told) == 1 and told[0].endswith("the log has the details.") and "in fail" in caplog.text
    assert shown.drawing == set()
    assert shown.show(client, camera, ["objects"])["objects"].std() > 0.01


def test_a_picture_ends_its_turn_whatever_line_it_was_interrupted_at(run, model, shown, monkeypatch) -> None:
    turn = model.still()

    def interrupted(*_) -> None:
        turn.__enter__()
        raise IOChangeException

    monkeypatch.setattr(shown, "_drawn", interrupted)
    with pytest.raises(IOChangeException):
        shown.show(threading.current_thread(), camera_of(run, 8), ["rgb"])
    step = threading.Thread(target=lambda: model.turns.alone().__enter__(), daemon=True)
    step.start()
    step.join(5)
    assert not step.is_alive()


def test_one_whose_thread_has_ended_draws_nothing(run, shown, monkeypatch) -> None:
    """Small pictures waited for ever for a picture whose thread was interrupted at the last line."""
    thread = threading.Thread(target=lambda: None)
    monkeypatch.setattr(shown, "_drawing", {thread, threading.current_thread()})
    assert shown.drawing == {threading.current_thread()}


@pytest.mark.parametrize("turned", [False, True])
def test_an_interruption_by_nerfstudio_is_none_of_our_errors(run, shown, told, monkeypatch, turned: bool) -> None:
    """nerfstudio interrupts wherever the thread is; code that catches everything turns that into its own error."""

    def interrupt(frame) -> None:
        try:
            raise IOChangeException
        except IOChangeException:
            if turned:
                raise TypeError("a check that caught everything") from None
            raise

    monkeypatch.setattr(Frame, "images", interrupt)
    with pytest.raises(IOChangeException):
        shown.show(threading.Thread(), camera_of(run, 12), DRAWN)
    assert told == [] and shown.drawing == set()


def test_a_picture_is_of_one_scene_whatever_becomes_current_meanwhile(run, scene_now, shown, monkeypatch) -> None:
    """Splitting and undoing the split while a picture is drawn gave pictures that match neither edit."""
    slot, client, camera = scene_now.objects[1].id, threading.Thread(), camera_of(run, 12)
    split = scene_now.with_edit(Edit().divide(slot, 2).hide(slot))
    expected = presented(
        Images(Frame(split, camera.generate_rays(0, keep_shape=True).flatten(), (12, 16), True)), frozenset()
    )
    labels = Frame.labels

    def undo_first(frame: Frame):
        shown.current.replace(lambda _: scene_now)
        return labels(frame)

    shown.current.replace(lambda _: split)
    with monkeypatch.context() as patch:
        patch.setattr(Frame, "labels", undo_first)
        outputs = shown.show(client, camera, ["objects", "edited"])
    assert all(torch.equal(outputs[name], expected[name]) for name in ("objects", "edited"))
    fresh = presented(
        Images(Frame(scene_now, camera.generate_rays(0, keep_shape=True).flatten(), (12, 16), True)), frozenset()
    )
    after = shown.show(client, camera, ["objects", "edited"])
    assert all(torch.equal(after[name], fresh[name]) for name in ("objects", "edited"))


def test_object_10_is_not_waited_for_with_object_100(scene_now, run) -> None:
    """Outputs were told apart by the beginning of their names."""
    base = scene_now.trained.discovered[0]
    discovered = tuple(replace(base, node=node) for node in range(101))
    trained = replace(scene_now.trained, tree=ObjectTree.flat(101), discovered=discovered)
    table = output_table(scene_now.with_trained(trained))
    assert table["object_10"].object.id == table["object_10_mask"].object.id == 10
    assert table["object_100"].object.id == 100


def test_the_outline_runs_around() -> None:
    image = torch.full((200, 200, 3), 0.5)
    inside = torch.zeros(200, 200, dtype=torch.bool)
    inside[50:100, 60:120] = True
    inside[150, 150] = True
    shown = outline(image, inside)
    assert torch.equal(shown[52:98, 62:118], image[52:98, 62:118]), "the object itself stays as it is"
    assert (shown[75, 59] == 1).all() and (shown[75, 120] == 1).all() and (shown[49, 90] == 1).all()
    assert (shown[75, 58] < 0.5).all(), "a dark line around the white one"
    assert torch.equal(shown[140:160, 140:160], image[140:160, 140:160]), "a speck has no outline"


def test_a_selected_object_is_tinted_and_outlined() -> None:
    image, ids = torch.full((200, 200, 3), 0.5), torch.zeros(200, 200, dtype=torch.long)
    ids[50:100, 60:120] = 1
    shown = marked(image, ids, frozenset({1}))
    assert (shown[75, 90] - image[75, 90]).abs().max() > 0.03, "the object is tinted"
    assert (shown[75, 90] - image[75, 90]).abs().max() < 0.2, "and still seen"
    assert (shown[75, 59] == 1).all() and (shown[75, 58] < 0.5).all()
    assert torch.equal(shown[:40], image[:40]) and torch.equal(marked(image, ids, frozenset({7})), image)


@pytest.mark.parametrize(("height", "line", "dark"), [(30, 1, 0), (200, 1, 1), (800, 4, 4)])
def test_the_background_is_framed_instead_of_outlined(height: int, line: int, dark: int) -> None:
    """Selecting the background outlined the table."""
    image, ids = torch.full((height, 2 * height, 3), 0.5), torch.zeros(height, 2 * height, dtype=torch.long)
    ids[height // 3 : height // 2, height:] = 1  # an object that touches the right border
    shown = marked(image, ids, frozenset({0}))
    frame = torch.ones(height, 2 * height, dtype=torch.bool)
    frame[line:-line, line:-line] = False
    assert (shown[frame] == 1).all()
    rest = torch.zeros_like(frame)
    rest[line + dark : -line - dark, line + dark : -line - dark] = True
    assert (shown[~frame & ~rest] == 0.2).all() and torch.equal(shown[rest], image[rest])
    assert is_background(ids == 0) and not is_background(ids == 1)
    both = marked(image, ids, frozenset({0, 1}))
    assert (both[frame] == 1).all() and (both[height // 3 - 1, -height // 2] == 1).all()


def test_selected_objects_are_outlined_where_objects_are_seen(run, scene_now) -> None:
    rays = camera_of(run, 36).generate_rays(0, keep_shape=True)
    frame = Frame(scene_now, rays.flatten(), (36, 48), keep=True)
    largest = int(frame.labels().id.clamp(min=0).bincount().argmax())
    plain, selected = presented(Images(frame), frozenset()), presented(Images(frame), frozenset({largest}))
    for name in ("rgb", "objects", "objects_overlay", "edited"):
        assert output_table(scene_now)[name].outlined
        assert (selected[name] - plain[name]).abs().max() > 0.1, name
    assert torch.equal(selected["depth"], plain["depth"])
    without = frame.under(scene_now.with_edit(Edit().hide(largest)))
    hidden, outlined = presented(Images(without), frozenset()), presented(Images(without), frozenset({largest}))
    assert (outlined["edited"] - hidden["edited"]).abs().mean() < 0.01, "what is hidden has no outline where it was"

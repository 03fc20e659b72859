"""What the viewer draws: nothing that it does not show, nothing twice, under names that a person gave."""

from __future__ import annotations

import threading

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.frame import Frame
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.viewer import displays
from disconerf_ns.viewer.displays import outline, presented, shown_names

DRAWN = ["rgb", "depth"]
"""What the viewer is about to draw."""


@pytest.fixture
def networks(model: DiscoNerfModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many positions each call of the object field or rays of the radiance field was about."""
    asked: list[int] = []
    density, owners = model.field.get_density, model.owners

    def count(of, size):
        def call(*args, **kwargs):
            asked.append(size(*args))
            return of(*args, **kwargs)

        return call

    monkeypatch.setattr(model.field, "get_density", count(density, lambda samples: samples.frustums.starts.shape[0]))
    monkeypatch.setattr(model, "owners", count(owners, len))
    return asked


def camera_of(run, height: int, aspect: float = 4 / 3) -> Cameras:
    camera = run.trainer.pipeline.datamanager.eval_dataset.cameras[0:1]
    scale = height / float(camera.height)
    width = int(height * aspect)
    return Cameras(
        camera.camera_to_worlds.clone(), camera.fx * scale, camera.fy * scale, width / 2, height / 2, width, height
    ).to(run.trainer.pipeline.device)


def test_the_same_view_is_not_computed_twice(run, model, networks) -> None:
    client, camera = threading.Thread(), camera_of(run, 36)
    first = model.displays.show(client, camera, DRAWN)["rgb"]
    assert len(networks) > 0
    networks.clear()
    assert torch.equal(model.displays.show(client, camera, DRAWN)["rgb"], first) and networks == []


def test_the_sharp_picture_answers_for_the_coarse_one(run, model, networks) -> None:
    client = threading.Thread()
    model.displays.show(client, camera_of(run, 36), DRAWN)
    networks.clear()
    outputs = model.displays.show(client, camera_of(run, 12), DRAWN)
    assert outputs["rgb"].shape[:2] == (36, 48) and networks == []
    assert outputs["depth"].shape[:2] == (12, 16), "the viewer multiplies it by rays of the size that it asked for"


def test_another_camera_step_or_client_gets_a_picture_of_its_own(run, model, networks) -> None:
    client, camera = threading.Thread(), camera_of(run, 12)
    model.displays.show(client, camera, DRAWN)
    moved = camera_of(run, 12)
    moved.camera_to_worlds[..., 3] += 0.1
    for ask in (
        lambda: model.displays.show(client, moved, DRAWN),
        lambda: model.displays.show(threading.Thread(), camera, DRAWN),
    ):
        networks.clear()
        ask()
        assert len(networks) > 0
    networks.clear()
    model.displays.step += 1
    model.displays.show(client, camera, DRAWN)
    model.displays.step -= 1
    assert len(networks) > 0


def test_only_what_is_drawn_is_computed(run, model, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(Frame, "labels", lambda self: asked.append("labels"))
    monkeypatch.setattr(Frame, "alone", lambda self, id: asked.append(id))
    model.displays.show(threading.Thread(), camera_of(run, 12), DRAWN)
    assert asked == []


def test_names_that_a_person_gave(model) -> None:
    first = model.objects[0]
    model.edit = model.edit.rename(first.slot, "red ball")
    names = shown_names(model.objects)
    assert names[first.name] == f"{first.name} red ball"
    assert names[f"{first.name}_mask"] == f"{first.name}_mask red ball"
    assert names[model.objects[1].name] == model.objects[1].name


def test_named_outputs_answer_to_both_names(run, model) -> None:
    first = model.objects[0]
    model.edit = model.edit.rename(first.slot, "red ball")
    camera = camera_of(run, 12)
    rays = camera.generate_rays(0, keep_shape=True)
    outputs = presented(Frame(model, rays.flatten(), (12, 16)), frozenset())
    assert f"{first.name} red ball" in list(outputs.keys()) and first.name not in list(outputs.keys())
    assert torch.equal(outputs[first.name], outputs[f"{first.name} red ball"])
    for name in ("confidence", f"{first.name}_mask"):
        assert outputs[name].shape == (12, 16, 3), "the colour map is chosen by itself"


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


def test_selected_objects_are_outlined_where_objects_are_seen(run, model) -> None:
    camera = camera_of(run, 36)
    rays = camera.generate_rays(0, keep_shape=True)
    frame = Frame(model, rays.flatten(), (36, 48), keep=True)
    largest = int(frame.labels()["id"].clamp(min=0).bincount().argmax())
    plain, selected = presented(frame, frozenset()), presented(frame, frozenset({largest}))
    for name in displays.OUTLINED:
        assert (selected[name] - plain[name]).abs().max() > 0.1, name
    assert torch.equal(selected["depth"], plain["depth"])
    model.edit = model.edit.hide(largest)
    hidden, outlined = presented(frame, frozenset()), presented(frame, frozenset({largest}))
    assert (outlined["edited"] - hidden["edited"]).abs().mean() < 0.01, "what is hidden has no outline where it was"

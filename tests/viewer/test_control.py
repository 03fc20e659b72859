"""The panel in nerfstudio's viewer, used as `ns-viewer` has it, without a browser."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import imageio.v3 as iio
import numpy as np
import pytest
import viser
from helpers import edit_scene
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCALE
from scene import BALLS
from viewer_presses import elements, presses, send

from disconerf_ns.compat.viewer import redraw
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.viewer import control
from disconerf_ns.viewer.boxes import Box, box_of
from disconerf_ns.viewer.camera_moves import view_of
from disconerf_ns.viewer.picking import object_at


@pytest.fixture
def panel(viewer):
    return viewer.pipeline.object_control.panel


@pytest.fixture
def told(panel, monkeypatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(panel.editor, "tell", told.append)
    return told


def scene_frame(pipeline):
    """The balls' centres in the trained scene's coordinates, by the dataparser's transform."""
    outputs = pipeline.datamanager.train_dataparser_outputs
    transform, scale = outputs.dataparser_transform.numpy(), outputs.dataparser_scale
    return [scale * (transform[:, :3] @ np.array(centre) + transform[:, 3]) for centre, _, _ in BALLS]


def towards(viewer, point: np.ndarray):
    """A ray from a training camera through a point."""
    camera = viewer.pipeline.datamanager.train_dataset.cameras.camera_to_worlds[2]
    origin = camera[:, 3].numpy().astype(float)
    direction = (point - origin) / np.linalg.norm(point - origin)
    return tuple(origin.tolist()), tuple(direction.tolist())


def test_a_ray_meets_the_object_that_it_is_aimed_at(viewer) -> None:
    model = viewer.pipeline.model
    met = [
        object_at(model.current.value, *towards(viewer, centre), edited=False)
        for centre in scene_frame(viewer.pipeline)
    ]
    assert len(set(met)) == 3 and None not in met
    boxes = {each.id: np.array(each.box) for each in model.current.value.objects}
    for id, centre in zip(met, scene_frame(viewer.pipeline)):
        assert (boxes[id][0] < centre).all() and (centre < boxes[id][1]).all()


def test_hidden_objects_are_in_nobodys_way(viewer) -> None:
    model = viewer.pipeline.model
    ray = towards(viewer, scene_frame(viewer.pipeline)[0])
    first = object_at(model.current.value, *ray, edited=True)
    edit_scene(model, Edit().hide(first))
    assert object_at(model.current.value, *ray, edited=True) != first
    assert object_at(model.current.value, *ray, edited=False) == first


def test_clicks_into_the_picture_select(viewer, panel) -> None:
    model, rays = viewer.pipeline.model, [towards(viewer, centre) for centre in scene_frame(viewer.pipeline)]
    ids = [object_at(model.current.value, *ray, edited=False) for ray in rays]

    def click(ray) -> None:
        callback = viewer.viser_server.scene._scene_pointer_cb
        event = SimpleNamespace(ray_origin=tuple(SCALE * x for x in ray[0]), ray_direction=ray[1], event_type="click",
                                screen_pos=[(0.5, 0.5)], client=None, client_id=0)  # fmt: skip
        callback(event)
        panel.editor.drain()

    presses(viewer, panel.clicks, "select an object")
    click(rays[0])
    assert panel.editor.selected == (ids[0],)
    click(rays[1])
    assert panel.editor.selected == (ids[1],)
    presses(viewer, panel.clicks, "select several")
    click(rays[0])
    assert panel.editor.selected == (ids[1], ids[0])
    click(rays[1])
    assert panel.editor.selected == (ids[0],)
    presses(viewer, panel.clicks, "turn the camera")
    assert viewer.viser_server.scene._scene_pointer_cb is None


def test_buttons_do_what_they_say(viewer, panel, told) -> None:
    """Each group of buttons is found by its label and pressed, twice in a row too."""
    model = viewer.pipeline.model
    first, second = (each.id for each in model.current.value.objects[:2])
    groups = groups_by_label(viewer)
    panel._select(first)
    panel.editor.drain()
    presses(viewer, groups["Visible"], "hide")
    assert model.current.value.edit.hidden == {first}
    presses(viewer, groups["Visible"], "hide")
    assert model.current.value.edit.hidden == set()
    presses(viewer, groups["Visible"], "only")
    assert model.current.value.edit.hidden >= {second} and first not in model.current.value.edit.hidden
    presses(viewer, groups["Visible"], "all")
    presses(viewer, panel.name, "ball")
    presses(viewer, panel.color, (255, 0, 0))
    assert model.current.value.edit == Edit(names={first: "ball"}, colors={first: (1.0, 0.0, 0.0)})
    presses(viewer, groups["Changes"], "undo")
    presses(viewer, groups["Changes"], "undo")
    presses(viewer, groups["Changes"], "redo")
    assert model.current.value.edit == Edit(names={first: "ball"})
    presses(viewer, groups["Edit"], "save")
    assert Edit.load(viewer.pipeline.object_control.file, model.tree) == model.current.value.edit
    viewer.pipeline.object_control.file.unlink()
    presses(viewer, groups["Parts"], "merge")
    assert told[-1] == "Select two objects or more to merge them."
    presses(viewer, panel.extraction, "soft")
    presses(viewer, panel.threshold, 0.4)
    options = model.current.value.options
    assert (options.extraction, options.min_confidence) == ("soft", 0.4)


def test_everything_but_plain_buttons_has_a_tooltip(viewer) -> None:
    ours = {"Show", "Detail", "Clicks", "Name", "Colour", "Visible", "Parts", "Camera", "Changes", "Edit", "Colours",
            "Extraction", "Confidence", "Boxes", "Names", "Sort by", "Search"}  # fmt: skip
    found = {props.label: props.hint for _, props, _ in elements(viewer.viser_server) if hasattr(props, "hint")}
    assert ours <= found.keys()
    assert all(found[label] for label in ours)


def test_what_is_changed_is_drawn(viewer, panel, told) -> None:
    """Hiding something shows the edited scene; a name follows into the dropdown of outputs."""
    outputs, first = viewer.control_panel._output_render, viewer.pipeline.model.current.value.objects[0]
    presses(viewer, panel.shown, "objects")
    assert told[-1].startswith("There are no objects yet"), "nothing has been drawn, so the viewer knows no output"
    outputs.set_options(["rgb", "objects", "edited", first.name])
    panel._select(first.id)
    panel.editor.drain()
    presses(viewer, groups_by_label(viewer)["Visible"], "hide")
    assert outputs.value == "edited" and panel.shown.value == "the edited scene"
    presses(viewer, panel.shown, "objects")
    assert outputs.value == "objects"
    outputs.value = first.name
    presses(viewer, panel.name, "ball")
    assert outputs.value == f"{first.name} ball" and first.name not in outputs.options
    presses(viewer, panel.name, "")
    assert outputs.value == first.name


def groups_by_label(viewer) -> dict:
    return {props.label: handle for kind, props, handle in elements(viewer.viser_server) if kind == "ButtonGroup"}


def test_the_selection_is_shown(viewer, panel) -> None:
    model = viewer.pipeline.model
    panel._select(model.current.value.objects[0].id)
    panel.editor.drain()
    assert (
        panel.name.value == model.current.value.objects[0].name and not panel.name.disabled and not panel.color.disabled
    )
    assert panel.color.value == tuple(round(255 * c) for c in model.current.value.objects[0].color)
    presses(viewer, panel.clicks, "select several")
    panel._select(model.current.value.objects[1].id)
    panel.editor.drain()
    assert panel.name.value == "2 objects" and panel.name.disabled and not panel.color.disabled


def test_the_slider_shows_coarser_and_finer_objects(viewer, panel) -> None:
    """Two objects in a larger one, which the default cut shows whole; the slider is hidden where nothing is larger."""
    current, text = viewer.pipeline.model.current, panel.status.text
    assert not panel.detail.visible and text.content == "**4 objects**" and len(panel.rows.ids) == 5, "and the rest"
    flat, (first, second, *others) = current.value.trained.tree, current.value.trained.discovered
    parent = [-1] * 6
    parent[first.node] = parent[second.node] = 5
    tree = ObjectTree(5, tuple(parent), (*flat.opens, 0.7), rest=flat.rest)
    whole = replace(first, node=5, share=first.share + second.share)
    trained = replace(current.value.trained, tree=tree, discovered=(whole, *others[:-1], first, second, others[-1]))
    current.replace(lambda scene: scene.with_trained(trained))
    panel.editor.ask(panel.editor.select, [5])
    panel.editor.drain()
    assert panel.detail.visible and panel.detail.value == 0.5 and text.content == "**3 objects**"
    assert set(panel.rows.ids) == {5, *(each.node for each in others)} and panel.rows._folders.keys() == {5}
    presses(viewer, panel.detail, 0.8)
    assert text.content == "**4 objects**" and set(panel.rows.ids) == {0, 1, 2, 3, 4}
    assert panel.name.value == "2 objects", "both parts of what was selected"
    presses(viewer, groups_by_label(viewer)["Changes"], "undo")
    assert panel.detail.value == 0.5 and set(panel.rows.ids) == {5, *(each.node for each in others)}
    panel.rows.enter(first.node)
    panel.editor.drain()
    assert current.value.edit == Edit().open(5) and panel.editor.selected == (first.node,)


@pytest.mark.parametrize("position", [(3.0, 0.0, 1.0), (0.0, -2.0, 0.0), (0.1, 0.1, 4.0), (0.5, -0.2, 0.3)])
def test_a_box_that_is_flown_to_fills_the_picture(position) -> None:
    box, fov = Box(np.array([0.5, -0.2, 0.3]), np.array([0.6, 0.4, 0.2]), 0.7), math.radians(50)
    place, middle = view_of(box, np.array(position), fov)
    assert middle == pytest.approx(box.centre)
    away = place - middle
    assert math.asin(away[2] / np.linalg.norm(away)) >= math.radians(20) - 1e-9, "from above"
    radius = math.asin(np.linalg.norm(box.size) / 2 / np.linalg.norm(away))
    assert 0.7 < 2 * radius / fov <= 1
    heading = np.array(position)[:2] - middle[:2]
    if np.linalg.norm(heading) > 1e-6:
        assert heading @ away[:2] > 0, "on the side where the camera was"


class Client(viser.ClientHandle):
    """A client without a connection that remembers where its camera was."""

    client_id = 0

    def __init__(self, position, look_at):
        self.camera = SimpleNamespace(position=np.array(position), look_at=np.array(look_at), fov=math.radians(50))


def test_flying_ends_before_the_object(viewer, panel) -> None:
    model, client = viewer.pipeline.model, Client((20.0, 5.0, 8.0), (0.0, 0.0, 0.0))
    panel._select(model.current.value.objects[1].id)
    presses(viewer, groups_by_label(viewer)["Camera"], "fly to", client)
    goal = SCALE * box_of(model.current.value.trained, model.current.value.objects[1]).centre
    deadline = time.monotonic() + 10
    while np.linalg.norm(client.camera.look_at - goal) > 1e-6 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.camera.look_at == pytest.approx(goal)


def test_a_film_of_the_selection(viewer, panel, told, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(control, "FILM_FRAMES", 6)
    monkeypatch.setattr(control, "FILM_SIZE", 32)
    viewer.log_filename = tmp_path / "viewer.log"
    model, client = viewer.pipeline.model, Client((10.0, 5.0, 8.0), (0.0, 0.0, 0.0))
    monkeypatch.setattr(viewer.pipeline, "edit_file", tmp_path / "edit.json")
    edit_scene(
        model,
        Edit()
        .rename(model.current.value.objects[1].id, "red/ball")
        .recolor(model.current.value.objects[1].id, (0.0, 0.0, 1.0)),
    )
    panel._select(model.current.value.objects[1].id)
    presses(viewer, groups_by_label(viewer)["Camera"], "film", client)
    deadline = time.monotonic() + 60
    while not told and time.monotonic() < deadline:
        time.sleep(0.1)
    path = tmp_path / "videos" / "object_01_red_ball.mp4"
    assert told == [f"The film is in {path}."]
    frames = iio.imread(path)
    assert frames.shape == (6, 32, 32, 3)
    assert all(frame.min() < 200 and frame.max() > 240 for frame in frames), "an object on white, in every frame"
    dark = frames[frames.min(-1) < 100].astype(float).mean(0)
    assert dark[2] > 1.5 * dark[0] and dark[2] > 1.5 * dark[1], "in the colour that it was given"


def test_a_film_is_of_the_scene_as_it_was_asked_for(viewer, panel, told, monkeypatch, tmp_path: Path) -> None:
    """Merging the filmed object away ended the film with `StopIteration()`; merging into it changed it half-way."""
    monkeypatch.setattr(control, "FILM_FRAMES", 3)
    monkeypatch.setattr(control, "FILM_SIZE", 24)
    monkeypatch.setattr(viewer.pipeline, "edit_file", tmp_path / "edit.json")
    model, client = viewer.pipeline.model, Client((10.0, 5.0, 8.0), (0.0, 0.0, 0.0))
    one, other = (each.id for each in model.current.value.objects[1:3])
    original = control.film

    def merging(scene, cameras, id):
        for frame in original(scene, cameras, id):
            edit_scene(model, Edit().merge([id], other))
            yield frame

    def film_of(maker) -> np.ndarray:
        monkeypatch.setattr(control, "film", maker)
        told.clear()
        edit_scene(model, Edit())
        panel.editor.select([one])
        presses(viewer, groups_by_label(viewer)["Camera"], "film", client)
        deadline = time.monotonic() + 60
        while not told and time.monotonic() < deadline:
            time.sleep(0.05)
        assert told[0].startswith("The film is in"), told
        return iio.imread(tmp_path / "videos" / "object_01.mp4")

    assert np.array_equal(film_of(merging), film_of(original))


def test_a_film_that_fails_is_said_with_its_reason_in_the_log(viewer, panel, told, monkeypatch, caplog) -> None:
    def fail(scene, cameras, id):
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(control, "film", fail)
    panel.editor.select([viewer.pipeline.model.current.value.objects[1].id])
    presses(viewer, groups_by_label(viewer)["Camera"], "film", Client((10.0, 5.0, 8.0), (0.0, 0.0, 0.0)))
    deadline = time.monotonic() + 30
    while not told and time.monotonic() < deadline:
        time.sleep(0.05)
    assert told == ["The film of object_01 failed (ZeroDivisionError: ); see the log."]
    assert "in fail" in caplog.text


def test_a_new_client_sees_what_the_first_photograph_shows(viewer) -> None:
    pose = viewer.pipeline.datamanager.train_dataset.cameras.camera_to_worlds[0].numpy()
    client = Client((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    viewer.pipeline.object_control._welcome(client)
    direction = client.camera.look_at - client.camera.position
    assert direction / np.linalg.norm(direction) == pytest.approx(-pose[:, 2], abs=1e-5)
    offset = client.camera.position / SCALE - pose[:, 3]
    assert np.cross(offset, pose[:, 2]) == pytest.approx(np.zeros(3), abs=1e-5)


def test_an_edit_that_does_not_fit_is_told_and_left(viewer, told) -> None:
    file = viewer.pipeline.object_control.file
    Edit(hidden=frozenset({10**6})).save(file)
    presses(viewer, groups_by_label(viewer)["Edit"], "load")
    file.unlink()
    assert "does not have" in told[-1] and viewer.pipeline.model.current.value.edit == Edit()


def test_only_who_draws_is_interrupted(viewer) -> None:
    drawing = viewer.pipeline.object_control.pictures.drawing
    idle, busy = Mock(interrupt_render_flag=True), Mock(interrupt_render_flag=True)
    viewer.render_statemachines.update({-1: idle, -2: busy})
    drawing.add(busy)
    try:
        redraw(viewer, drawing)
    finally:
        drawing.discard(busy)
        del viewer.render_statemachines[-1], viewer.render_statemachines[-2]
    assert (idle.interrupt_render_flag, busy.interrupt_render_flag) == (False, True)


def test_objects_that_training_discovers_are_shown_by_the_editor(viewer, panel, monkeypatch) -> None:
    """The training refreshed the panel itself, beside the thread that makes wishes; viser raised in one of them."""
    control = viewer.pipeline.object_control
    refreshed = []
    monkeypatch.setattr(panel, "refresh", lambda: refreshed.append(panel.editor._turn.locked()))
    control.objects_changed()
    deadline = time.monotonic() + 10
    while not refreshed and time.monotonic() < deadline:
        time.sleep(0.05)
    assert refreshed and all(refreshed), "with the editor's lock held"


def test_changes_are_made_without_training_too(viewer, panel) -> None:
    """A thread of the viewer makes them where no training step comes by."""
    first = viewer.pipeline.model.current.value.objects[0].id
    send(panel.clicks, "turn the camera")
    panel._select(first)
    panel.editor.ask(panel.editor.toggle)
    deadline = time.monotonic() + 10
    while viewer.pipeline.model.current.value.edit == Edit() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert viewer.pipeline.model.current.value.edit.hidden == {first}

"""The panel in nerfstudio's viewer, used as `ns-viewer` has it, without a browser."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from threading import Barrier, Event, Lock, Thread, Timer
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from helpers import edit_scene
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.viewer.render_state_machine import RenderStateMachine
from nerfstudio.viewer.utils import CameraState
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCALE
from scene import BALLS
from viewer_presses import chooses, containers, elements_of, paired, presses, settle, uses, visit, wait_for
from viser import ClientHandle

from disconerf_ns.compat import viewer as nerfstudio_viewer
from disconerf_ns.compat.viewer import IOChangeException, redraw, show_finished
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.viewer import film
from disconerf_ns.viewer.boxes import DrawnBox, box_of
from disconerf_ns.viewer.camera_moves import WIDEST, fov_of, ray_through, rightwards, view_of
from disconerf_ns.viewer.picking import object_at
from disconerf_ns.viewer.tools import add_key


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


def id_at(scene, origin, direction, edited: bool = False) -> int | None:
    met = object_at(scene, origin, direction, edited)
    return met and met.id


def test_a_ray_meets_the_object_that_it_is_aimed_at(viewer) -> None:
    model = viewer.pipeline.model
    met = [id_at(model.current.value, *towards(viewer, centre)) for centre in scene_frame(viewer.pipeline)]
    assert len(set(met)) == 3 and None not in met
    boxes = {each.id: np.array(each.box) for each in model.current.value.objects}
    for id, centre in zip(met, scene_frame(viewer.pipeline)):
        assert (boxes[id][0] < centre).all() and (centre < boxes[id][1]).all()


@pytest.mark.parametrize("extraction", ["hard", "soft"])
def test_hidden_objects_are_in_nobodys_way(viewer, extraction: str) -> None:
    model = viewer.pipeline.model
    model.current.replace(lambda scene: scene.with_options(extraction=extraction))
    ray = towards(viewer, scene_frame(viewer.pipeline)[0])
    first = id_at(model.current.value, *ray, edited=True)
    edit_scene(model, Edit().hide(first))
    assert id_at(model.current.value, *ray, edited=True) != first
    assert id_at(model.current.value, *ray) == first


def test_clicks_into_the_picture_select(viewer, seat) -> None:
    """Into the picture's middle, where the camera looks at a ball."""
    current, rays = viewer.pipeline.model.current, [towards(viewer, centre) for centre in scene_frame(viewer.pipeline)]
    ids = [id_at(current.value, *ray) for ray in rays]

    def click(ray) -> None:
        seat.client.camera.position = SCALE * np.array(ray[0])
        seat.client.camera.look_at = SCALE * np.add(*ray)
        seat.pick((0.5, 0.5))

    click(rays[0])
    assert seat.selection.ids == (ids[0],)
    click(rays[1])
    assert seat.selection.ids == (ids[1],) and seat.panel.rows.revealed == ids[1]
    presses(seat, seat.panel.several, True)
    click(rays[0])
    assert seat.selection.ids == (ids[1], ids[0])
    click(rays[1])
    assert seat.selection.ids == (ids[0],)


def test_tools_do_what_they_say(viewer, seat, said) -> None:
    current = viewer.pipeline.model.current
    first, second = (each.id for each in current.value.objects[:2])
    chooses(seat, first)
    uses(seat, "hide")
    assert current.value.edit.hidden == {first}
    uses(seat, "hide")
    assert current.value.edit.hidden == set()
    uses(seat, "show only")
    assert current.value.edit.hidden >= {second} and first not in current.value.edit.hidden
    uses(seat, "show all")
    presses(seat, seat.panel.name, "ball")
    presses(seat, seat.panel.color, (255, 0, 0))
    assert current.value.edit == Edit(names={first: "ball"}, colors={first: (1.0, 0.0, 0.0)})
    uses(seat, "undo")
    uses(seat, "undo")
    uses(seat, "redo")
    assert current.value.edit == Edit(names={first: "ball"})
    file = viewer.pipeline.object_control.file
    seat.save()
    assert Edit.load(file, viewer.pipeline.model.tree) == current.value.edit
    file.unlink()
    uses(seat, "merge")
    assert said[-1] == "Select two objects or more to merge them."
    presses(seat, seat.panel.extraction, "soft")
    presses(seat, seat.panel.threshold, 0.4)
    options = current.value.options
    assert (options.extraction, options.min_confidence) == ("soft", 0.4)


def usable(seat) -> set[str]:
    """Labels of the tools that are not grey."""
    return {tool.label for tool, button in seat.panel.tools._buttons if not button.handle.disabled}


def test_tools_that_can_do_nothing_are_grey(seat) -> None:
    first, second = (each.id for each in seat.editor.scene.objects[:2])
    assert usable(seat) == set(), "nothing is selected, hidden or changed"
    chooses(seat, first)
    one = {"hide", "show only", "split", "copy", "move", "fly to"}
    assert usable(seat) == one
    uses(seat, "hide")
    assert usable(seat) == one | {"show all", "undo"}
    uses(seat, "undo")
    assert usable(seat) == one | {"redo"}
    presses(seat, seat.panel.several, True)
    chooses(seat, second)
    assert usable(seat) == one | {"redo", "merge"}
    presses(seat, seat.panel.color, (255, 0, 0))
    uses(seat, "copy")
    assert usable(seat) == one | {"merge", "own colour", "put back", "undo"}


def test_everything_has_a_tooltip(seat) -> None:
    fields = [element for element in elements_of(seat) if element.kind != "Button"]
    assert len(fields) > 12 and all(element.props.hint for element in fields)
    buttons = [button for _, button in seat.panel.tools._buttons]
    buttons += [button for row in seat.panel.rows._rows.values() for button in row.buttons]
    assert len(buttons) > 20
    assert all(re.search(r'title="[^"]{4,}"', button.html) for button in buttons), "viser's buttons have none"


def test_keys_do_what_tools_do_where_viser_knows_keys(seat, monkeypatch) -> None:
    """viser 1.1 does; here it is a stand-in that has the same method."""
    commands = {}

    class Gui:
        def add_command(self, label, *, description, hotkey, modifier):
            return SimpleNamespace(on_trigger=lambda run: commands.__setitem__((hotkey, modifier), run))

    for tool, _ in seat.panel.tools._buttons:
        add_key(Gui(), tool, seat.ask)
    assert commands.keys() == {("H", None), ("H", "shift"), ("Z", "cmd/ctrl"), ("Z", "cmd/ctrl+shift")}
    commands["H", None](None)
    settle(seat)
    assert seat.editor.edit == Edit(), "nothing is selected"
    chooses(seat, first := seat.editor.scene.objects[0].id)
    commands["H", None](None)
    settle(seat)
    assert seat.editor.edit.hidden == {first}
    commands["Z", "cmd/ctrl"](None)
    settle(seat)
    assert seat.editor.edit == Edit()


def test_what_was_found_is_seen_first(viewer, seat) -> None:
    """The page opened with the tab Control, the photographs' frames before the scene, and `rgb` without objects."""
    tabs = next(each._parent for each in containers(viewer.viser_server.gui) if hasattr(each, "_parent"))
    labels = getattr(tabs, "_labels", None) or tabs._tab_labels
    assert list(labels) == ["Objects", "Control", "Render", "Export"]
    assert viewer.control_panel.output_render == "objects_overlay" and seat.panel.shown.value == "objects over it"
    assert viewer.camera_handles and not any(handle.visible for handle in viewer.camera_handles.values())
    presses(seat, seat.panel.cameras, True)
    assert all(handle.visible for handle in viewer.camera_handles.values())


def test_training_cameras_that_come_later_are_hidden_too_and_each_once(viewer, seat) -> None:
    """A training adds them one by one, also while a page is open: some stayed, or the loop over them raised."""

    class Growing(dict):
        def values(self):
            there = list(super().values())
            self[len(self)] = Mock(visible=True)
            return there

    first, *_ = shown = list(viewer.camera_handles.values())
    first.visible = True
    viewer.camera_handles = cameras = Growing(enumerate(shown))
    seat.editor.ask(lambda: None)
    settle(seat)
    assert first.visible, "a person showed it"
    seat.editor.ask(lambda: None)
    settle(seat)
    assert len(cameras) >= len(shown) + 2, "it looks once more whenever the editor has something else to do"
    assert not any(camera.visible for camera in list(dict.values(cameras))[len(shown) : -1])


def test_a_finished_run_says_its_step_and_has_no_training_sliders(viewer) -> None:
    """It said "Step: 0"."""
    control = viewer.pipeline.object_control
    control.loaded_step = 479
    show_finished(viewer, control.loaded_step)
    assert viewer.stats_markdown.content.startswith("Step: 479")
    panel = viewer.control_panel
    assert not any(element.gui_handle.visible for element in (panel._train_speed, panel._train_util))
    assert not viewer.pause_train.visible and not viewer.resume_train.visible


def test_two_people_s_pictures_of_a_finished_run_are_drawn_at_the_same_time(viewer, model, monkeypatch) -> None:
    """One waited until the other's was sharp, up to a minute, before anything was seen."""
    together, drawn = Barrier(2), []

    def draw(camera, obb_box=None) -> LazyOutputs:
        together.wait(10)
        drawn.append(camera)
        return LazyOutputs({})

    viewer.train_lock = Lock()
    show_finished(viewer, 0)
    monkeypatch.setattr(model, "get_outputs_for_camera", draw)
    looks = CameraState(fov=1.0, aspect=1.5, c2w=torch.eye(4)[:3], camera_type=CameraType.PERSPECTIVE)
    clients = [RenderStateMachine(viewer, SCALE, Mock(ClientHandle, client_id=number)) for number in (-1, -2)]
    threads = [Thread(target=client._render_img, args=(looks,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 2


def test_what_is_changed_is_drawn(viewer, seat, said) -> None:
    """Hiding something shows the edited scene; a name follows into the dropdown of outputs."""
    outputs, first = viewer.control_panel._output_render, viewer.pipeline.model.current.value.objects[0]
    chooses(seat, first.id)
    uses(seat, "hide")
    assert outputs.value == "edited" and seat.panel.shown.value == "the edited scene"
    presses(seat, seat.panel.shown, "objects")
    assert outputs.value == "objects"
    outputs.value = first.name
    presses(seat, seat.panel.name, "ball")
    assert outputs.value == f"{first.name} ball" and first.name not in outputs.options
    assert seat.panel.shown.value == f"{first.name} ball", "what is drawn, not what was chosen last"
    presses(seat, seat.panel.name, "")
    assert outputs.value == first.name == seat.panel.shown.value
    presses(seat, seat.panel.shown, "confidence")
    assert outputs.value == "confidence" and first.name not in seat.panel.shown.options
    assert said == []


def test_an_output_that_is_not_there_yet_is_told(viewer, seat, said) -> None:
    current = viewer.pipeline.model.current
    current.replace(lambda scene: scene.with_trained(replace(scene.trained, discovered=())))
    seat.editor.ask(lambda: None)
    settle(seat)
    assert viewer.control_panel.output_render == "rgb"
    presses(seat, seat.panel.shown, "objects")
    assert said[-1].startswith("There are no objects yet")
    assert seat.panel.shown.value == "the scene", "what is drawn"


def test_objects_are_shown_as_soon_as_they_are_found(viewer, seat) -> None:
    current = viewer.pipeline.model.current
    found = current.value.trained
    for trained, drawn in ((replace(found, discovered=()), "rgb"), (found, "objects_overlay")):
        current.replace(lambda scene, trained=trained: scene.with_trained(trained))
        seat.editor.ask(lambda: None)
        settle(seat)
        assert viewer.control_panel.output_render == drawn


def test_what_is_drawn_follows_its_object_into_another(viewer, seat) -> None:
    """Merging an object whose output was drawn fell back to `rgb`, and Show said "the edited scene"."""
    first, second = seat.editor.scene.objects[:2]
    outputs = viewer.control_panel._output_render
    outputs.value = second.name
    settle(seat)
    chooses(seat, first.id)
    presses(seat, seat.panel.several, True)
    chooses(seat, second.id)
    uses(seat, "merge")
    assert outputs.value == first.name == seat.panel.shown.value and second.name not in outputs.options
    uses(seat, "split")
    assert outputs.value == first.name == seat.panel.shown.value and second.name in outputs.options


def test_the_selection_is_shown(seat) -> None:
    first, second = seat.editor.scene.objects[:2]
    chooses(seat, first.id)
    panel = seat.panel
    assert panel.name.value == first.name and not panel.name.disabled and not panel.color.disabled
    assert panel.color.value == tuple(round(255 * c) for c in first.color)
    presses(seat, panel.several, True)
    chooses(seat, second.id)
    assert panel.name.value == "2 objects" and panel.name.disabled and not panel.color.disabled


def test_the_eye_hides_an_object_that_is_not_selected(seat) -> None:
    first, second = (each.id for each in seat.editor.scene.objects[:2])
    chooses(seat, first)
    presses(seat, seat.panel.rows._rows[second].ends[0].handle, True)
    assert seat.editor.edit.hidden == {second} and seat.selection.ids == (first,)
    presses(seat, seat.panel.rows._rows[second].ends[0].handle, True)
    assert seat.editor.edit.hidden == set()


def test_a_name_is_given_once(seat, said) -> None:
    first, second = (each.id for each in seat.editor.scene.objects[:2])
    chooses(seat, first)
    presses(seat, seat.panel.name, "ball")
    chooses(seat, second)
    presses(seat, seat.panel.name, "ball")
    assert said == ["This cannot be its name: object_00 is called ball already; give another."]
    assert seat.editor.edit.names == {first: "ball"} and seat.panel.name.value == "object_01"


def test_the_head_counts_what_is_there(seat) -> None:
    """It said the number of discovered objects, also after a merge."""
    first, second = (each.id for each in seat.editor.scene.objects[:2])
    assert seat.panel.head.text.content == "**4 objects**"
    chooses(seat, first)
    presses(seat, seat.panel.several, True)
    chooses(seat, second)
    uses(seat, "merge")
    assert seat.panel.head.text.content == "**3 objects**"


def test_a_sentence_is_shown_once_at_a_time(seat, monkeypatch) -> None:
    """Six notices of the same kind covered the scene."""
    shown = []
    monkeypatch.setattr(seat.client, "add_notification", lambda title, body, **_: shown.append(body))
    for _ in range(6):
        seat.tell("There is nothing more to undo or redo.")
    seat.tell("Something else.")
    assert shown == ["There is nothing more to undo or redo.", "Something else."]


def test_the_slider_shows_coarser_and_finer_objects(viewer, seat) -> None:
    """Two objects in a larger one, which the default cut shows whole; the slider is hidden where nothing is larger."""
    current, panel = viewer.pipeline.model.current, seat.panel
    text = panel.head.text
    assert not panel.detail.visible and text.content == "**4 objects**" and len(panel.rows.ids) == 5, "and the rest"
    first, _, *others = current.value.trained.discovered
    current.replace(paired)
    seat.ask(seat.selection.select, [5])
    settle(seat)
    assert panel.detail.visible and panel.detail.value == 0.5 and text.content == "**3 objects**"
    assert set(panel.rows.ids) == {5, *(each.node for each in others)} and panel.rows._folders.keys() == {5}
    presses(seat, panel.detail, 0.8)
    assert text.content == "**4 objects**" and set(panel.rows.ids) == {0, 1, 2, 3, 4}
    assert panel.name.value == "2 objects", "both parts of what was selected"
    uses(seat, "undo")
    assert panel.detail.value == 0.5 and set(panel.rows.ids) == {5, *(each.node for each in others)}
    panel.rows.clicks.enter(first.node)
    settle(seat)
    assert current.value.edit == Edit().open(5) and seat.selection.ids == (first.node,)


@pytest.mark.parametrize("at", [(0.5, 0.5), (0.1, 0.2), (0.9, 0.7)])
def test_a_ray_goes_through_the_place_that_was_clicked(seat, at) -> None:
    """It is nerfstudio's ray through the same pixel of the same camera."""
    turn = Similarity.about((0.0, 0.0, 0.0), tuple((np.array([5, -8, -1, 2]) / math.sqrt(94)).tolist()))
    camera = seat.client.camera
    camera.wxyz, camera.position, camera.fov = turn.rotation, (2.0, -9.0, 3.0), 0.7
    origin, direction = ray_through(camera, at)
    axes = turn.matrix[:3, :3] @ torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))  # OpenCV to OpenGL
    pose = torch.cat([axes, torch.tensor([[2.0, -9.0, 3.0]]).double().T / SCALE], 1).float()
    focal = 100 / math.tan(camera.fov / 2)
    cameras = Cameras(pose[None], fx=focal, fy=focal, cx=150.0, cy=100.0, width=300, height=200)
    ray = cameras.generate_rays(0, coords=torch.tensor([[at[1] * 200, at[0] * 300]]))
    assert origin == pytest.approx(ray.origins[0].tolist(), abs=1e-5)
    assert np.array(direction) / np.linalg.norm(direction) == pytest.approx(ray.directions[0].numpy(), abs=1e-5)


def test_the_right_of_a_picture_is_level(seat) -> None:
    """A camera at the back of a scene has the scene's x axis on its left; one that is rolled sees the ground aslant."""
    camera = seat.client.camera
    camera.position = (1.0, 2.0, 3.0)
    turn = Similarity.about((0.0, 0.0, 0.0), tuple((np.array([5, -8, -1, 2]) / math.sqrt(94)).tolist()))
    camera.wxyz = turn.rotation
    (_, left), (_, right) = (ray_through(camera, (across, 0.5)) for across in (0.25, 0.75))
    level = (np.array(right) - np.array(left)) * (1, 1, 0)
    assert rightwards(camera) == pytest.approx(level / np.linalg.norm(level), abs=1e-6)
    camera.wxyz = (math.sqrt(0.5), 0.0, -math.sqrt(0.5), 0.0)
    assert rightwards(camera) == (1.0, 0.0, 0.0), "straight up, it is anywhere"


@pytest.mark.parametrize("position", [(3.0, 0.0, 1.0), (0.0, -2.0, 0.0), (0.1, 0.1, 4.0), (0.5, -0.2, 0.3)])
def test_a_box_that_is_flown_to_fills_the_picture(position) -> None:
    box, fov = DrawnBox(np.array([0.5, -0.2, 0.3]), np.array([0.6, 0.4, 0.2]), 0.7), math.radians(50)
    place, middle = view_of(box, np.array(position), fov)
    assert middle == pytest.approx(box.centre)
    away = place - middle
    assert math.asin(away[2] / np.linalg.norm(away)) >= math.radians(20) - 1e-9, "from above"
    radius = math.asin(np.linalg.norm(box.size) / 2 / np.linalg.norm(away))
    assert 0.7 < 2 * radius / fov <= 1
    heading = np.array(position)[:2] - middle[:2]
    if np.linalg.norm(heading) > 1e-6:
        assert heading @ away[:2] > 0, "on the side where the camera was"


def test_flying_ends_before_the_object(seat) -> None:
    second = seat.editor.scene.objects[1]
    chooses(seat, second.id)
    uses(seat, "fly to")
    goal = SCALE * box_of(seat.editor.scene.trained, second).centre
    wait_for(lambda: np.linalg.norm(seat.client.camera.look_at - goal) < 1e-6, 10)


def test_a_new_client_sees_what_the_first_photograph_shows(viewer, seat) -> None:
    """nerfstudio looks with 75 degrees, whatever the photographs have."""
    photograph, camera = viewer.pipeline.datamanager.train_dataset.cameras[0], seat.client.camera
    pose = photograph.camera_to_worlds.numpy()
    direction = camera.look_at - camera.position
    assert direction / np.linalg.norm(direction) == pytest.approx(-pose[:, 2], abs=1e-5)
    offset = camera.position / SCALE - pose[:, 3]
    assert np.cross(offset, pose[:, 2]) == pytest.approx(np.zeros(3), abs=1e-5)
    half = float(photograph.height / 2 / photograph.fy)
    assert camera.aspect == 1.5 and camera.fov == pytest.approx(2 * math.atan(half), abs=1e-6)


@pytest.mark.parametrize("aspect", [0.3, 0.8, 4 / 3, 2.0])
def test_a_window_holds_all_that_the_photograph_shows(aspect: float) -> None:
    photograph = Cameras(torch.eye(4)[None, :3], fx=400.0, fy=400.0, cx=200.0, cy=150.0, width=400, height=300)
    up = math.tan(fov_of(photograph, aspect) / 2)
    assert up >= 150 / 400 - 1e-6 and min(up * aspect - 200 / 400, up - 150 / 400) == pytest.approx(
        0 if aspect > 0.5 else math.tan(WIDEST / 2) * aspect - 0.5, abs=1e-6
    )


def test_an_edit_that_does_not_fit_is_told_and_left(viewer, seat, said) -> None:
    file = viewer.pipeline.object_control.file
    Edit(hidden=frozenset({10**6})).save(file)
    seat.ask(seat.load)
    settle(seat)
    file.unlink()
    assert "does not have" in said[-1] and viewer.pipeline.model.current.value.edit == Edit()


@pytest.fixture
def drawing(viewer, monkeypatch):
    """Adds a thread that draws for a client whose page is nowhere."""
    monkeypatch.setattr(viewer, "get_camera_state", lambda client: client.look())
    monkeypatch.setattr(viewer, "ready", True)

    def add(number: int, look=lambda: None) -> Mock:
        viewer.render_statemachines[number] = thread = Mock(interrupt_render_flag=True, client=Mock(look=look))
        return thread

    yield add
    viewer.render_statemachines.clear()


def test_only_who_draws_is_interrupted(viewer, drawing) -> None:
    idle, busy = drawing(-1), drawing(-2)
    redraw(viewer, {busy}, lambda client: True)
    assert (idle.interrupt_render_flag, busy.interrupt_render_flag) == (False, True)
    assert [thread.action.call_args[0][0].action for thread in (idle, busy)] == ["move"] * 2


def test_nothing_is_drawn_for_one_who_has_left(viewer, model, monkeypatch) -> None:
    """Whoever left while others' pictures were made had one more drawn, and the training waited for it."""
    thread = RenderStateMachine(viewer, SCALE, Mock(ClientHandle, client_id=-1))
    monkeypatch.setattr(nerfstudio_viewer, "rendering_client", lambda: thread)
    control, camera = viewer.pipeline.object_control, viewer.pipeline.datamanager.train_dataset.cameras[0:1]
    shown = LazyOutputs({})
    monkeypatch.setattr(control.pictures, "show", lambda *_: shown)
    assert model.get_outputs_for_camera(camera) is shown
    thread.running = False
    with monkeypatch.context() as drawing:
        drawing.setattr(control.pictures, "_drawing", {thread})
        drawing.setattr(thread, "is_alive", lambda: True)
        control._leave(thread.client)
    assert thread.interrupt_render_flag
    with pytest.raises(IOChangeException):
        model.get_outputs_for_camera(camera)


@pytest.mark.parametrize(("state", "coarse"), [("low_move", True), ("low_static", True), ("high", False)])
def test_what_nerfstudio_does_not_interrupt_is_quick(viewer, model, monkeypatch, state: str, coarse: bool) -> None:
    thread = RenderStateMachine(viewer, SCALE, Mock(ClientHandle, client_id=-1))
    thread.state = state
    monkeypatch.setattr(nerfstudio_viewer, "rendering_client", lambda: thread)
    show = Mock(return_value=LazyOutputs({}))
    monkeypatch.setattr(viewer.pipeline.object_control.pictures, "show", show)
    model.get_outputs_for_camera(viewer.pipeline.datamanager.train_dataset.cameras[0:1])
    assert show.call_args[0][-1] is coarse


def test_a_client_that_comes_or_goes_ends_no_step_and_raises_nothing(viewer, drawing, monkeypatch) -> None:
    """nerfstudio asked for the render thread of a client that has none yet, or none any more."""
    drawing(-2)  # somebody is there
    monkeypatch.setattr(viewer.viser_server, "get_clients", lambda: {-3: Mock(look=lambda: None)})
    monkeypatch.setattr(viewer, "trainer", Mock(training_state="training"))
    monkeypatch.setattr(viewer, "train_util", 0.9)
    monkeypatch.setattr(viewer, "last_step", -(10**6))
    monkeypatch.setattr(viewer, "get_camera_state", lambda client: "looks")
    monkeypatch.setattr(viewer, "update_camera_poses", lambda: None)
    viewer.update_scene(0, 1)
    leaving = Mock(client_id=-4)
    viewer.handle_new_client(leaving)
    (moved,) = leaving.camera.on_update.call_args[0]
    viewer.handle_disconnect(leaving)
    moved(leaving.camera)


def test_all_are_drawn_anew_while_clients_come_and_go(viewer, drawing) -> None:
    """nerfstudio's loop ended with the first client that came or went meanwhile, and nobody's picture changed."""
    first = drawing(-1, lambda: drawing(-3))
    second = drawing(-2, lambda: viewer.render_statemachines.pop(-1))
    redraw(viewer, set(), lambda client: True)
    assert first.action.called and second.action.called


def test_a_picture_that_nerfstudio_forgot_is_drawn_by_and_by(viewer, model, monkeypatch) -> None:
    """What was asked for while its render thread took note that there was nothing to do was never drawn."""
    control, camera = viewer.pipeline.object_control, viewer.pipeline.datamanager.train_dataset.cameras[0:1]
    redraw, drawn = control._redraw, []
    monkeypatch.setattr(control, "_redraw", lambda: None)  # which another thread calls every two seconds

    def draw(client, scene, *_) -> LazyOutputs:
        drawn.append(scene.edit.hidden)
        return LazyOutputs({})

    monkeypatch.setattr(control.pictures, "_drawn", draw)
    monkeypatch.setattr(viewer, "ready", True)
    monkeypatch.setattr(viewer, "get_camera_state", lambda client: None)
    thread = RenderStateMachine(viewer, SCALE, Mock(ClientHandle, client_id=-1))
    monkeypatch.setattr(thread, "_render_img", lambda look: control.pictures.show(thread, camera, ["rgb"]))
    monkeypatch.setattr(thread, "_send_output_to_viewer", lambda outputs, static_render: None)
    monkeypatch.setitem(viewer.render_statemachines, -1, thread)
    first = model.current.value.objects[0].id

    class Trigger(Event):
        def clear(self) -> None:
            super().clear()
            if thread.state == "high" and thread.next_action is not None and not model.current.value.edit.hidden:
                edit_scene(model, Edit().hide(first))
                redraw()

    thread.render_trigger = Trigger()
    thread.start()
    try:
        wait_for(lambda: model.current.value.edit.hidden)
        time.sleep(0.5)
        assert not drawn[-1], "nerfstudio draws nothing by itself"
        redraw()
        wait_for(lambda: drawn[-1] == {first} and thread.state == "high")
        count = len(drawn)
        redraw()
        time.sleep(0.5)
        assert len(drawn) == count, "a picture that is not out of date stays"
    finally:
        thread.running = False
        thread.join()


def test_a_panel_that_fails_keeps_nothing_from_the_others(viewer, seat, said, monkeypatch) -> None:
    """An error in one person's panel left those who came later with what they saw before."""

    def fail(*_) -> None:
        raise ZeroDivisionError

    with visit(viewer) as other:
        monkeypatch.setattr(seat, "refresh", fail)
        chooses(other.seat, other.seat.editor.scene.objects[1].id)
        assert other.seat.panel.name.value == other.seat.editor.scene.objects[1].name
    assert ["ZeroDivisionError" in sentence for sentence in said] == [True] * len(said) and said


def test_the_film_of_a_person_who_leaves_is_made_and_waited_for(viewer, seat, monkeypatch) -> None:
    """Reloading the page lost it while its thread went on, and Python ended under it."""
    control, hold, ended = viewer.pipeline.object_control, Event(), []
    monkeypatch.setattr(film, "_outcome", lambda *_: hold.wait(10) and (lambda: ended.append(True)))
    monkeypatch.setattr(viewer.pipeline, "edit_file", viewer.pipeline.object_control.file)
    chooses(seat, seat.editor.scene.objects[1].id)
    seat.film()
    control._leave(seat.client)
    assert seat.filming.running and not control.seats
    Timer(0.3, hold.set).start()
    control.close()
    assert not seat.filming.running and not seat.filming._thread.is_alive()


def test_pictures_are_drawn_anew_only_where_they_look_different(viewer, seat, monkeypatch) -> None:
    """Each small picture of an object that came made all clients' pictures coarse for a moment."""
    control, camera = viewer.pipeline.object_control, viewer.pipeline.datamanager.train_dataset.cameras[0:1]
    clients = mine, other = seat.client, Mock(ClientHandle, client_id=-1)
    threads = {client: RenderStateMachine(viewer, SCALE, client) for client in clients}
    monkeypatch.setattr(viewer, "render_statemachines", {client.client_id: threads[client] for client in clients})
    monkeypatch.setattr(viewer, "get_camera_state", lambda client: None)
    monkeypatch.setattr(viewer, "ready", True)
    monkeypatch.setattr(control.pictures, "_drawn", lambda *_: LazyOutputs({}))

    def drawn_anew() -> list[bool]:
        asked = [threads[client].next_action is not None for client in (mine, other)]
        for thread in threads.values():
            thread.next_action = None
            control.pictures.show(thread, camera, ["rgb"])
        return asked

    drawn_anew()
    seat.editor.ask(lambda: None)
    settle(seat)
    assert drawn_anew() == [False, False]
    chooses(seat, seat.editor.scene.objects[0].id)
    assert drawn_anew() == [True, False], "nobody else sees the selection"
    uses(seat, "hide")
    assert drawn_anew() == [True, True]
    presses(seat, seat.panel.order, "name")
    assert drawn_anew() == [False, False]


def test_objects_that_training_discovers_are_shown_by_the_editor(viewer, seat, monkeypatch) -> None:
    """The training refreshed the panel itself, beside the thread that makes wishes; viser raised in one of them."""
    control = viewer.pipeline.object_control
    refreshed = []
    monkeypatch.setattr(seat.panel, "refresh", lambda: refreshed.append(seat.editor._turn.locked()))
    control.objects_changed()
    wait_for(lambda: refreshed, 10)
    assert all(refreshed), "with the editor's lock held"


def test_changes_are_made_without_training_too(seat) -> None:
    """A thread of the viewer makes them where no training step comes by."""
    first = seat.editor.scene.objects[0].id
    seat.panel.select(first)
    seat.ask(seat.selection.toggle)
    wait_for(lambda: seat.editor.edit.hidden == {first}, 10)

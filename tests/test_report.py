"""`disconerf report`: one page that a browser opens offline, without a request to any host and without an error."""

from __future__ import annotations

import base64
import json
import random
import re
import struct
import sys
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from helpers import damaged, needs_system_package
from PIL import Image
from tiny_run import Run

from disconerf_ns import runs
from disconerf_ns.cli import main
from disconerf_ns.cli.report import Report
from disconerf_ns.errors import UserError
from disconerf_ns.facts.measure import Extent, Measured
from disconerf_ns.facts.neighbours import Neighbour
from disconerf_ns.facts.views import Sight
from disconerf_ns.report import contents
from disconerf_ns.report.contents import Card, Overview, Photo, Spot, middle
from disconerf_ns.report.exported import Export, ExportedObject
from disconerf_ns.report.meshes import Mesh, exported_mesh, looks_that_face, solid_mesh
from disconerf_ns.report.page import in_three_digits, page, tree_of
from disconerf_ns.report.pictures import moving, still
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.recolor import Hue
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.solid import UprightBox
from disconerf_ns.scene.tree import NEVER, ObjectTree

sys.path.insert(0, str(Path(__file__).parent / "viewer"))
from benchmarks.browser import find_chromium, open_page, wait_for

TITLE = '<script>alert("x")</script> & "cup"'
BOX = UprightBox((0.0, 0.0, 0.0), (3.0, 2.0, 1.0), 0.0)
REDUCED = {"name": "prefers-reduced-motion", "value": "reduce"}
"""Without it the page scrolls so smoothly that a click misses."""
RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def thing(number: int, title: str = "") -> SceneObject:
    box = ((0.0,) * 3, (1.0,) * 3)
    return SceneObject(ObjectId(number), number, title, GREEN, 0.25, 0.9, 5, box, box, frozenset([number]), whole=True)


def cube() -> Mesh:
    """A cube of side 2 in 12 triangles, its upper half red and its lower half green."""
    made = trimesh.creation.box((2, 2, 2))
    colors = np.where(made.vertices[:, 2:] > 0, [[255, 0, 0]], [[0, 255, 0]]).astype(np.uint8)
    return Mesh(np.array(made.vertices), colors, np.array(made.faces, dtype=np.int64))


def cards() -> list[Card]:
    """A cup with everything, and a background without film and mesh."""
    red = np.zeros((40, 40, 4))
    red[10:30, 10:30] = [*RED, 1.0]
    picture, film = still(red), moving([red, red[::-1]], 4.0)
    sights = (Sight("a/<b>.png", 0.1, 1.0, True),)
    cup = Measured(Extent(6.0, (0.0,) * 3, BOX), 0.1, 4, sights, (Neighbour(ObjectId(1), 0.0),))
    around = Measured(None, 0.5, 5, sights, (Neighbour(ObjectId(0), 0.0),))
    photos = (Photo("a/<b>.png", picture),)
    files = (Path("export/object_00 & lid.glb"), Path(f"export/object_00_{'long' * 20}.glb"))
    return [
        Card(thing(0, TITLE), cup, picture, film, cube(), files, photos),
        Card(thing(1), around, picture, changes=("hidden",)),
    ]


def whole_page(made: list[Card], folder: Path, edited: bool = False) -> str:
    blue = still(np.full((30, 40, 3), (0.0, 0.0, 1.0)))
    spots = Spot(made[0].each, (0.5, 0.5)), Spot(made[1].each, (0.02, 0.1))
    seen = Overview("a/<b>.png", blue, blue, 40, 30, spots, edited)
    tree = ObjectTree(2, (2, 2, -1), (NEVER, NEVER, 0.5))
    every = [*(card.each for card in made), thing(2)]
    facts = {"Software": "a < b", "Data": TITLE}
    listed = tree_of(every, tree, {card.each.id for card in made})
    return page(TITLE, "2 objects", seen, made, listed, facts, 0.1, folder)


class Elements(HTMLParser):
    """All elements with their attributes, and the text outside of style and script."""

    def __init__(self, text: str):
        super().__init__()
        self.all: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem is None:
            self.text += data


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    found = Elements(whole_page(cards(), tmp_path))
    assert found.text.count(TITLE) >= 5, "heading, table, card, tree, facts"
    scripts = [attributes for tag, attributes in found.all if tag == "script"]
    assert [each.get("id", "the page's own") for each in scripts] == ["mesh-object_00", "the page's own"]
    assert any(attributes.get("alt") == TITLE for tag, attributes in found.all if tag == "img")


def test_the_page_asks_no_host_for_anything(tmp_path: Path) -> None:
    found = Elements(whole_page(cards(), tmp_path))
    addresses = [attributes[name] for _, attributes in found.all for name in ("src", "srcset") if name in attributes]
    assert addresses and all(address.startswith("data:image/webp;base64,") for address in addresses)
    links = {attributes["href"] for tag, attributes in found.all if tag == "a"}
    assert links == {"#objects", "#object_00", "#object_01", *(link for link in links if link.endswith(".glb"))}
    policy = next(each["content"] for tag, each in found.all if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_links_to_files_are_relative_to_the_page(tmp_path: Path) -> None:
    files = (tmp_path / "export" / "object_00 & lid.glb", tmp_path.parent / "there" / "a.ply")
    made = [Card(**{**vars(card), "files": files}) for card in cards()]
    found = Elements(whole_page(made, tmp_path))
    links = {attributes["href"] for tag, attributes in found.all if tag == "a"}
    assert {"./export/object_00%20%26%20lid.glb", "../there/a.ply"} <= links
    assert "object_00 & lid.glb" in found.text


def test_sizes_are_in_the_captures_units_and_the_background_has_none(tmp_path: Path) -> None:
    """3 x 2 x 1 scene units of 0.1; 6 cubic ones."""
    text = Elements(whole_page(cards(), tmp_path)).text
    assert "0.300 × 0.200 × 0.100" in text and "0.006" in text
    row = text[text.index("object_01") :]
    assert "–" in row


@pytest.mark.parametrize(
    ("volume", "told"), [(65_712.0, "65,700"), (0.0000061, "0.00000610"), (99.96, "100.0"), (7.0, "7.00"), (0.0, "0")]
)
def test_a_volume_has_three_digits_and_no_exponent(volume: float, told: str) -> None:
    """That of a table in a capture in centimetres was 6.57e+04."""
    assert in_three_digits(volume) == told


def test_a_card_is_about_the_object_as_it_stands_and_says_what_was_changed(tmp_path: Path) -> None:
    """3 x 2 x 1 scene units of 0.1, and 6 cubic ones, twice as large."""
    made = [replace(card, scale=2.0, changes=("moved", "2 copies")) for card in cards()]
    text = Elements(whole_page(made, tmp_path)).text
    assert text.count("0.600 × 0.400 × 0.200") == 2 and "0.300" not in text, "in the table and on the card"
    assert "0.048" in text and "moved2 copies" in text


def test_cards_follow_the_edit(run: Run, scene_now: ArrangedScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moved object had the size of its photographs, and what it had stood beside then."""
    monkeypatch.setattr(contents, "_pictured", lambda run, scene, each, known, options: Card(each, known, ""))
    monkeypatch.setattr(contents, "photos", lambda run, scene, measured: dict.fromkeys(measured, ()))
    ids = still_there, moved, gone, *_ = [each.id for each in scene_now.objects]
    beside = {id: tuple(Neighbour(other, 0.0) for other in ids if other != id) for id in ids}
    measured = {id: Measured(Extent(1.0, (0.0,) * 3, BOX), 0.1, 1, (), beside[id]) for id in ids}
    upright = (0.5**0.5, 0.5**0.5, 0.0, 0.0)
    places = Similarity(2.0, upright), Similarity(3.0)
    scene = scene_now.with_edit(scene_now.edit.place(moved, *places).hide(gone).recolor(still_there, RED))
    options = contents.Options(1, 8, 8)
    by_hand = {still_there: (("recoloured",), 1.0), moved: (("moved", "1 copy"), 2.0), gone: (("hidden",), 1.0)}
    made = {
        card.each.id: card
        for card in contents.cards(run.trainer.pipeline, scene, measured, {}, Similarity(), options, lambda: None)
    }
    assert {id: (made[id].changes, made[id].scale) for id in by_hand} == by_hand
    assert made[moved].measured.neighbours == made[gone].measured.neighbours == ()
    left = {each.id for each in made[still_there].measured.neighbours}
    assert left == {*ids} - {still_there, moved, gone}
    lying, mesh = made[moved].mesh, solid_mesh(scene_now, scene_now.by_id[moved], torch.zeros(1, 3))
    assert lying is not None and mesh is not None
    x, y, z = np.ptp(mesh.vertices, axis=0)
    assert np.ptp(lying.vertices, axis=0) == pytest.approx([2 * x, 2 * z, 2 * y], rel=0.01)


def test_the_tree_has_each_whole_above_its_parts(tmp_path: Path) -> None:
    made = cards()
    tree = ObjectTree(2, (2, 2, -1), (NEVER, NEVER, 0.5))
    listed = tree_of([*(card.each for card in made), thing(2)], tree, {ObjectId(0), ObjectId(1)})
    assert re.sub(r"<(?!/?(ul|li)\b)[^>]*>", "", listed).startswith('<ul class="tree"><li>object_0225.0 %<ul><li>')
    assert listed.count("<li>") == 3 and 'href="#object_02"' not in listed
    assert tree_of([thing(0)], ObjectTree.flat(1), {ObjectId(0)}) == ""


def decoded(uri: str) -> Image.Image:
    kind, content = uri.split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(BytesIO(base64.b64decode(content)))


def test_films_keep_frames_transparency_and_time() -> None:
    frames, disc = [np.zeros((16, 16, 4)) for _ in range(3)], np.hypot(*np.mgrid[-7.5:8, -7.5:8]) < 6
    for number, frame in enumerate(frames):
        frame[disc] = [number / 2, 0.5, 0, 1]
    film = decoded(moving(frames, fps=4.0))
    assert (film.n_frames, film.info["loop"]) == (3, 0)
    for number in range(3):
        film.seek(number)
        picture = np.asarray(film.convert("RGBA"))
        assert picture[8, 8, 0] == pytest.approx(255 * number / 2, abs=6) and picture[8, 8, 3] == 255
        assert picture[0, 0, 3] == 0
        film.load()
        assert film.info["duration"] == 250
    small = decoded(still(np.zeros((100, 50, 3), np.uint8), longest=20))
    assert small.size == (10, 20)


def test_a_packed_mesh_is_read_back() -> None:
    content = base64.b64decode(cube().packed())
    vertices, triangles, _ = struct.unpack("<3I", content[:12])
    assert (vertices, triangles) == (8, 12)
    places = np.frombuffer(content, "<u2", 24, 12).reshape(8, 3)
    corners = np.frombuffer(content, "<u2", 36, 60).reshape(12, 3)
    colors = np.frombuffer(content, np.uint8, 24, 132).reshape(8, 3)
    assert np.array_equal(places, 65535 * (cube().vertices > 0))
    assert np.array_equal(corners, cube().triangles) and np.array_equal(colors, cube().colors)


@pytest.mark.parametrize("kind", ["ply", "obj", "glb"])
def test_damaged_files_of_an_export_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    """NaN and triangles of no vertices got onto the page, and lines of two numbers ended the command in a traceback."""
    file, chance, refusals = tmp_path / f"object_00.{kind}", random.Random(0), []
    box = trimesh.creation.box((2, 2, 2))
    box.visual.vertex_colors = np.full((8, 4), 200, np.uint8)
    box.export(file)
    healthy = file.read_bytes()
    assert exported_mesh([file], Similarity()) is not None
    for _ in range(300):
        file.write_bytes(damaged(healthy, chance))
        try:
            mesh = exported_mesh([file], Similarity())
        except UserError as error:
            refusals.append(str(error))
        else:
            if mesh is not None:
                assert np.isfinite(mesh.vertices).all() and len(mesh.colors) == len(mesh.vertices)
                assert mesh.triangles.min() >= 0 and mesh.triangles.max() < len(mesh.vertices)
                assert mesh.simplified(4).packed()
    assert refusals and all(file.name in said and len(said) < 1000 for said in refusals)


def test_a_simpler_mesh_keeps_its_shape_and_colours() -> None:
    ball = trimesh.creation.icosphere(5)
    colors = np.where(ball.vertices[:, 2:] > 0, [[255, 0, 0]], [[0, 0, 255]]).astype(np.uint8)
    mesh = Mesh(np.array(ball.vertices), colors, np.array(ball.faces, dtype=np.int64)).simplified(800)
    assert 300 < len(mesh.vertices) <= 800
    simple = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    assert simple.area == pytest.approx(4 * np.pi, rel=0.05)
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(1, abs=0.05)
    assert (mesh.colors[mesh.vertices[:, 2] > 0.2] == [255, 0, 0]).all()


def test_a_mesh_of_solid_voxels_lies_on_the_ball_and_has_its_colour(run: Run, scene_now: ArrangedScene) -> None:
    positions = run.trainer.pipeline.datamanager.train_dataset.cameras.camera_to_worlds[..., 3]
    ball = scene_now.objects[1]
    mesh = solid_mesh(scene_now, ball, positions)
    solid = scene_now.bodies.solid(ball.id)
    assert mesh is not None
    surface = trimesh.Trimesh(mesh.vertices, mesh.triangles)
    assert surface.volume == pytest.approx(solid.volume, rel=0.1)
    red = solid_mesh(scene_now.with_edit(scene_now.edit.recolor(ball.id, RED)), ball, positions)
    assert red is not None and red.colors[:, 0].mean() > 2 * red.colors[:, 1:].mean()


def test_a_surface_is_looked_at_from_the_camera_that_faces_it() -> None:
    cameras = torch.tensor([[5.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    top = looks_that_face(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -1.0]]), cameras)
    assert top[0].tolist() == pytest.approx([0, 0, -1])


def test_files_of_an_export_are_found_by_name(tmp_path: Path) -> None:
    for folder in ("meshes", "masks/alpha"):
        (tmp_path / folder).mkdir(parents=True)
    there = [
        "object_03.ply",
        "meshes/object_03_cup.glb",
        "meshes/object_030.ply",
        "masks/alpha/object_03.png",
        "a.json",
    ]
    for name in there:
        (tmp_path / name).touch()
    found = Export(tmp_path, {}).files_of([thing(3), thing(5)])
    assert found == {3: [tmp_path / "meshes/object_03_cup.glb", tmp_path / "object_03.ply"], 5: []}


def test_files_of_an_export_under_another_edit_are_not_shown(tmp_path: Path) -> None:
    """Cards showed a mesh of two merged objects beside the size of one of them."""
    same, merged, renamed, painted, _ = objects = [thing(number, "cup") for number in range(5)]
    source = {"edit": Edit().as_json()}

    def row(each: SceneObject, **other: object) -> dict:
        return {"name": each.name, "title": each.title, "slots": sorted(each.slots), "color": [*each.color], **other}

    rows = [row(same), row(merged, slots=[1, 3]), row(renamed, title="mug"), row(painted, color=[1, 0, 0])]
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 1, "objects": rows, "source": source}))
    assert Export.read(tmp_path).unchanged(objects, Edit()) == [same]
    (tmp_path / "manifest.json").write_text(json.dumps({"objects": [{"name": "object_00"}]}))
    with pytest.raises(UserError, match=r"manifest.json: not the manifest of an export \(objects\[0\] has no slots\)"):
        Export.read(tmp_path)


def test_files_of_an_export_before_a_change_are_not_shown() -> None:
    """Cards of a moved object showed the mesh where it stood before, turned and as large as it was."""
    objects = [*map(thing, range(4))]
    there = {each.name: ExportedObject(each.slots, each.title, each.color) for each in objects}
    moved = Similarity(translation=(1.0, 0.0, 0.0))
    before = Edit().place(0, moved).recolor(1, Hue(90.0)).merge([9], 2)
    still_so = before.place(0, moved, Similarity()).hide(1).rename(7, "cup")
    assert Export(Path(), there, before).unchanged(objects, still_so) == objects, "copies and hiding change no file"
    for edit, other in (
        (before.place(0), 0),
        (before.place(0, Similarity(), moved), 0),
        (before.recolor(1, Hue(91.0)), 1),
        (before.merge([8], 2), 2),
        (before.divide(3, 2), 3),
    ):
        assert [each.id for each in Export(Path(), there, before).unchanged(objects, edit)] == [
            each.id for each in objects if each.id != other
        ]
    pieces = [replace(each, whole=False) for each in objects]
    assert Export(Path(), there, Edit().divide(3, 2)).unchanged(pieces, Edit().divide(3, 3)) == []


@pytest.mark.parametrize("edited", [False, True])
def test_the_caption_says_whether_the_scene_is_edited(edited: bool, tmp_path: Path) -> None:
    assert ("The edited scene, and its objects" in whole_page(cards(), tmp_path, edited)) == edited


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb"])
def test_meshes_of_an_export_stand_upright_in_their_colours(tmp_path: Path, suffix: str) -> None:
    """The frame of the capture has y up, and a unit of it is half of one of the scene.

    A GLB's node turns its vertices, which are the capture's, and its colours are linear: 188 / 255 is light of 0.50.
    """
    made = trimesh.creation.box((2, 4, 2))
    made.visual.vertex_colors = [128, 0, 255, 255] if suffix == "glb" else [188, 0, 255, 255]
    turned = trimesh.Scene()
    turned.add_geometry(made, transform=trimesh.transformations.rotation_matrix(1.0, (1, 0, 0)))
    path = tmp_path / f"object_03.{suffix}"
    (turned if suffix == "glb" else made).export(path)
    points = tmp_path / "object_03.ply" if suffix != "ply" else tmp_path / "object_03_points.ply"
    trimesh.PointCloud(made.vertices).export(points)
    half = 0.5**0.5
    mesh = exported_mesh([points, path], Similarity(0.5, (half, half, 0.0, 0.0)))
    assert mesh is not None and np.ptp(mesh.vertices, axis=0) == pytest.approx([1, 1, 2], abs=1e-5)
    assert np.abs(mesh.colors.astype(int) - [188, 0, 255]).max() <= 1
    assert exported_mesh([points], Similarity()) is None


def test_a_broken_mesh_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "object_03.glb").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"object_03\.glb cannot be read .* export it anew"):
        exported_mesh([tmp_path / "object_03.glb"], Similarity())


def test_a_dot_lies_on_its_object() -> None:
    ring = np.ones((9, 9), bool)
    ring[1:8, 1:8] = False
    x, y = middle(ring)
    assert ring[int(9 * y), int(9 * x)]


def test_a_dot_lies_deep_in_its_object() -> None:
    """Not where the mean of a bowed thing comes near to its edge."""
    bowed = np.zeros((40, 40), bool)
    bowed[:, :10] = bowed[30:, :] = True
    x, y = middle(bowed)
    row, column = int(40 * y), int(40 * x)
    assert bowed[row - 4 : row + 5, column - 4 : column + 5].all()


def test_the_picture_shows_the_edited_scene_and_dots_lie_where_objects_stand_in_it(run: Run, scene_now) -> None:
    """Dots lay where moved objects were photographed, and on hidden ones."""
    sights = (Sight("000.png", 0.1, 1.0, True),)
    measured = {each.id: Measured(Extent(1.0, (0.0,) * 3, BOX), 0.1, 1, sights, ()) for each in scene_now.objects}
    _, moved, gone, *_ = (each.id for each in scene_now.objects)
    edit = scene_now.edit.place(moved, Similarity(translation=(0.0, 0.0, 0.15))).hide(gone)
    scene, pipeline = scene_now.with_edit(edit), run.trainer.pipeline
    seen = contents.overview(pipeline, scene, measured, 48)
    frame = contents.training_view(pipeline, scene, contents.photographs(pipeline).index(seen.photograph), 48)
    ids = frame.image(frame.edited_ids())[..., 0]
    assert not torch.equal(frame.edited_ids(), frame.labels().id)
    dots = {spot.each.id: (int(spot.at[1] * seen.height), int(spot.at[0] * seen.width)) for spot in seen.spots}
    assert moved in dots and gone not in dots
    assert {id: int(ids[at]) for id, at in dots.items()} == {id: id for id in dots}
    overlay, picture = (np.asarray(decoded(uri).convert("RGB")) / 255 for uri in (seen.objects, seen.scene))
    assert np.abs(overlay - 0.6 * np.array(scene.by_id[moved].color) - 0.4 * picture)[dots[moved]].max() < 0.1


def test_what_has_no_film_is_pictured_in_the_edited_scene_hidden_or_not(run: Run, scene_now: ArrangedScene) -> None:
    """Its picture had the colours of the photographs, and a hole where a moved object had stood."""
    floor, ball, *_ = scene_now.objects
    edit = scene_now.edit.recolor(floor.id, RED).hide(floor.id, ball.id)
    before, after = (
        contents.where_seen(run.trainer.pipeline, scene, floor, 0, 48)
        for scene in (scene_now, scene_now.with_edit(edit))
    )
    colors = after[after[..., 3] > 0][:, :3]
    assert colors[:, 0].mean() > 2 * colors[:, 1:].mean()
    assert after[..., 3].sum() > before[..., 3].sum() > 50


def test_the_command_writes_one_page_with_every_object(run: Run, opened_run: None, tmp_path: Path, capsys) -> None:
    small = ["--frames", "2", "--size", "16", "--scene-size", "48"]
    output = tmp_path / "new" / "report.html"
    assert main(["report", "--load-config", str(run.config), "--output", str(output), *small]) == 0
    printed = capsys.readouterr()
    assert f"report: {output} (" in printed.out and "picturing the scene" in printed.err
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]
    found = Elements(output.read_text())
    cards = [attributes["id"] for tag, attributes in found.all if attributes.get("class") == "card"]
    assert cards == [each.name for each in run.trainer.pipeline.model.current.value.objects]
    assert sum(tag == "canvas" for tag, _ in found.all) >= 3 and "14 photographs" in found.text


def test_an_object_that_cannot_be_pictured_costs_no_other(run: Run, opened_run: None, tmp_path: Path, monkeypatch):
    """An error of one object, after minutes, left no page."""
    turned, names = contents.turntable, [each.name for each in run.trainer.pipeline.model.current.value.objects]

    def turn(scene, filmed, *options):
        if filmed.name == names[1]:
            raise IndexError("nothing there")
        return turned(scene, filmed, *options)

    monkeypatch.setattr(contents, "turntable", turn)
    small = ["--frames", "2", "--size", "16", "--scene-size", "48"]
    output = tmp_path / "report.html"
    assert main(["report", "--load-config", str(run.config), "--output", str(output), *small]) == 0
    found = Elements(output.read_text())
    assert [attributes["id"] for tag, attributes in found.all if attributes.get("class") == "card"] == names
    assert found.text.count("it could not be pictured: nothing there.") == 1


@pytest.mark.parametrize(
    ("gpu", "given", "expected"),
    [(True, {}, (24, 240)), (False, {}, (16, 160)), (False, {"size": 300}, (16, 300)), (True, {"frames": 9}, (9, 240))],
)
def test_turntables_are_smaller_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys, gpu: bool, given, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert Report(Path("config.yml"), **given)._turntables() == expected
    said = "report: without a GPU a frame takes long, so turntables have 16 frames of 160 pixels unless --frames"
    assert capsys.readouterr().out.startswith("" if gpu else said)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--frames", "0"], "--frames is 0; it has to be from 1 to 100,000"),
        (["--scene-size", "0"], "--scene-size is 0"),
        (["--output", "report.pdf"], "--output is report.pdf; name an .html file"),
        (["--export-dir", "nowhere"], "there is no folder nowhere"),
        (
            ["--export-dir", "{run}/nerfstudio_models"],
            "_models holds no finished export: it has no manifest",
        ),
        (["--export-dir", "{scene}/masks/exact"], "/manifest.json: not the manifest of an export (it has no objects)"),
        (["--granularity", "3"], "--granularity is 3.0"),
    ],
)
def test_options_are_checked_first(run: Run, scene: Path, options, sentence: str, capsys, monkeypatch) -> None:
    """A folder without an export was taken, and files of another kind were only found out after minutes."""
    monkeypatch.setattr(runs, "load_pipeline", lambda *_: pytest.fail("the run was loaded"))
    given = [option.format(run=run.folder, scene=scene) for option in options]
    assert main(["report", "--load-config", str(run.config), *given]) == 1
    assert sentence in capsys.readouterr().err


def test_a_browser_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_system_package("chromium", find_chromium() is not None)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        with open_page("about:blank", tmp_path / "profile", tmp_path / "failure.png"):
            assert any(Path(folder).glob("**/*"))
        assert list(Path(folder).iterdir()) == []


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    """The page in a browser that reports every request, error and message."""
    needs_system_package("chromium", find_chromium() is not None)
    folder = tmp_path_factory.mktemp("page")
    (folder / "report.html").write_text(whole_page(cards(), folder))
    with open_page((folder / "report.html").as_uri(), folder / "profile", folder / "failure.png") as shown:
        wait_for(lambda: shown.run("document.querySelector('.js') !== null"), "the page's script")
        for domain in ("Log", "Runtime", "Network"):
            shown.call(f"{domain}.enable")
        shown.call("Emulation.setEmulatedMedia", features=[REDUCED])
        shown.call("Page.reload")
        wait_for(lambda: shown.run("document.querySelector('.js') !== null"), "the page's script")
        yield shown


def test_the_slider_uncovers_the_scene(opened) -> None:
    opened.run("document.querySelector('.layers input').focus()")
    right = {"key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39}
    for kind in ("rawKeyDown", "keyUp") * 2:
        opened.call("Input.dispatchKeyEvent", type=kind, **right)
    assert opened.run("document.querySelector('.layers').style.getPropertyValue('--at')") == "52%"


def colored(opened) -> np.ndarray:
    """The canvas of the cup's mesh, RGBA."""
    uri = opened.run("document.querySelector('.card canvas').toDataURL('image/png')")
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA")).astype(int)


def test_the_mesh_is_drawn_upright_and_turns_with_mouse_and_keys(opened) -> None:
    opened.press("Mesh", ".tabs button")
    wait_for(lambda: opened.run("document.querySelector('.card canvas').width") > 100, "the mesh")
    before = colored(opened)
    solid = before[..., 3] > 200
    assert 0.2 < solid.mean() < 0.8
    red, green = (np.argwhere(solid & (before[..., each] > 150)).mean(0) for each in (0, 1))
    assert red[0] < green[0] - 20, "the upper half is red"
    x, y = opened.run(
        "(() => {const c = document.querySelector('.card canvas'); c.scrollIntoView({block: 'center'});"
        "const r = c.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]})()"
    )
    for kind, at in (("mousePressed", x), ("mouseMoved", x + 60), ("mouseReleased", x + 60)):
        opened.call("Input.dispatchMouseEvent", type=kind, x=at, y=y, button="left", buttons=1, clickCount=1)
    turned = colored(opened)
    assert (np.abs(turned - before).max(-1) > 30).mean() > 0.02
    opened.run("document.querySelector('.card canvas').focus()")
    for key in ("0", "+"):
        opened.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
    assert (colored(opened)[..., 3] > 200).mean() > solid.mean() * 1.1, "+ comes closer"


def test_panes_are_shown_one_at_a_time(opened) -> None:
    opened.press("Photographs", ".tabs button")
    panes = "[...document.querySelectorAll('.card:first-child .pane')]"
    assert opened.run(f"{panes}.filter(p => p.offsetParent).map(p => p.className)") == ["pane photos on"]
    pressed = "[...document.querySelectorAll('.card:first-child [aria-pressed=true]')].map(b => b.textContent)"
    assert opened.run(pressed) == ["Photographs"]


def test_a_film_fills_its_pane(opened) -> None:
    """An inline <picture> left it at its own size."""
    opened.press("Film", ".tabs button")
    width = "document.querySelector('.card {}').getBoundingClientRect().width"
    assert opened.run(width.format(".pane.film img")) == pytest.approx(opened.run(width.format(".pane.film")), abs=1)


def test_the_page_is_dark_at_a_press_and_light_on_paper(opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = opened.run(ground)
    opened.press("Light or dark")
    assert opened.run(ground) != light
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert opened.run(ground) == "rgb(255, 255, 255)"
    opened.call("Emulation.setEmulatedMedia", media="", features=[REDUCED])


def test_nothing_sticks_out_on_a_phone(opened) -> None:
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.call("Emulation.setDeviceMetricsOverride", **size)
    assert opened.run("document.documentElement.scrollWidth") <= 400
    opened.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", [420, 1400])
def test_names_break_late_and_links_stay_in_their_cards(opened, width: int) -> None:
    """A name had two letters a line beside a column of numbers, and the name of a long file went beyond its card."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.call("Emulation.setDeviceMetricsOverride", **size)
    names = "[...document.querySelectorAll('td.name a')].map(a => a.getBoundingClientRect().height)"
    assert opened.run(names)[1] < 30, "object_01 is one line"
    table = "document.querySelector('.scroll')"
    assert opened.run(f"{table}.scrollWidth - {table}.clientWidth") == 0
    beyond = "a => a.getBoundingClientRect().right > a.closest('.card').getBoundingClientRect().right"
    assert opened.run(f"[...document.querySelectorAll('.card a')].filter({beyond}).map(a => a.textContent)") == []
    opened.call("Emulation.clearDeviceMetricsOverride")


def test_there_is_no_error_and_no_request_to_a_host(opened) -> None:
    """It comes last, after everything above was pressed."""
    assert opened.run("document.title") == TITLE
    events = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"}
    assert [event for event in opened.events if event["method"] in events] == []
    sent = [event for event in opened.events if event["method"] == "Network.requestWillBeSent"]
    addresses = [event["params"]["request"]["url"] for event in sent]
    assert [address for address in addresses if not address.startswith(("data:", "file:"))] == []

"""The scene that the repository carries is whole and right, its masks wrong as they should be; others can be built."""

from __future__ import annotations

import json
from binascii import crc32
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation
from scipy.spatial import ConvexHull

from disconerf_ns.masks.store import MaskStore
from examples.scenes import textures
from examples.scenes.cameras import Pinhole, camera_path, look_at, rounds, spiral
from examples.scenes.dataset import (
    labels_named,
    read_cameras,
    read_labels,
    write_cameras,
    write_noisy_masks,
    write_parts,
)
from examples.scenes.layouts import LAYOUTS
from examples.scenes.layouts.room import EAST, HEIGHT, NORTH
from examples.scenes.make_scene import main as make_scene
from examples.scenes.make_scene import mask_sets
from examples.scenes.meshes import Mesh, ball, box, curve, relief, revolve
from examples.scenes.noise import LEVELS, MIXED, MaskNoise, agreement, noisy_masks
from examples.scenes.scene import Material, Orbit, Part, Scene, SceneObject, Walk

TABLE = Path(__file__).parents[1] / "examples" / "table"
TRANSFORMS = json.loads((TABLE / "transforms.json").read_text())
OBJECTS = json.loads((TABLE / "labels" / "labels.json").read_text())["objects"]
KEYS = [Path(frame["file_path"]).stem for frame in TRANSFORMS["frames"]]
POSES = {key: np.array(frame["transform_matrix"]) for key, frame in zip(KEYS, TRANSFORMS["frames"], strict=True)}
CAMERA = Pinhole(TRANSFORMS["w"], TRANSFORMS["h"], TRANSFORMS["fl_x"])
IN_SIGHT = ["orange", "ball", "block_green", "book_upper", "mug_left", "mug_right", "teapot"]


@pytest.fixture(scope="module")
def labels() -> dict[str, np.ndarray]:
    return {key: read_labels(TABLE, key) for key in KEYS}


@pytest.mark.parametrize("key", KEYS)
def test_every_view_has_a_photo_labels_and_masks_of_one_size(key: str) -> None:
    size = (CAMERA.height, CAMERA.width)
    with Image.open(TABLE / "images" / f"{key}.jpg") as photo:
        assert photo.size == size[::-1]
        assert photo.mode == "RGB"
    assert read_labels(TABLE, key).shape == size
    masks = MaskStore.open(TABLE / "masks" / "noisy").load(key)
    assert (masks.height, masks.width) == size
    assert len(masks) > 0


def test_no_file_is_left_over() -> None:
    assert sorted(path.stem for path in (TABLE / "images").iterdir()) == KEYS
    assert sorted(path.stem for path in (TABLE / "labels").glob("*.png")) == KEYS
    assert MaskStore.open(TABLE / "masks" / "noisy").keys() == KEYS


def test_training_and_evaluation_views_are_disjoint_and_all() -> None:
    train, held_out = set(TRANSFORMS["train_filenames"]), set(TRANSFORMS["val_filenames"])
    assert not train & held_out
    assert train | held_out == {frame["file_path"] for frame in TRANSFORMS["frames"]}
    assert TRANSFORMS["test_filenames"] == TRANSFORMS["val_filenames"]
    assert len(held_out) == len(KEYS) // 8


def test_scene_is_small_enough_to_be_cloned_with_the_code() -> None:
    assert sum(path.stat().st_size for path in TABLE.rglob("*") if path.is_file()) <= 3e6


def test_every_object_is_seen_in_most_views(labels: dict[str, np.ndarray]) -> None:
    known = {entry["label"] for entry in OBJECTS}
    assert set.union(*(set(np.unique(view)) for view in labels.values())) <= {0} | known
    for label in known:
        assert np.mean([np.sum(view == label) >= 50 for view in labels.values()]) > 0.8


@pytest.mark.parametrize("entry", OBJECTS[1:], ids=lambda entry: entry["name"])
def test_an_object_lies_in_the_projection_of_its_box(entry: dict, labels: dict[str, np.ndarray]) -> None:
    """A convex hull of the eight projected corners holds every labelled pixel's centre, in every view."""
    corners = np.array(np.meshgrid(*zip(entry["box_min"], entry["box_max"], strict=True))).reshape(3, 8).T
    for key, view in labels.items():
        rows, columns = np.nonzero(view == entry["label"])
        hull = ConvexHull(CAMERA.project(corners, POSES[key])[:, :2])
        centres = np.stack([columns + 0.5, rows + 0.5], axis=1)
        outside = (centres @ hull.equations[:, :2].T + hull.equations[:, 2]).max(axis=1, initial=-np.inf)
        assert (outside < 0.01).all(), f"{entry['name']} in view {key}"


@pytest.mark.parametrize("name", IN_SIGHT)
def test_the_middle_of_an_object_projects_onto_it(name: str, labels: dict[str, np.ndarray]) -> None:
    """Something else stands in front of it, and is met, in a minority of views."""
    entry = next(entry for entry in OBJECTS if entry["name"] == name)
    met = []
    for key, view in labels.items():
        x, y, depth = CAMERA.project(np.array([entry["center"]]), POSES[key])[0]
        assert depth > 0
        met.append(view[int(y), int(x)] == entry["label"])
    assert np.mean(met) > 0.7


def test_an_unoccluded_ball_is_as_large_as_its_distance_says(labels: dict[str, np.ndarray]) -> None:
    """Under a pinhole a sphere's outline is an ellipse of area pi f^2 sin^2(h) cos(h) / (cos^2(t) - sin^2(h))^(3/2).

    Here h is the half angle of the cone around the sphere, and t the angle between its axis and the camera's.
    """
    entry = next(entry for entry in OBJECTS if entry["name"] == "ball")
    radius = (entry["box_max"][2] - entry["box_min"][2]) / 2
    ratios = []
    for key, view in labels.items():
        offset = np.array(entry["center"]) - POSES[key][:3, 3]
        distance = np.linalg.norm(offset)
        cosine = -(offset @ POSES[key][:3, 2]) / distance
        sine = radius / distance
        area = np.pi * CAMERA.focal**2 * sine**2 * np.sqrt(1 - sine**2) / (cosine**2 - sine**2) ** 1.5
        ratios.append(np.sum(view == entry["label"]) / area)
    assert np.sort(ratios)[-8:] == pytest.approx(np.ones(8), abs=0.01)


def test_committed_masks_are_about_as_wrong_as_sams(labels: dict[str, np.ndarray]) -> None:
    store = MaskStore.open(TABLE / "masks" / "noisy")
    decoded = {key: store.load(key).decode() for key in KEYS}
    assert 0.71 <= np.mean([agreement(labels[key], decoded[key]) for key in KEYS]) <= 0.81
    assert min(mask.mean() for masks in decoded.values() for mask in masks) >= 0.003


def test_committed_masks_are_what_the_generator_makes(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for key in KEYS[:4]:
        (tmp_path / "labels" / f"{key}.png").symlink_to(TABLE / "labels" / f"{key}.png")
    manifest = MaskStore.open(TABLE / "masks" / "noisy").manifest["parameters"]
    write_noisy_masks(tmp_path, manifest["level"], LEVELS[manifest["level"]], manifest["seed"])
    again, carried = MaskStore.open(tmp_path / "masks" / "noisy"), MaskStore.open(TABLE / "masks" / "noisy")
    for key in KEYS[:4]:
        assert np.array_equal(again.load(key).decode(), carried.load(key).decode())


def test_all_levels_of_noise_are_sets_named_by_level(tmp_path: Path) -> None:
    assert {name: level for name, (level, _) in mask_sets("all").items()} == {
        "clean": "none",
        **{level: level for level in ("mild", "middle", "heavy", "mixed-mild", "mixed", "mixed-heavy")},
    }
    sparse = mask_sets("all", (), ("table",))
    assert (sparse["sparse"], sparse["sparse-heavy"]) == (("middle", ("table",)), ("heavy", ("table",)))
    assert mask_sets("heavy", ("table",), ("bowl",)) == {"noisy": ("heavy", ("table",))}
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / f"{KEYS[0]}.png").symlink_to(TABLE / "labels" / f"{KEYS[0]}.png")
    for name, (level, _) in mask_sets("all").items():
        write_noisy_masks(tmp_path, level, (LEVELS | MIXED)[level], name=name)
        assert MaskStore.open(tmp_path / "masks" / name).manifest["parameters"]["level"] == level


def test_smaller_masks_are_kept_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smallest = {}
    for share in ("0.02", "0.0001", "0.2"):
        (tmp_path / share / "labels").mkdir(parents=True)
        for name in ("labels.json", f"{KEYS[0]}.png"):
            (tmp_path / share / "labels" / name).symlink_to(TABLE / "labels" / name)
        command = ["make_scene", "table", "--output", str(tmp_path / share), "--only-masks", "--smallest", share]
        monkeypatch.setattr("sys.argv", command)
        make_scene()
        masks = MaskStore.open(tmp_path / share / "masks" / "noisy").load(KEYS[0])
        smallest[share] = masks.decode().mean((1, 2)).min()
    assert 0.0001 <= smallest["0.0001"] < 0.02 <= smallest["0.02"] < 0.2 <= smallest["0.2"]


def test_levels_make_the_masks_that_they_always_made(labels: dict[str, np.ndarray]) -> None:
    """Checksums of what each level made before there were parts, which these levels leave out."""
    view = labels[KEYS[0]]
    sums = {"mild": 2864844999, "middle": 1817782241, "heavy": 3375121131}
    for level, expected in sums.items():
        masks = noisy_masks(view, LEVELS[level], 11, parts=view * 2).masks
        assert crc32(np.packbits(masks).tobytes()) == expected, level


@pytest.mark.parametrize("level", MIXED)
def test_without_parts_a_mixed_level_is_the_level_of_its_strength(level: str, labels: dict[str, np.ndarray]) -> None:
    plain = LEVELS[{"mixed-mild": "mild", "mixed": "middle", "mixed-heavy": "heavy"}[level]]
    view = labels[KEYS[0]]
    expected = noisy_masks(view, plain, 5)
    for parts in (None, view):
        made = noisy_masks(view, MIXED[level], 5, parts)
        assert np.array_equal(made.masks, expected.masks) and np.array_equal(made.predicted_iou, expected.predicted_iou)


def test_wholes_and_parts_are_present_each_with_its_probability() -> None:
    """Object 1 has two parts, object 2 one; both are wide apart from the other, so that none is merged."""
    view, parts = (np.zeros((20, 60), np.uint16) for _ in range(2))
    view[5:15, 5:25], view[5:15, 40:55] = 1, 2
    parts[view == 1], parts[5:15, 15:25], parts[view == 2] = 1, 2, 3
    noise = MaskNoise(whole=0.75, parts=0.65, miss=0.1)
    found = np.zeros(4)
    wanted = [view == 1, view == 2, parts == 1, parts == 2]
    for seed in range(300):
        masks = noisy_masks(view, noise, seed, parts).masks
        of = [sum(np.array_equal(mask, region) for mask in masks) for region in wanted]
        assert max(of) <= 1 and sum(of) == len(masks)
        found += of
    assert found / 300 == pytest.approx(np.array([0.75, 0.9, 0.65, 0.65]), abs=0.07)


def test_a_mixed_level_has_fewer_pieces_than_parts() -> None:
    for noise in MIXED.values():
        assert noise.part < 2 * noise.parts and noise.parts < noise.whole


def test_no_mask_is_about_what_is_uncovered(labels: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Without noise the others have their masks; the manifest names the labels."""
    (tmp_path / "labels").mkdir()
    for name in ("labels.json", f"{KEYS[0]}.png"):
        (tmp_path / "labels" / name).symlink_to(TABLE / "labels" / name)
    uncovered = labels_named(tmp_path, ("background", "table"))
    assert uncovered == [1, 2]
    assert write_noisy_masks(tmp_path, "none", MaskNoise(), name="sparse", uncovered=uncovered) == pytest.approx(1.0)
    store, view = MaskStore.open(tmp_path / "masks" / "sparse"), labels[KEYS[0]]
    assert np.array_equal(store.load(KEYS[0]).decode().any(axis=0), view > 2)
    assert store.manifest["parameters"]["uncovered"] == [1, 2]
    with pytest.raises(SystemExit, match="no object called cup; choose from background, table, bowl"):
        labels_named(tmp_path, ("cup",))


def test_noise_depends_on_the_seed_alone(labels: dict[str, np.ndarray]) -> None:
    view = labels[KEYS[0]]
    first, again, other = (noisy_masks(view, LEVELS["middle"], seed) for seed in (3, 3, 4))
    assert np.array_equal(first.masks, again.masks)
    assert np.array_equal(first.predicted_iou, again.predicted_iou)
    assert first.masks.shape != other.masks.shape or (first.masks != other.masks).any()


def test_no_noise_gives_the_truth(labels: dict[str, np.ndarray]) -> None:
    view = labels[KEYS[0]]
    masks = noisy_masks(view, MaskNoise(), seed=0).masks
    truth = {(view == label).tobytes() for label in np.unique(view[view > 0])}
    assert {mask.tobytes() for mask in masks} == truth
    assert agreement(view, masks) == pytest.approx(1.0)


def test_levels_are_ordered(labels: dict[str, np.ndarray]) -> None:
    views = list(labels.values())[::7]
    score = {
        level: np.mean([agreement(view, noisy_masks(view, noise, seed).masks) for seed, view in enumerate(views)])
        for level, noise in LEVELS.items()
    }
    assert score["none"] > score["mild"] > score["middle"] > score["heavy"]


@pytest.mark.parametrize(
    ("noise", "count"),
    [
        (MaskNoise(miss=1.0), 0),
        (MaskNoise(split=1.0), 4),
        (MaskNoise(merge=1.0), 1),
        (MaskNoise(part=1.0), 4),
        (MaskNoise(group=1.0), 4),
        (MaskNoise(min_fraction=0.6), 0),
    ],
    ids=["miss", "split", "merge", "part", "group", "min_fraction"],
)
def test_each_kind_of_noise_on_two_touching_objects(noise: MaskNoise, count: int) -> None:
    """Left half 1, right half 2: a split makes two masks of each, a merge one of both, extras come on top."""
    view = np.repeat([[1, 2]], 20, axis=1).repeat(30, axis=0)
    masks = noisy_masks(view, noise, seed=1).masks
    assert len(masks) == count
    if noise.split:
        assert (masks.sum(axis=0) == 1).all()
    if noise.merge:
        assert masks[0].all()


def test_agreement_by_hand() -> None:
    """Areas 6 and 2; the first mask covers 3 of 6 (IoU 1/2), the second misses: (6 * 1/2 + 2 * 0) / 8."""
    view = np.array([[1, 1, 1, 2], [1, 1, 1, 2]])
    masks = np.zeros((1, 2, 4), dtype=bool)
    masks[0, 0, :3] = True
    assert agreement(view, masks) == pytest.approx(3 / 8)


def test_a_view_without_objects_has_no_masks() -> None:
    assert noisy_masks(np.zeros((4, 6), dtype=np.uint16), LEVELS["middle"], seed=0).masks.shape == (0, 4, 6)


def test_camera_projects_what_it_looks_at_into_the_middle() -> None:
    camera, pose = Pinhole.from_fov(200, 100, 90.0), look_at(np.array([0.0, -2.0, 0.0]), np.zeros(3))
    assert camera.focal == pytest.approx(100)
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
    assert camera.project(points, pose) == pytest.approx(np.array([[100, 50, 2], [150, 50, 2], [100, 25, 2]]))


def test_spiral_stays_in_its_shell_and_upright() -> None:
    orbit = Orbit(center=(1.0, 2.0, 3.0), radius=(2.0, 2.5), elevation=(20.0, 60.0))
    poses = spiral(orbit, 17)
    offset = poses[:, :3, 3] - np.array(orbit.center)
    distance = np.linalg.norm(offset, axis=1)
    assert ((distance >= 2.0) & (distance <= 2.5)).all()
    elevation = np.degrees(np.arcsin(offset[:, 2] / distance))
    assert ((elevation > 20.0) & (elevation < 60.0) & (np.diff(elevation, prepend=0) > 0)).all()
    assert poses[:, :3, 2] * distance[:, None] == pytest.approx(offset)
    assert poses[:, 2, 0] == pytest.approx(np.zeros(17))
    assert np.linalg.det(poses[:, :3, :3]) == pytest.approx(np.ones(17))


def test_a_walk_stays_on_its_ellipse_and_looks_where_it_should() -> None:
    walk = Walk(center=(1.0, 2.0), radius=(2.0, 1.0), height=(1.0, 1.5), pitch=(-30.0, 10.0), headings=(0.0, 90.0))
    poses = rounds(walk, 18)
    position, forward = poses[:, :3, 3], -poses[:, :3, 2]
    offset = position[:, :2] - np.array(walk.center)
    assert np.linalg.norm(offset / np.array(walk.radius), axis=1) == pytest.approx(np.ones(18))
    assert ((position[:, 2] >= 1.0) & (position[:, 2] <= 1.5)).all()
    pitch = np.degrees(np.arcsin(forward[:, 2]))
    assert ((pitch >= -30.0) & (pitch <= 10.0)).all()
    inward = -offset / np.linalg.norm(offset, axis=1, keepdims=True)
    left = np.stack([-inward[:, 1], inward[:, 0]], axis=1)
    level = forward[:, :2] / np.linalg.norm(forward[:, :2], axis=1, keepdims=True)
    assert level[::2] == pytest.approx(inward[::2])
    assert level[1::2] == pytest.approx(left[1::2])
    assert poses[:, 2, 0] == pytest.approx(np.zeros(18))
    assert np.linalg.det(poses[:, :3, :3]) == pytest.approx(np.ones(18))


@pytest.fixture(scope="module")
def layouts() -> dict[str, Scene]:
    """The scenes with flat paint of few pixels: most of the time goes into textures."""
    grid = textures.grid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, "grid", lambda size: grid(4 if isinstance(size, int) else size))
        patch.setattr(textures, "noise", lambda shape, grain, seed: np.zeros((1, 1)))
        patch.setattr(textures, "mix", lambda first, second, weight: np.broadcast_to(first, (*weight.shape, 3)))
        return {name: make() for name, make in LAYOUTS.items()}


def test_the_carried_scene_is_what_its_layout_says(layouts: dict[str, Scene]) -> None:
    table = layouts["table"]
    assert [item.name for item in table.objects] == [entry["name"] for entry in OBJECTS]
    assert np.stack([item.box() for item in table.objects]) == pytest.approx(
        np.array([[entry["box_min"], entry["box_max"]] for entry in OBJECTS]), abs=1e-5
    )
    assert camera_path(table.orbit, len(KEYS)) == pytest.approx(np.stack(list(POSES.values())), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "count", "on_the_ground"), [("room", 22, 2), ("clutter", 35, 2), ("sheet", 9, 2), ("rehearsal", 20, 2)]
)
def test_a_layout_has_its_objects_and_none_sinks(
    name: str, count: int, on_the_ground: int, layouts: dict[str, Scene]
) -> None:
    """The first parts carry the rest (floor and walls, background and desk); everything else is above z = 0."""
    objects = layouts[name].objects
    assert len({item.name for item in objects}) == len(objects) == count
    assert min(item.box()[0, 2] for item in objects[on_the_ground:]) > 0


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [("room", "chair", 4), *(("clutter", *kind) for kind in (("can", 4), ("mug", 3), ("block", 6), ("crayon", 4)))],
)
def test_things_of_one_make_are_alike_and_apart(name: str, kind: str, count: int, layouts: dict[str, Scene]) -> None:
    """They have the same meshes, up to a motion, and the same paint."""
    first, *others = [item for item in layouts[name].objects if item.name.startswith(f"{kind}_")]
    assert len(others) == count - 1
    for other in others:
        for part, twin in zip(first.parts, other.parts, strict=True):
            assert np.array_equal(part.material.color, twin.material.color)
            spread, twins = (mesh.points - mesh.points[0] for mesh in (part.mesh, twin.mesh))
            assert np.linalg.norm(spread, axis=1) == pytest.approx(np.linalg.norm(twins, axis=1))
    middles = np.stack([item.box().mean(axis=0) for item in [first, *others]])
    distance = np.linalg.norm(middles[:, None] - middles, axis=2)[np.triu_indices(count, 1)]
    assert distance.min() > 0.05


def test_the_walk_is_inside_the_room_and_outside_of_the_furniture(layouts: dict[str, Scene]) -> None:
    room = layouts["room"]
    positions = camera_path(room.orbit, 56)[:, :3, 3]
    half = np.array([EAST, NORTH])
    assert (np.abs(positions[:, :2]) < half - 0.4).all()
    assert ((positions[:, 2] > 1.0) & (positions[:, 2] < HEIGHT - 0.4)).all()
    for item in room.objects[2:]:
        low, high = item.box()
        outside = np.maximum(low - positions, positions - high).max(axis=1)
        assert outside.min() > 0.1, item.name


def test_every_thing_in_the_room_is_in_the_frame_of_many_views_but_not_of_all(layouts: dict[str, Scene]) -> None:
    room = layouts["room"]
    camera, poses = Pinhole.from_fov(256, 192, room.orbit.horizontal_fov), camera_path(room.orbit, 56)
    middles = np.stack([item.box().mean(axis=0) for item in room.objects[2:]])
    x, y, depth = np.stack([camera.project(middles, pose) for pose in poses], axis=2).swapaxes(0, 1)
    framed = (depth > 0) & (np.abs(x - 128) < 128) & (np.abs(y - 96) < 96)
    assert (framed.sum(axis=1) >= 8).all()
    assert (framed.mean(axis=0) < 0.8).all()


def test_parts_are_numbered_over_the_whole_scene_and_named_once(layouts: dict[str, Scene], tmp_path: Path) -> None:
    for scene in layouts.values():
        assert len(set(scene.parts)) == len(scene.parts)
        assert [label for label, _ in scene.parts] == sorted(label for label, _ in scene.parts)
        assert {label for label, _ in scene.parts} == set(range(1, len(scene.objects) + 1))
    table = layouts["table"]
    write_parts(tmp_path, table)
    entries = json.loads((tmp_path / "parts" / "labels.json").read_text())["objects"]
    assert [entry["label"] for entry in entries] == list(range(1, len(entries) + 1))
    named = {entry["name"]: table.objects[entry["object"] - 1].name for entry in entries}
    assert {"bowl": "bowl", "mug_left handle": "mug_left", "teapot lid": "teapot", "table legs": "table"}.items() <= (
        named.items()
    )
    assert table.objects[2].part_names == [""] and table.objects[5].part_names == ["cover", "pages"]


def test_what_sparse_masks_leave_out_is_in_the_scene(layouts: dict[str, Scene]) -> None:
    for name, scene in layouts.items():
        assert set(scene.uncovered) < {item.name for item in scene.objects}
        assert bool(scene.uncovered) == (name != "rehearsal")


def test_most_of_the_sheet_is_never_covered(layouts: dict[str, Scene]) -> None:
    """What is on the cloth is small beside the cloth."""
    sheet = layouts["sheet"]
    area = {item.name: np.prod(np.diff(item.box()[:, :2], axis=0)) for item in sheet.objects}
    on_top = sum(size for name, size in area.items() if name not in sheet.uncovered)
    assert on_top < area["sheet"] / 2


def test_cameras_are_read_as_they_were_written(tmp_path: Path) -> None:
    camera, poses = Pinhole.from_fov(64, 48, 50.0), spiral(Orbit(), 3)
    keys = write_cameras(tmp_path, camera, poses)
    again, read, names = read_cameras(tmp_path)
    assert again == camera and names == keys
    assert read == pytest.approx(poses, abs=1e-8)


def test_placing_keeps_the_names_of_parts() -> None:
    item = SceneObject("bar", [Part(box(2.0, 1.0, 0.5, 0.01), Material(np.ones(3)), "end")])
    assert item.placed(1.0, 0.0, 0.0).part_names == ["end"]


def test_placing_scales_then_turns_then_shifts() -> None:
    item = SceneObject("bar", [Part(box(2.0, 1.0, 0.5, 0.01), Material(np.ones(3)))])
    placed = item.placed(1.0, 2.0, 3.0, turn=90, scale=2.0).box()
    assert placed == pytest.approx(np.array([[0.0, 0.0, 3.0], [2.0, 4.0, 4.0]]))


def volume(mesh: Mesh) -> float:
    """Signed volume of a closed mesh by the divergence theorem; positive when the faces look outwards."""
    a, b, c = mesh.points[mesh.faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def test_meshes_are_closed_and_look_outwards() -> None:
    assert volume(ball(0.5, 256)) == pytest.approx(4 / 3 * np.pi * 0.125, rel=1e-3)
    assert volume(box(1.0, 2.0, 3.0, 1e-4)) == pytest.approx(6.0, rel=1e-3)
    cone = revolve(np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 2.0)]), 512)
    assert volume(cone) == pytest.approx(2 / 3 * np.pi, rel=1e-3)


def test_a_relief_has_its_heights_and_looks_up() -> None:
    heights = np.random.default_rng(0).random((5, 7))
    mesh = relief(2.0, 1.0, heights)
    assert mesh.points.reshape(5, 7, 3)[..., 2] == pytest.approx(heights)
    assert np.ptp(mesh.points[:, :2], axis=0) == pytest.approx([2.0, 1.0])
    a, b, c = mesh.points[mesh.faces].transpose(1, 0, 2)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    slope = relief(2.0, 1.0, np.tile(np.linspace(0.0, 2.0, 7), (5, 1)))
    assert slope.normals == pytest.approx(np.tile([-np.sqrt(0.5), 0.0, np.sqrt(0.5)], (35, 1)))


def test_turning_keeps_volume_and_unit_normals() -> None:
    mesh = box(1.0, 2.0, 3.0, 0.1)
    turned = mesh.turned(33, "x").turned(71, "z").moved(1, 2, 3)
    assert volume(turned) == pytest.approx(volume(mesh))
    assert np.linalg.norm(turned.normals, axis=1) == pytest.approx(np.ones(len(mesh.points)))
    assert ball(1.0).turned(90).points.max(axis=0) == pytest.approx(np.ones(3), abs=1e-3)
    assert Mesh(np.eye(3), np.array([[0, 1, 2]]), np.eye(3), np.eye(3)[:, :2]).turned(90).points[0] == pytest.approx(
        [0, 1, 0]
    )


def test_curve_passes_through_its_ends() -> None:
    line = curve([(0.0, 0.0), (1.0, 2.0), (3.0, 2.5)], 11)
    assert line[0] == pytest.approx([0, 0])
    assert line[-1] == pytest.approx([3, 2.5])
    assert (np.diff(line, axis=0) >= 0).all()


def test_renderer_labels_and_camera_agree_with_geometry() -> None:
    """A sphere at (0, 0, 0.2) before a camera at distance 2: a disc of radius f r / sqrt(d^2 - r^2) in the middle."""
    pytest.importorskip("mitsuba")
    pytest.importorskip("pyoidn")
    from examples.scenes.render import Renderer, choose_variant

    choose_variant()
    red = Material(np.array([0.8, 0.1, 0.1]), roughness=0.9)
    left = SceneObject("left", [Part(ball(0.3).moved(-0.8, 0, 0.2), red)])
    half_ball = revolve(0.3 * np.stack([np.cos(turn := np.linspace(0, np.pi / 2, 49)), np.sin(turn)], axis=1))
    halves = {"lower": half_ball.turned(180, "x"), "upper": half_ball}
    middle = SceneObject("middle", [Part(mesh.moved(z=0.2), red, name) for name, mesh in halves.items()])
    scene = Scene([left, middle], lights=[], ambient=(1.0, 1.0, 1.0))
    camera, pose = Pinhole.from_fov(48, 36, 60.0), look_at(np.array([0.0, -2.0, 0.2]), np.array([0.0, 0.0, 0.2]))
    labels, parts = Renderer(scene).labels(camera, pose)
    row, column = np.indices(labels.shape)
    distance = np.hypot(column + 0.5 - 24, row + 0.5 - 18)
    radius = camera.focal * 0.3 / np.sqrt(4 - 0.09)
    assert (labels[distance < radius - 0.1] == 2).all()
    assert (labels[distance > radius + 0.1] != 2).all()
    assert np.nonzero(labels == 1)[1].max() < 24
    assert set(np.unique(labels)) == {0, 1, 2}
    assert np.array_equal(parts == 1, labels == 1)
    assert np.array_equal(parts == 2, (labels == 2) & (row + 0.5 > 18))
    assert np.array_equal(parts == 3, (labels == 2) & (row + 0.5 < 18))
    origins, towards = np.array([[0.0, -2.0, 0.2]] * 2), np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    met = Renderer(scene).distances(origins, towards)
    assert met[0] == pytest.approx(1.7, abs=1e-3) and np.isinf(met[1])
    photo = Renderer(scene).photo(camera, pose, samples=16)
    assert photo.shape == (36, 48, 3)
    assert photo[18, 24, 0] > photo[18, 24, 1] + 50


def test_a_camera_looks_through_an_invisible_object_which_still_casts_its_shadow() -> None:
    pytest.importorskip("mitsuba")
    pytest.importorskip("pyoidn")
    from examples.scenes.render import Renderer, choose_variant

    choose_variant()
    gray = Material(np.array([0.6, 0.6, 0.6]), roughness=0.9)
    floor = SceneObject("floor", [Part(box(4.0, 4.0, 0.1, 0.01).moved(0, 0, -0.1), gray)])
    thing = SceneObject("ball", [Part(ball(0.3).moved(0, 0, 0.3), gray)])
    scene = Scene([floor, thing], lights=[], ambient=(1.0, 1.0, 1.0))
    camera, pose = Pinhole.from_fov(48, 36, 60.0), look_at(np.array([0.0, -2.0, 1.0]), np.array([0.0, 0.0, 0.1]))
    full, empty = Renderer(scene), Renderer(replace(scene, objects=[floor]))
    covered = full.labels(camera, pose)[0] == 2
    before_floor = covered & (empty.labels(camera, pose)[0] == 1)
    through, seen, bare = (
        each.radiance(camera, pose, 64, invisible=label) for each, label in ((full, 2), (full, None), (empty, None))
    )
    assert through[before_floor].min() < 0.2 * bare[before_floor].min(), "below the ball it is dark"
    beside = ~binary_dilation(covered)
    assert through[beside] == pytest.approx(seen[beside], abs=0.05)

"""Films of a scene made by hand: where cameras go, what is in the picture, and what is not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from film_scene import BALL, CENTRE, CRUMB, FLOOR, RADIUS, RED, WALL_AT, HandMade, hand_made, painter, photographs
from helpers import assert_close
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from scene import camera_pose

from disconerf_ns.errors import UserError
from disconerf_ns.filming.appearance import shares_shown, surrounds
from disconerf_ns.filming.clean import BODY, HAZE, crisp
from disconerf_ns.filming.devices import in_processes
from disconerf_ns.filming.frames import Look, Subject, Wanted, straight
from disconerf_ns.filming.ground import DARKEST, Ground, hidden_sky
from disconerf_ns.filming.matte import MARGIN, bled, on_color, over
from disconerf_ns.filming.orbit import FILL, directions, elevation_of, framed, hull, look_at, square
from disconerf_ns.filming.paths import chain, evenly, in_size, interpolated, path_of_file, spiral, to_and_fro
from disconerf_ns.filming.shots import NEAR, longest_run, orbit, spiral_shot, unseen
from disconerf_ns.filming.sight import in_sight, shares_clear, shares_seen
from disconerf_ns.rendering.alone import render_object
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.rays import SEEN
from disconerf_ns.scene.arranged import ArrangedScene, Guest
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.edit import HERE, Edit
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.spacing import evenly_spaced

SIZE = 48


@pytest.fixture(scope="module")
def plain_scene() -> ArrangedScene:
    """The scene without haze and without the wall, whose solid voxels are found once."""
    return hand_made()


@pytest.fixture(scope="module")
def hazy_scene() -> ArrangedScene:
    """The scene with haze, whose clean voxels are found once."""
    return hand_made(haze=0.7)


def ball_pictures(scene: ArrangedScene, count: int, *looks: Look) -> list[list[np.ndarray]]:
    """Frames of the ball's film, in each of the looks."""
    cameras = orbit(scene, scene.objects[0], photographs(), count, SIZE).cameras
    return [[Subject(scene, BALL, look).picture(cameras[n : n + 1]) for n in range(count)] for look in looks]


def sides(solid: np.ndarray) -> tuple[float, float]:
    """Width and height of what is solid, as fractions of the picture."""
    rows, columns = solid.nonzero()
    return (columns.max() - columns.min() + 1) / solid.shape[1], (rows.max() - rows.min() + 1) / solid.shape[0]


# ---------------------------------------------------------------- where cameras go


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (3.0, 0.2, 0.1), (0.1, 0.1, 2.0), (1.0, 2.0, 0.01)])
@pytest.mark.parametrize("elevation", [0.0, 0.6, 1.0])
def test_the_fullest_frame_is_filled_as_it_should(size: tuple[float, ...], elevation: float) -> None:
    """A film filled half of the picture, or less if the object was flat."""
    corners = torch.cartesian_prod(*(torch.tensor([-side / 2, side / 2]) for side in size)) + torch.tensor([5.0, 2, 1])
    away = directions(torch.arange(24) / 24 * 2 * math.pi, elevation)
    target, distance = framed(corners, away, fov=0.7)
    poses = look_at(target + distance * away, target)
    seen = torch.einsum("cij,cpi->cpj", poses[..., :3], corners - poses[:, None, :, 3])
    on_picture = seen[..., :2] / -seen[..., 2:] / math.tan(0.35)  # from -1 to 1
    low, high = on_picture.amin(1), on_picture.amax(1)
    assert float((high - low).max()) / 2 == pytest.approx(FILL, abs=0.01)
    assert float(high[:, 1].max()) == pytest.approx(-float(low[:, 1].min()), abs=0.02), "as much room above as below"
    assert float(torch.stack([high.max(), -low.min()]).max()) < 1


def test_the_ball_fills_four_fifths_of_the_picture_from_where_photographs_were_taken(
    fine_trials: None, hazy_scene: ArrangedScene
) -> None:
    scene, taken = hazy_scene, photographs()
    shot = orbit(scene, scene.objects[0], taken, 6, SIZE)
    fills = []
    for number in range(6):
        alpha = Subject(scene, BALL).picture(shot.cameras[number : number + 1])[..., 3]
        fills.append(sides(alpha > 0.5))
    assert max(max(fill) for fill in fills) == pytest.approx(FILL, abs=0.05)
    positions = shot.cameras.camera_to_worlds[..., 3]
    assert positions[:, 2].std() < 1e-5, "level"
    expected = elevation_of(taken.camera_to_worlds[..., 3], CENTRE)
    assert elevation_of(positions, CENTRE) == pytest.approx(expected, abs=0.05)
    assert shot.remark == "", "every view of it is near a photograph's"


def test_how_much_of_an_orbit_nobody_saw(plain_scene: ArrangedScene) -> None:
    """Photographs from the azimuths 0 and 90 degrees; of 12 cameras, every 30 degrees, these look from beside."""
    azimuths = torch.arange(12) / 12 * 2 * math.pi
    taken = directions(torch.tensor([0.0, math.pi / 2]), 0.0) * 3
    near = {-30, 0, 30, 60, 90, 120}  # 30 degrees is not more than 30 degrees, but for rounding
    share = unseen(directions(azimuths + 1e-4, 0.0), taken, torch.zeros(3))
    assert float(share.float().mean()) == pytest.approx(1 - (len(near) - 2) / 12)
    half = orbit(plain_scene, plain_scene.objects[0], photographs(spread=0.5), 24, 8)
    assert 25 <= int(half.remark.split("% of the film")[0]) <= 45, (
        "180 degrees less 2 x 30 and the spacing of photographs"
    )


def distances_to(point: torch.Tensor, camera: Cameras) -> torch.Tensor:
    """Distance at which the ray of each pixel passes a point, flat."""
    rays = camera.generate_rays(0).flatten()
    away = point - rays.origins
    return (away - (away * rays.directions).sum(-1, keepdim=True) * rays.directions).norm(dim=-1)


def test_there_is_no_turntable_of_what_surrounds_the_photographs(plain_scene: ArrangedScene) -> None:
    """It was circled, at the distance of the photographs, through what stands between."""
    scene, taken = plain_scene, photographs(distance=0.9, height=0.3)
    shot = orbit(scene, scene.find("object_01"), taken, 9, 16)
    assert "no turntable, because it surrounds the photographs; the camera sways between photographs" in shot.remark
    positions, known = shot.cameras.camera_to_worlds[..., 3], taken.camera_to_worlds[..., 3]
    best = int(shot.remark.split("photographs ")[1].split(",")[0])
    assert_close(positions[0], known[best], 1e-4)
    assert positions.norm(dim=-1).max() <= 0.9 + 1e-4


def test_what_surrounds_the_photographs_is_shown_as_they_see_it(plain_scene: ArrangedScene) -> None:
    """Alone it had what no photograph shows, below other things; now these are cut out."""
    scene, taken = plain_scene, photographs(distance=0.9, height=0.3)
    floor = scene.objects[FLOOR]
    shot = orbit(scene, floor, taken, 3, SIZE)
    assert shot.surrounds and shot.look(shadow=True) == Look(shadow=False, cut_out=True)
    alpha = torch.from_numpy(Subject(scene, FLOOR, shot.look()).picture(shot.cameras[:1])[..., 3])
    miss = distances_to(CENTRE, shot.cameras[:1]).view(SIZE, SIZE)
    ball, below = miss < 0.9 * RADIUS, (miss > 1.2 * RADIUS) & (torch.arange(SIZE)[:, None] > SIZE // 2)
    assert ball.sum() > 100 and alpha[ball].max() < 0.05
    assert below.sum() > 100 and alpha[below].min() > 0.95
    assert surrounds(scene, floor, taken) and not surrounds(scene, scene.objects[BALL], photographs())


def test_a_wall_beside_the_cameras_is_filmed_as_what_surrounds_them(
    plain_scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No turntable goes behind a wall of a room, although no photograph was taken from within the ball around it."""
    taken, ball = photographs(), plain_scene.objects[BALL]
    assert not surrounds(plain_scene, ball, taken) and not orbit(plain_scene, ball, taken, 3, SIZE).surrounds
    monkeypatch.setitem(vars(plain_scene.bodies), "surrounding", frozenset([BALL]))
    assert surrounds(plain_scene, ball, taken) and orbit(plain_scene, ball, taken, 3, SIZE).surrounds


def test_the_photograph_that_shows_most_of_what_surrounds_them_comes_first(plain_scene: ArrangedScene) -> None:
    """Of eight cameras that look at the middle of the floor, one is steeper and has the ball behind it."""
    scene, taken = plain_scene, photographs(distance=0.9, height=0.3)
    poses = taken.camera_to_worlds.clone()
    poses[5] = torch.from_numpy(camera_pose(torch.pi, 0.7, 0.9)[:3]).float()
    taken = square(poses, 64, 1.0)
    shares = shares_shown(scene, scene.objects[FLOOR].id, taken)
    assert shares.shape == (8,) and int(shares.argmax()) == 5 and shares[5] > 0.6
    assert "sways between photographs 5" in orbit(scene, scene.objects[FLOOR], taken, 3, 8).remark


def test_a_camera_in_the_scene_stays_on_its_side_of_a_wall() -> None:
    scene = hand_made(wall=True)
    alone, among = (orbit(scene, scene.objects[0], photographs(), 36, SIZE, among) for among in (False, True))
    assert alone.cameras.camera_to_worlds[:, 0, 3].min() < WALL_AT, "alone there is no wall"
    places = among.cameras.camera_to_worlds[..., 3]
    assert places[:, 0].min() > WALL_AT and (among.shown, alone.shown) == (None, BALL)
    assert "the camera sways through" in among.remark
    assert float((places[1:] - places[:-1]).norm(dim=-1).max()) < 0.5 * float((places[0] - CENTRE).norm())


def test_a_camera_in_the_scene_stays_where_photographs_were_taken(plain_scene: ArrangedScene) -> None:
    """Photographs from one half of the circle: on the other one is fog in the place of what is behind the object."""
    taken = photographs(spread=0.5)
    ball = plain_scene.objects[0]
    alone, among = (orbit(plain_scene, ball, taken, 36, 8, among) for among in (False, True))
    swaying = orbit(plain_scene, ball, taken, 36, 8, photographed=True)
    positions, azimuth = taken.camera_to_worlds[..., 3], lambda x: torch.atan2(x[..., 1], x[..., 0])
    spread = azimuth(positions - CENTRE)
    for shot, inside in ((alone, False), (among, True), (swaying, True)):
        around = azimuth(shot.cameras.camera_to_worlds[..., 3] - CENTRE)
        away = (around[:, None] - spread + math.pi).remainder(2 * math.pi) - math.pi
        assert (float(away.abs().amin(-1).max()) <= NEAR + 0.1) is inside
    assert "degrees: elsewhere other things are in the way, or no photograph looks from there" in among.remark
    assert "% of the film" not in among.remark + swaying.remark
    assert (swaying.shown, among.shown, among.unseen, swaying.unseen) == (BALL, None, 0, 0) and alone.unseen > 0.2
    assert "degrees: elsewhere no photograph looks from there" in swaying.remark
    one = orbit(plain_scene, ball, photographs()[:1], 4, 8, photographed=True)
    assert one.remark.startswith("the camera sways through 60 degrees"), "30 to each side"


def test_a_moved_object_is_filmed_where_it_stands(plain_scene: ArrangedScene) -> None:
    moved = plain_scene.with_edit(plain_scene.edit.move(BALL, Similarity(translation=(0.0, 0.0, 1.0))))
    before, after = (orbit(each, each.objects[0], photographs(), 4, 8, among=True) for each in (plain_scene, moved))
    way = after.cameras.camera_to_worlds[..., 3] - before.cameras.camera_to_worlds[..., 3]
    assert_close(way, torch.tensor([0.0, 0.0, 1.0]).expand(4, 3), 1e-3)
    assert after.remark == before.remark


def test_the_longest_run_on_a_circle() -> None:
    assert longest_run(torch.tensor([True, False, True, True, False, True])) in ((5, 2), (2, 2))
    assert longest_run(torch.tensor([True, True, False, True])) == (3, 3)
    assert longest_run(torch.tensor([True, True])) == (0, 2)
    assert longest_run(torch.tensor([False])) == (0, 0)


def test_what_cameras_see_of_a_point(plain_scene: ArrangedScene) -> None:
    """The top of the ball is seen from everywhere, its lowest side from nowhere, and nothing behind a camera's back."""
    scene, taken = plain_scene, photographs()
    top, bottom = CENTRE + torch.tensor([0, 0, RADIUS]), CENTRE - torch.tensor([0, 0, RADIUS])
    seen = shares_seen(scene, taken, torch.stack([top, bottom, torch.tensor([0.0, 0.0, 9.0])]), 0.06)
    assert seen.tolist() == pytest.approx([1 / 3] * 8)
    beside = torch.tensor([[3.0, 0.0, 0.5], [-3.0, 0.0, 0.5]])
    walled = hand_made(wall=True)
    ends = CENTRE + RADIUS * torch.cat([torch.eye(3), -torch.eye(3)])
    assert shares_clear(walled, beside, ends).tolist() == [1.0, 0.0]
    assert in_sight(walled, beside, taken.camera_to_worlds[:2, :, 3]).tolist() == [True, False]


# ---------------------------------------------------------------- paths of the photographs


def test_to_and_fro_begins_and_ends_at_0() -> None:
    assert_close(to_and_fro(4), torch.tensor([0.0, 0.5, 1.0, 0.5]))


def test_a_chain_goes_from_the_best_to_its_neighbours() -> None:
    seen = torch.tensor([0.1, 0.4, 0.5, 0.4, 0.3, 0.2, 0.0, 0.0])
    assert chain(photographs(), seen)[0] == 2 and set(chain(photographs(), seen)) == {1, 2, 3, 4}


def test_paths_begin_and_end_at_photographs_and_have_as_many_frames_as_asked_for(plain_scene: ArrangedScene) -> None:
    taken = photographs(count=3)
    between = interpolated(taken, torch.linspace(0, 1, 7), order=False)
    assert len(between) == 7 and int(between.width[0]) == 64
    assert_close(between.camera_to_worlds[[0, 6]], taken.camera_to_worlds[[0, 2]], 1e-4)
    assert len(interpolated(taken[:1], torch.linspace(0, 1, 5), order=True)) == 5
    assert_close(evenly(taken, 2).camera_to_worlds, taken.camera_to_worlds[[0, 2]])
    thirty = taken[torch.zeros(30, dtype=torch.long)]
    thirty.times = torch.arange(30.0)[:, None]
    assert evenly(thirty, 15).times[:, 0].tolist() == evenly_spaced(30, 15), "14.5 was rounded to another photograph"
    round_about = spiral(taken[:1], torch.zeros(3), 8).camera_to_worlds
    assert_close(round_about[0], taken.camera_to_worlds[0], 1e-4)
    assert (torch.linalg.cross(round_about[:, :, 2], round_about[:, :, 3]).norm(dim=-1) < 1e-4).all(), "at the origin"


@pytest.mark.parametrize("among", [False, True])
def test_a_spiral_looks_at_its_object_where_it_stands(plain_scene: ArrangedScene, among: bool) -> None:
    """In the edited scene, the spiral went on at the empty spot from which the object was moved."""
    each, taken, away = plain_scene.objects[0], photographs(count=3), (0.0, 5.0, 0.0)
    moved = plain_scene.with_edit(Edit().move(each.id, Similarity(translation=away)))
    before, now = (looked_at(spiral_shot(scene, each, taken, 8, 16, among).cameras) for scene in (plain_scene, moved))
    assert_close(now - before, torch.tensor(away), 1e-4)


def looked_at(cameras: Cameras) -> torch.Tensor:
    """The point that all cameras look at."""
    places, back = cameras.camera_to_worlds[..., 3], cameras.camera_to_worlds[..., 2]
    across = torch.eye(3) - back[:, :, None] * back[:, None]
    return torch.linalg.solve(across.sum(0), (across @ places[..., None]).sum(0))[:, 0]


def test_pictures_of_another_size_show_the_same() -> None:
    camera = square(torch.from_numpy(camera_pose(0.3, 0.4, 2.0)[:3]).float()[None], 64, 0.9)
    small = in_size(camera, 16)
    assert (int(small.width), int(small.height)) == (16, 16)
    assert int(in_size(camera, 1).width) == 2, "even, and a picture at all"
    assert_close(
        small.generate_rays(0).directions[3, 5], camera.generate_rays(0).directions[13:15, 21:23].mean((0, 1)), 1e-3
    )


def test_a_camera_path_of_nerfstudios_viewer(tmp_path: Path) -> None:
    pose = np.vstack([camera_pose(0.3, 0.4, 2.0)[:3], [0, 0, 0, 1]])
    frames = [{"camera_to_world": pose.flatten().tolist(), "fov": 60.0, "aspect": 1.5}] * 3
    content = {"render_height": 20, "render_width": 30, "camera_path": frames, "seconds": 1.5, "fps": 2}
    (tmp_path / "path.json").write_text(json.dumps(content))
    cameras, seconds = path_of_file(tmp_path / "path.json")
    assert len(cameras) == 3 and seconds == 1.5
    shorter = in_size(cameras, 12)
    assert (int(shorter.width[0]), int(shorter.height[0])) == (18, 12)
    wider = in_size(cameras, 10)
    assert (int(wider.width[0]), int(wider.height[0])) == (16, 10), "15 columns would lose one in a film"
    assert int(in_size(cameras, None).width[0]) == 30
    odd = in_size(replace(cameras, height=cameras.height - 1), None)
    assert (int(odd.width[0]), int(odd.height[0])) == (30, 20), "pictures of 19 rows were beside a film of 18"
    for broken in ("", "[]", '{"camera_path": 3}', '{"render_height": 2, "render_width": 2, "camera_path": []}'):
        (tmp_path / "path.json").write_text(broken)
        with pytest.raises(UserError, match=r"path.json: not a camera path .*; save one in the tab Render"):
            path_of_file(tmp_path / "path.json")


# ---------------------------------------------------------------- what is in the picture


UP = Similarity(translation=(0.0, 0.0, 0.6))


@pytest.mark.parametrize("way", ["moved", "copied", "a guest"])
def test_haze_stays_behind_where_something_is_put_elsewhere(hazy_scene: ArrangedScene, way: str) -> None:
    """Films of the ball alone were without its haze, and pictures of the edited scene had it around the moved ball."""
    scene = hazy_scene
    if way == "a guest":
        edited = replace(scene, guests=(Guest(scene, scene.objects[0].id, UP),))
    else:
        edited = scene.with_edit(Edit().place(BALL, *([HERE] if way == "copied" else []), UP))
    camera = photographs()[:1]
    miss = distances_to(CENTRE + torch.tensor(UP.translation), camera)
    without = Frame.seen_by(scene.with_edit(Edit().hide(BALL)) if way == "moved" else scene, camera).edited()

    def changed(clean: bool) -> torch.Tensor:
        on = edited.with_options(clean=clean)
        guests = tuple(guest._replace(scene=guest.scene.with_options(clean=clean)) for guest in on.guests)
        return Frame.seen_by(replace(on, guests=guests), camera).edited()

    hazy, clean = changed(False), changed(True)
    beside = (miss > 1.2 * RADIUS) & (miss < 2 * RADIUS)
    assert (hazy - without)[beside].abs().mean() > 0.05
    assert (clean - without)[beside].abs().mean() < 0.005
    assert torch.equal(hazy[miss > 2.3 * RADIUS], clean[miss > 2.3 * RADIUS]), "all else stays as it was, bit for bit"
    assert_close(clean[miss < 0.8 * RADIUS], torch.tensor(RED).expand(int((miss < 0.8 * RADIUS).sum()), 3), 0.02)


def test_haze_and_crumbs_are_gone(hazy_scene: ArrangedScene) -> None:
    """Pixels of alpha 0.03 to 0.5 were a quarter to a half of the solid area."""

    def haze(picture: np.ndarray) -> float:
        alpha = picture[..., 3]
        return ((alpha > 0.03) & (alpha < 0.5)).sum() / (alpha >= 0.5).sum()

    before, after = ball_pictures(hazy_scene, 2, Look(clean=False), Look(clean=True))
    assert min(map(haze, before)) > 0.3 and max(map(haze, after)) < 0.1
    aim = square(look_at(CRUMB[None] + torch.tensor([[1.0, 0.3, 0.2]]), CRUMB), SIZE, 0.5)
    with_crumb, without = (Subject(hazy_scene, BALL, Look(clean=clean)).picture(aim)[..., 3] for clean in (False, True))
    assert with_crumb[22:26, 22:26].min() > 0.9 and without[18:30, 18:30].max() == 0


def test_an_alpha_between_is_put_on_a_curve() -> None:
    middle = (HAZE + BODY) / 2
    assert crisp(torch.tensor([0.0, HAZE, middle, BODY, 1.0])).tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_colours_are_straight(plain_scene: ArrangedScene) -> None:
    """On black a half transparent pixel of red 0.9 is 0.45; multiplied twice it was 0.2 on white's border."""
    half = straight(torch.tensor([[0.45, 0.1, 0.05]]), torch.tensor([[0.5]]), clean=False)
    assert_close(half, torch.tensor([[0.9, 0.2, 0.1, 0.5]]))
    for picture in ball_pictures(plain_scene, 2, Look())[0]:
        seen = picture[..., 3] > 0.02
        assert seen.any() and np.abs(picture[seen][:, :3] - RED).max() < 0.02
        near = picture[..., 3] == 0
        red = np.abs(picture[near][:, :3] - RED).max(-1) < 0.02
        assert red.sum() > 100, "around it too, so that players who blend neighbours get no dark border"


def test_pictures_over_each_other_by_hand() -> None:
    front, back = (np.array([[[*rgb, alpha]]], np.float32) for rgb, alpha in (((1, 0, 0), 0.5), ((0, 0, 1), 0.5)))
    assert over(front, back)[0, 0] == pytest.approx([2 / 3, 0, 1 / 3, 0.75])
    assert on_color(front, (0.0, 1.0, 0.0))[0, 0] == pytest.approx([0.5, 0.5, 0])
    wide = np.zeros((1, 3 * MARGIN, 4), np.float32)
    wide[0, 0] = 1
    assert bled(wide)[0, :, 0].sum() == MARGIN + 1 and bled(wide)[0, :, 3].sum() == 1


def test_what_is_behind_opaque_samples_is_not_asked_about(
    plain_scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture stays the same to half a step of 8 bits; before, a ray asked about all samples inside the ball."""
    scene = plain_scene
    camera = orbit(scene, scene.objects[0], photographs(), 1, SIZE).cameras[0:1]
    rays, body = camera.generate_rays(0).flatten(), Body(scene.bodies.occupancy(BALL))
    asked = []

    def count(positions: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked[-1] += len(positions)
        return HandMade.shade(scene.trained.radiance, positions, directions)

    monkeypatch.setattr(scene.trained.radiance, "shade", count)
    pictures = []
    for looked_at in (None, body):
        asked.append(0)
        pictures.append(render_object(scene, rays, BALL, looked_at))
    for name in ("rgb", "accumulation"):
        assert float((pictures[0][name] - pictures[1][name]).abs().max()) < SEEN
    assert asked[1] < 0.7 * asked[0]


# ---------------------------------------------------------------- the ground


def test_the_sky_is_hidden_below_a_plate_and_free_far_from_it() -> None:
    spans = torch.stack([torch.full((41, 41), math.inf), torch.full((41, 41), -math.inf)], -1)
    spans[10:31, 10:31] = torch.tensor([0.5, 1.0])
    hidden = hidden_sky(spans)
    assert float(hidden[20, 20]) > 0.95 and float(hidden[0, 0]) < 0.05
    assert (hidden[20, 20:].diff() <= 1e-6).all(), "less and less away from it"
    spans[10:31, 10:31] = spans[0, 0]
    assert float(hidden_sky(spans).max()) == 0


def test_a_tall_column_hides_half_the_sky_beside_a_long_wall() -> None:
    """Beside an endless high wall half of the sky is left."""
    spans = torch.stack([torch.full((61, 61), math.inf), torch.full((61, 61), -math.inf)], -1)
    spans[:30] = torch.tensor([0.0, 500.0])
    assert float(hidden_sky(spans)[32, 30]) == pytest.approx(0.5, abs=0.08)


def test_the_shadow_lies_below_the_object_and_is_seen_from_above_only(plain_scene: ArrangedScene) -> None:
    solid = plain_scene.bodies.solid(BALL)
    ground = Ground.below(solid, HERE)
    assert ground.height == pytest.approx(float(CENTRE[2]) - RADIUS, abs=0.05)
    below, beside = CENTRE * torch.tensor([1.0, 1.0, 0.0]), torch.tensor([3.0, 3.0, 0.0])
    origins = torch.stack([below + torch.tensor([0, 0, 2.0]), beside + torch.tensor([0, 0, 2.0]), below - 1])
    down, up = torch.tensor([0.0, 0.0, -1.0]), torch.tensor([0.0, 0.0, 1.0])
    rays = RayBundle(origins=origins, directions=torch.stack([down, down, up]), pixel_area=torch.ones(3, 1))
    dark, far, from_below = ground.alpha(rays).tolist()
    assert DARKEST >= dark > 0.5 and far == 0 and from_below == 0
    (plain,), (shaded,) = ball_pictures(plain_scene, 1, Look(shadow=False), Look(shadow=True))
    added = shaded[..., 3] - plain[..., 3]
    assert max(shaded[-1, :, 3].max(), shaded[:, [0, -1], 3].max()) == 0, "no shadow is cut by the picture's border"
    assert added.min() >= 0 and added[SIZE // 2 :].sum() > 20 * max(added[: SIZE // 3].sum(), 0.1)


# ---------------------------------------------------------------- several devices


def test_processes_draw_the_same_frames_in_the_same_order() -> None:
    cameras = photographs(count=5)
    wanted = [Wanted(BALL, Look(clean=False), in_size(cameras[n : n + 1], 16)) for n in range(5)]
    paint = painter()
    frames = list(in_processes(painter, iter(wanted), 2))
    assert len(frames) == 5 and all(np.array_equal(frame, paint(each)) for frame, each in zip(frames, wanted))
    assert not np.array_equal(frames[0], frames[1])


def test_a_hull_of_few_points_or_flat_ones_is_the_points() -> None:
    flat = torch.cartesian_prod(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5]))
    assert torch.equal(hull(flat), flat) and torch.equal(hull(flat[:1]), flat[:1])
    cube = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1.0])] * 3)
    assert {tuple(corner) for corner in hull(cube).tolist()} == {tuple(c) for c in cube.tolist() if 0.5 not in c}

"""What no photograph saw is completed: a ball lies on a slab, and below it the radiance field has junk."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from helpers import alike
from made_scene import MadeRadiance, enclosed
from nerfstudio.cameras.rays import RayBundle
from scene import camera_pose
from torch import Tensor

from disconerf_ns.export.exporter import ExportOptions, made_mesh, mesh_facts
from disconerf_ns.export.splats_sampled import look_at_all, look_behind
from disconerf_ns.filming.frames import alone
from disconerf_ns.rendering.alone import render_object
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.left import OwnedSamples, _beside_gone, _lost, _owned
from disconerf_ns.rendering.preview import Preview
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import Bodies
from disconerf_ns.scene.closed_surface import ClosedSurface
from disconerf_ns.scene.completed_colors import ALIKE, Palette
from disconerf_ns.scene.completion import Completion
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.needs_open3d import can_complete
from disconerf_ns.scene.objects import Box, DiscoveredObject, ObjectId
from disconerf_ns.scene.occupancy import intersect_box
from disconerf_ns.scene.recolor import Channels
from disconerf_ns.scene.revealed import Beside, Revealed
from disconerf_ns.scene.seen_rays import SeenRays
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.scene.spread_colors import harmonic, pull_push
from disconerf_ns.scene.trained import TrainedScene
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.scene.voxels import INTO, LAYERS, Voxels
from disconerf_ns.surface.intervals import Intervals

RADIUS, BALL = 0.2, torch.tensor([0.0, 0.0, 0.15])
PATCH = torch.tensor([0.0, -0.2, 0.15])
STAIN = 0.03
"""Width of the ring around the ball in which the slab has the ball's colour."""
SLAB, BALL_ID, POST = ObjectId(0), ObjectId(1), ObjectId(2)
BROWN, RED, BLUE, JUNK = (torch.tensor(c) for c in ((0.6, 0.4, 0.2), (0.9, 0.1, 0.1), (0.1, 0.2, 0.9), (0.0, 1.0, 0.0)))


def in_ball(x: Tensor) -> Tensor:
    return (x - BALL).norm(dim=-1) < RADIUS


def in_slab(x: Tensor) -> Tensor:
    return (x[..., :2].abs().amax(-1) < 0.5) & (x[..., 2].abs() < 0.1)


def in_post(x: Tensor) -> Tensor:
    return ((x[..., :2] - torch.tensor([0.35, 0.35])).abs().amax(-1) < 0.06) & (x[..., 2] > 0.05) & (x[..., 2] < 0.35)


def stained(positions: Tensor) -> Tensor:
    """Where the ball's colour is on the slab's top, with a little room."""
    apart = (positions - BALL).norm(dim=-1)
    return (apart > RADIUS + 0.005) & (apart < RADIUS + STAIN - 0.005)


@dataclass
class Standing(MadeRadiance):
    """A slab, a ball that is sunk into it and a post; in the slab below them the field has a pit with green junk."""

    def density(self, positions: Tensor) -> Tensor:
        below = (positions[..., :2].norm(dim=-1) < 0.17) & in_slab(positions) & ~in_ball(positions)
        junk = below & ((positions * 20).floor().sum(-1) % 2 == 0)
        shell = in_ball(positions) & ((positions - BALL).norm(dim=-1) > RADIUS - 0.05)
        return 200.0 * (shell | (in_slab(positions) & ~below) | in_post(positions) | junk).float()

    def shade(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        below = (positions[..., :2].norm(dim=-1) < 0.17) & (positions[..., 2] < 0.1) & ~in_ball(positions)
        color = torch.where(in_ball(positions)[..., None], RED, torch.where(below[..., None], JUNK, BROWN))
        stained = (positions - BALL).norm(dim=-1) < RADIUS + STAIN
        color = torch.where((stained & in_slab(positions) & ~below & ~in_ball(positions))[..., None], RED, color)
        return self.density(positions), torch.where(in_post(positions)[..., None], BLUE, color)

    def sample(self, rays, factor=None) -> Intervals:
        return Intervals(rays.origins, rays.directions, torch.linspace(0.5, 3.5, 257).expand(len(rays), -1))


def cameras(views: int, size: int, height: float = 0.35):
    """Cameras that look down at the slab from all around."""
    from nerfstudio.cameras.cameras import Cameras

    poses = [camera_pose(2 * np.pi * view / views, height + 0.3 * (view % 3), 2.0) for view in range(views)]
    matrices = torch.tensor(np.stack(poses)[:, :3], dtype=torch.float32)
    return Cameras(matrices, fx=1.4 * size, fy=1.4 * size, cx=size / 2, cy=size / 2, width=size, height=size)


def rays_of(size: int = 32) -> Iterator[RayBundle]:
    views = cameras(12, size)
    for view in range(len(views)):
        yield views.generate_rays(view, keep_shape=True).flatten()


@pytest.fixture(scope="module")
def scene() -> ArrangedScene:
    contraction = Contraction(torch.tensor([[-1.0] * 3, [1.0] * 3]), None)

    def field(contracted: Tensor) -> Tensor:
        positions = contraction.inverse(contracted)
        ball = in_ball(positions) & (positions[..., 2] > 0.05)
        return torch.stack([~ball & ~in_post(positions), ball, in_post(positions)], -1).float().clamp(0.01, 0.98)

    objects = (
        DiscoveredObject(0, 0.5, 0.9, 8, **alike(((-0.55, -0.55, -0.15), (0.55, 0.55, 0.15)))),
        DiscoveredObject(1, 0.3, 0.9, 8, **alike(((-0.25, -0.25, -0.1), (0.25, 0.25, 0.4)))),
        DiscoveredObject(2, 0.1, 0.9, 8, **alike(((0.27, 0.27, 0.05), (0.45, 0.45, 0.4)))),
    )
    trained = TrainedScene(Standing(contraction), field, ObjectTree.flat(3), objects, training_rays=rays_of)
    return ArrangedScene(trained)


@pytest.fixture(scope="module")
def slab(scene: ArrangedScene) -> Completion:
    completion = scene.bodies.completion(SLAB)
    assert completion is not None
    return completion


def grid(low: tuple[float, float, float], high: tuple[float, float, float], count: int = 8) -> Tensor:
    return torch.cartesian_prod(*(torch.linspace(a, b, count) for a, b in zip(low, high)))


def test_what_a_ball_hides_of_a_slab_is_the_slab(slab: Completion) -> None:
    """Where the ball touches it, the slab is solid, with its own colour; above, it is not."""
    there = slab.at(grid((-0.07, -0.07, 0.0), (0.07, 0.07, 0.07)))
    assert (there.values.hidden > 0.99).float().mean() > 0.95
    assert (there.density * slab.side > 1).float().mean() > 0.9
    assert (there.values.rgb[there.density > 0] - BROWN).abs().max() < 0.1
    above = slab.at(grid((-0.07, -0.07, 0.13), (0.07, 0.07, 0.1499)))
    assert (above.values.hidden > 0.99).all(), "up to the border of the box"
    assert (above.density == 0).all()


def test_what_photographs_saw_stays_as_it_is(slab: Completion) -> None:
    top = grid((-0.45, -0.45, 0.1), (-0.25, 0.2, 0.14))
    there = slab.at(top)
    assert (there.values.hidden == 0).all() and (there.density[top[:, 2] > 0.12] == 0).all()
    outside = slab.at(torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.9]]))
    assert (outside.values.hidden == 0).all() and (outside.density == 0).all()


def sight(count: int = 400) -> SeenRays:
    """Rays from above that end in and around a cube of eight voxels, many on one layer, some below it."""
    generator = torch.Generator().manual_seed(0)
    origins = torch.randn(count, 3, generator=generator) * 0.2 + torch.tensor([0.0, 0.0, 2.0])
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator) * 0.2 - origins, dim=-1)
    distances = -origins[:, 2] / directions[:, 2] + 0.4 * (torch.rand(count, generator=generator) < 0.3)
    return SeenRays(origins, directions, distances, distances + 0.05)


def test_seen_voxels_are_those_of_a_walk_along_each_ray() -> None:
    rays, low, side = sight(), torch.tensor([-0.4, -0.4, -0.4]), 0.1
    voxels = Voxels(low, side, (8, 8, 8))

    def walk(ray: int, until: float) -> Iterator[tuple[int, ...]]:
        box = torch.stack([low, low + 8 * side])
        enter, leave = (float(each) for each in intersect_box(rays.origins[[ray]], rays.directions[[ray]], box))
        for step in range(int((leave - enter) / side) + 1 if leave > enter else 0):
            distance = enter + (step + 0.5) * side
            if distance < min(leave, until):
                cell = ((rays.origins[ray] + distance * rays.directions[ray] - low) / side).floor().long()
                yield tuple(cell.clamp(0, 7).tolist())

    ended, passed = torch.zeros(2, 8, 8, 8)
    for ray, end in enumerate(((rays.points - low) / side).floor().long()):
        if ((end >= 0) & (end < 8)).all():
            ended[tuple(end)] += 1
        for cell in walk(ray, float(rays.distances[ray]) - side):
            passed[cell] += 1
    stopping, seen = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    around = [slice(max(n - LAYERS // 2, 0), n + LAYERS // 2 + 1) for n in range(8)]
    for x, y, z in itertools.product(range(8), repeat=3):
        cube = around[x], around[y], around[z]
        stopping[x, y, z] = LAYERS * ended[cube].sum() > passed[cube].sum()
    for ray in range(len(rays)):
        into = 0
        for cell in walk(ray, float(rays.ends[ray]) + side):
            into += into > 0 or bool(stopping[cell])
            if into <= INTO:
                seen[cell] = True
    assert (voxels.stopping(rays) != stopping).sum() <= 2 and 0 < int(stopping.sum()) < 8**3
    assert (voxels.seen(rays) != seen).sum() <= 2 and 0 < int(seen.sum()) < 8**3


def ball_points(count: int = 2000, above: float = -0.1) -> SeenRays:
    """Rays that end on the part of a unit ball above a height."""
    points = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    points = points[points[:, 2] > above]
    return SeenRays(2 * points, -points, torch.ones(len(points)), torch.ones(len(points)))


def test_inside_of_a_cap_lies_between_its_points_and_the_plane_under_them() -> None:
    positions = grid((-1.1, -1.1, -1.1), (1.1, 1.1, 1.1), 23)
    surface = ClosedSurface.through(ball_points(), torch.tensor([[-1.0] * 3, [1.0] * 3]))
    assert surface is not None
    inside, radius = surface.holds(positions), positions.norm(dim=-1)
    sure = (radius < 0.9) & (positions[:, 2] > 0.0)
    assert inside[sure].float().mean() > 0.98
    assert not inside[(radius > 1.1) | (positions[:, 2] < -0.25)].any()


def test_what_is_inside_of_another_object_and_not_of_its_own_is_lost() -> None:
    """Two unit balls overlap; only in the other one, away from its own surface, a place is not the object's."""
    box, shift = torch.tensor([[-1.1] * 3, [1.1] * 3]), torch.tensor([1.6, 0.0, 0.0])
    own, other = ball_points(above=-1.1), ball_points(above=-1.1)
    other = replace(other, origins=other.origins + shift)
    enclosures = [enclosed(own, box, own, other), enclosed(other, box + shift, other, own)]
    gray = lambda points, along: torch.full_like(points, 0.5)
    found = Completion.of(enclosures[0], enclosures[1:], gray)
    positions = grid((-1.1, -0.4, -0.4), (1.3, 0.4, 0.4), 25)
    lost, radius = found.at(positions).values.lost, positions.norm(dim=-1)
    in_other = (positions - shift).norm(dim=-1) < 0.9
    assert (lost[in_other & (radius > 1 + 3 * found.side) & (radius < 1 + 4 * found.side)] > 0.9).all()
    assert (lost[radius < 0.95] == 0).all() and (lost[(positions - shift).norm(dim=-1) > 1.1] == 0).all()


def test_where_two_objects_go_on_the_nearer_one_is() -> None:
    """A table's mesh went up through a book on it, and the book's down through the table: both closed surfaces go on
    into what nobody saw. Here they are those of two overlapping balls."""
    box, shift = torch.tensor([[-1.1] * 3, [1.1] * 3]), torch.tensor([1.2, 0.3, 0.0])
    own = ball_points(above=-1.1)
    other = replace(own, origins=own.origins + shift)
    both = [enclosed(own, box, own, other), enclosed(other, box + shift, other, own)]
    gray = lambda points, along: torch.full_like(points, 0.5)
    positions = grid((-0.6, -0.6, -0.6), (1.8, 0.9, 0.6), 31)
    contested = both[0].voxels.within(both[0].filled, positions) & both[1].voxels.within(both[1].filled, positions)
    assert int(contested.sum()) > 500
    away = [torch.cdist(positions[contested], each.points).amin(-1) for each in (own, other)]
    sure = (away[0] - away[1]).abs() > 2 * both[0].voxels.side
    first = Completion.of(both[0], both[1:], gray).at(positions).values.filled
    second = Completion.of(both[1], both[:1], gray).at(positions).values.filled
    for found, nearer in ((first, away[0] < away[1]), (second, away[1] < away[0])):
        right = (found[contested] > 0.5) == nearer
        assert right[sure].float().mean() > 0.99, "but for voxels at the very end of what is completed"
    alone = both[0].voxels.within(both[0].filled, positions) & ~both[1].holds(positions)
    assert (first[alone] > 0.5).float().mean() > 0.95


@pytest.mark.parametrize("stray", [0, 120])
def test_few_rays_that_end_far_below_a_thing_do_not_enclose_what_is_there(stray: int) -> None:
    """After a short radiance stage a book reached down through the table that it lay on."""
    own = ball_points(4000, above=0.0)
    deep = 0.8 * torch.rand(stray, generator=torch.Generator().manual_seed(3))
    low = torch.cat([0.3 * torch.randn(stray, 2, generator=torch.Generator().manual_seed(4)), -deep[:, None]], -1)
    points = torch.cat([own.points, low])
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(points)
    one = torch.ones(len(points))
    surface = ClosedSurface.through(SeenRays(points + up, -up, one, one), torch.tensor([[-1.1] * 3, [1.1] * 3]))
    assert surface is not None
    below = grid((-0.3, -0.3, -0.8), (0.3, 0.3, -0.2), 9)
    assert not surface.holds(below).any()
    assert (surface.distances(below) > 0.15).all()


def test_known_colours_stay_and_others_lie_between_those_around_them() -> None:
    """Towards a border of what is known, colours come near to the known ones, so no border is seen."""
    shape = (33, 20, 5)
    known = torch.ones(shape, dtype=torch.bool)
    known[4:29, 4:16] = False
    ramp = torch.linspace(0.2, 0.8, shape[0])[None, :, None, None].expand(3, *shape)
    found = pull_push(known, torch.where(known, ramp, 7.0))
    assert torch.equal(found[:, known], ramp[:, known])
    assert ((found >= 0.2) & (found <= 0.8)).all()
    assert (found[:, 4, 10, 2] - ramp[:, 3, 10, 2]).abs().max() < 0.05
    assert (found[:, 28, 10, 2] - ramp[:, 29, 10, 2]).abs().max() < 0.05
    one = torch.zeros(7, 3, 1, dtype=torch.bool)
    one[2, 1, 0] = True
    only = pull_push(one, torch.rand(3, *one.shape, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(only, only[:, one].view(3, 1, 1, 1).expand_as(only))


def test_unknown_colours_are_the_mean_of_their_neighbours_along_the_surface() -> None:
    """A sheet of unknown voxels between two known borders, and a white floor close below, which is not connected."""
    generator = torch.Generator().manual_seed(5)
    unknown, known = torch.zeros(2, 12, 9, 5, dtype=torch.bool)
    unknown[1:11, 1:8, 3] = True
    known[:, :, 3] = known[:, :, 0] = True
    guess = torch.rand(3, *known.shape, generator=generator)
    guess[..., 0] = 1
    found = harmonic(unknown, known, guess)
    assert torch.equal(found[:, ~unknown], guess[:, ~unknown])
    sheet = found[..., 3]
    beside = (sheet[:, :-2, 1:-1] + sheet[:, 2:, 1:-1] + sheet[:, 1:-1, :-2] + sheet[:, 1:-1, 2:]) / 4
    torch.testing.assert_close(sheet[:, 1:-1, 1:-1], beside, atol=2e-3, rtol=0)
    alone = torch.zeros_like(unknown)
    alone[5, 5, 1] = True
    torch.testing.assert_close(harmonic(alone, torch.zeros_like(known), guess), guess)
    assert torch.equal(harmonic(torch.zeros_like(unknown), known, guess), guess)


def test_voxels_have_the_mean_of_what_their_points_have() -> None:
    generator = torch.Generator().manual_seed(4)
    voxels, points = Voxels(torch.tensor([-0.1, 0.0, 0.2]), 0.25, (3, 4, 2)), torch.rand(60, 3, generator=generator)
    values = torch.rand(60, 2, generator=generator)
    held, means = voxels.means(points, values)
    assert torch.equal(held, voxels.holding(points)) and not held.all()
    for x, y, z in itertools.product(*map(range, voxels.shape)):
        one = torch.zeros(voxels.shape, dtype=torch.bool)
        one[x, y, z] = True
        there = values[voxels.within(one, points)]
        mean = there.mean(0) if len(there) else torch.zeros(2)
        torch.testing.assert_close(means[:, x, y, z], mean)


def test_a_colour_is_strange_unless_the_object_has_it_more_than_here_and_there() -> None:
    generator = torch.Generator().manual_seed(2)
    own = torch.cat([BROWN.repeat(900, 1), BLUE.repeat(90, 1), JUNK.repeat(10, 1)])
    own = (own + 0.01 * torch.randn(own.shape, generator=generator))[torch.randperm(1000, generator=generator)]
    palette = Palette.of(own.clamp(0, 1))
    known, strange = palette.strangeness(torch.stack([BROWN, BLUE, JUNK, RED, 0.4 * BROWN])).split([2, 3])
    assert known.tolist() == [0, 0] and (strange > 0.99).all()
    asked = torch.rand(200, 3, generator=generator)
    fiftieth = (asked[:, None] - own.clamp(0, 1)).norm(dim=-1).kthvalue(20).values
    torch.testing.assert_close(palette.strangeness(asked), (fiftieth / ALIKE - 1).clamp(0, 1), atol=0.15, rtol=0)


@pytest.mark.parametrize("flat", [0.0, 1.0])
def test_points_in_a_plane_and_a_few_points_complete_nothing(flat: float) -> None:
    own, squeezed = ball_points(400 if flat else 40), torch.tensor([1.0, 1.0, 1 - flat])
    own = replace(own, origins=own.origins * squeezed, directions=own.directions * squeezed)
    box = torch.tensor([[-1.5] * 3, [1.5] * 3])
    assert ClosedSurface.through(own, box) is None


def seen_from_above(scene: ArrangedScene, keep: bool = False, size: int = 32) -> Frame:
    rays = cameras(1, size, height=0.6).generate_rays(0, keep_shape=True)
    return Frame(scene, rays.flatten(), (size, size), keep)


def pit(scene: ArrangedScene, picture: Callable[[Frame], Tensor]) -> Tensor:
    """The pixels, (n, c), at which the slab's top below the ball is seen once the ball is gone."""
    frame = seen_from_above(scene)
    rays = frame.rays
    there = rays.origins + rays.directions * ((0.1 - rays.origins[:, 2:]) / rays.directions[:, 2:])
    return picture(frame)[there[:, :2].norm(dim=-1) < 0.1]


def surrounded(scene: ArrangedScene) -> ArrangedScene:
    """The same scene, whose slab is so wide that it counts as what surrounds it."""
    wide = replace(scene.trained.discovered[0], **alike(((-9.0, -9.0, -0.15), (9.0, 9.0, 0.15))))
    return scene.with_trained(replace(scene.trained, discovered=(wide, *scene.trained.discovered[1:])))


@pytest.mark.parametrize("wide", [False, True])
def test_a_ball_that_is_removed_leaves_the_slab_and_no_junk(scene: ArrangedScene, wide: bool) -> None:
    """What surrounds the scene was never completed, so a sofa left a pit in the floor; now it is, around the sofa."""
    without = (surrounded(scene) if wide else scene).with_edit(Edit().hide(BALL_ID))
    assert (without.bodies.completion(SLAB) is None) == wide
    assert (pit(without, Frame.edited) - BROWN).abs().max() < 0.1
    assert (pit(without, Frame.edited_ids) == SLAB).all()
    assert (pit(without, Frame.unseen) > 0.9).all(), "what is completed is still marked as unseen"
    raw = without.with_options(complete=False)
    assert (pit(raw, Frame.edited) - BROWN).abs().amax(-1).median() > 0.2


@pytest.mark.parametrize("extraction", ["hard", "soft"])
@pytest.mark.parametrize("keep", [False, True])
def test_what_is_left_around_a_ball_that_is_gone_has_no_colour_of_it(
    scene: ArrangedScene, extraction: str, keep: bool
) -> None:
    """The radiance field paints a red ring around the ball, also where the ball hides nothing of it."""

    def ring(shown: ArrangedScene) -> Tensor:
        frame = seen_from_above(shown.with_options(extraction=extraction), keep, size=64)
        rays = frame.rays
        there = rays.origins + rays.directions * ((0.1 - rays.origins[:, 2:]) / rays.directions[:, 2:])
        nearer = (there - rays.origins[:1])[:, :2].norm(dim=-1) < rays.origins[0, :2].norm()
        chosen = stained(there) & nearer
        assert chosen.sum() > 10
        return frame.edited()[chosen]

    hidden = Edit().hide(BALL_ID)
    for untouched in (scene, scene.with_options(complete=False).with_edit(hidden)):
        assert ((ring(untouched) - RED).abs().amax(-1) < 0.1).float().mean() > 0.7
    assert ((ring(scene.with_edit(hidden)) - BROWN).abs().amax(-1) < 0.1).float().mean() > 0.9
    blue = hidden.recolor(SLAB, Channels("bgr"))
    assert ((ring(scene.with_edit(blue)) - BROWN.flip(0)).abs().amax(-1) < 0.1).float().mean() > 0.9


def test_colours_are_replaced_only_around_what_is_gone(scene: ArrangedScene) -> None:
    revealed = scene.with_edit(Edit().hide(BALL_ID)).revealed
    points = grid((-0.5, -0.5, 0.07), (0.5, 0.5, 0.1), 40)
    points = points[~in_ball(points)]
    owners, black = torch.full((len(points),), SLAB), torch.zeros(len(points), 3)
    changed = (revealed.recolored(points, black, owners) > 0).any(-1)
    apart = (points - BALL).norm(dim=-1) - RADIUS
    assert changed[apart < STAIN].float().mean() > 0.9 and not changed[apart > 0.2].any()
    assert torch.equal(revealed.recolored(points, black, torch.full_like(owners, POST)), black), "others keep theirs"


@pytest.mark.parametrize("extraction", ["hard", "soft"])
def test_completions_take_the_colours_of_the_edit(scene: ArrangedScene, extraction: str) -> None:
    blue = Edit().hide(BALL_ID).recolor(SLAB, Channels("bgr"))
    shown = pit(scene.with_options(extraction=extraction).with_edit(blue), Frame.edited)
    assert (shown - BROWN.flip(0)).abs().max() < 0.1


def test_the_way_to_an_edit_makes_no_difference(scene: ArrangedScene) -> None:
    frame = seen_from_above(scene, keep=True)
    one = scene.with_edit(Edit().hide(BALL_ID))
    both = one.with_edit(one.edit.hide(POST))
    first = frame.under(one)
    first.edited()
    torch.testing.assert_close(first.under(both).edited(), frame.under(both).edited())
    apart = (frame.under(both).edited() - seen_from_above(both).edited()).abs().amax(-1)
    assert (apart > 2 / 255).float().mean() < 0.01


def test_samples_of_an_edit_are_the_start_of_the_next_one(scene: ArrangedScene) -> None:
    frame = seen_from_above(scene, keep=True)
    one = scene.with_edit(Edit().hide(BALL_ID).hide(POST))
    again = one.with_edit(one.edit.recolor(SLAB, Channels("bgr")))
    first = frame.under(one)
    first.edited()
    asked = []
    kept, again_kept = first.under(again), frame.under(again)
    kept.resample = lambda rays: asked.append(rays)  # type: ignore[assignment]
    torch.testing.assert_close(kept.edited(), again_kept.edited())
    assert not asked


def test_what_others_own_is_emptied_inside_of_what_is_gone_alone(scene: ArrangedScene) -> None:
    """Inside of a mug the object field is arbitrary. Where it named the background, crumbs of the mug stayed."""
    points = grid((-0.45, -0.45, -0.05), (0.45, 0.45, 0.35), 16)
    density, rgb = torch.ones(len(points)), torch.zeros(len(points), 3)
    ball = scene.bodies.completion(BALL_ID)
    assert ball is not None
    filled = ball.at(points).values.filled
    assert (filled == 0).float().mean() > 0.5 and (filled == 1).any()
    revealed = Revealed((), (), ((BALL_ID, ball),), ball.box[None])
    left, _, _ = revealed(points, density, rgb, torch.full((len(points),), SLAB))
    torch.testing.assert_close(left, density * (1 - filled))


@pytest.mark.parametrize("apart", [True, False])
def test_what_surrounds_the_scene_is_completed_around_each_thing_that_is_gone(
    scene: ArrangedScene, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disconerf_ns.scene.revealed.APART", 2 if apart else 1)
    gone = surrounded(scene).with_edit(Edit().hide(BALL_ID).hide(POST))
    assert gone.revealed.left == () and [id for id, _ in gone.revealed.patches] == [SLAB, SLAB][: 1 + apart]
    points = grid((-1.0, -1.0, -0.1), (1.0, 1.0, 0.1), 24)
    density, rgb, ids = torch.ones(len(points)), torch.zeros(len(points), 3), torch.full((len(points),), SLAB)
    around = [patch.box for _, patch in gone.revealed.patches]
    near = torch.stack([((points >= low) & (points <= high)).all(-1) for low, high in around]).any(0)
    everywhere = torch.ones_like(near)
    after, _, _ = gone.revealed(points, density, rgb, ids, everywhere)
    assert (after[near] != 1).any() and torch.equal(after[~near], density[~near])
    beside = ((points[:, None] >= gone.revealed.boxes[:, 0]) & (points[:, None] <= gone.revealed.boxes[:, 1])).all(-1)
    after, _, _ = gone.revealed(points, density, rgb, ids, ~everywhere)
    assert (after == 1)[~beside.any(-1)].all(), "nothing changes in front of what is gone"
    lone = surrounded(scene).with_options(complete=False).with_edit(gone.edit)
    assert lone.revealed.patches == ()


def test_far_from_what_is_gone_everything_stays_as_it_is(scene: ArrangedScene) -> None:
    """Without a block, the bowl beside it lost bits of its far side, where no photograph had looked either."""
    shown, gone = scene.with_edit(Edit().hide(POST)).revealed, scene.bodies.completion(POST)
    ((id, slab_left),) = shown.left
    assert gone is not None and id == SLAB
    points = grid((-0.5, -0.5, -0.1), (0.5, 0.5, 0.1), 24)
    density, rgb, ids = torch.ones(len(points)), torch.zeros(len(points), 3), torch.full((len(points),), SLAB)
    slab = slab_left.at(points)
    changes = (slab.values.hidden > 0) | (slab.values.filled > 0)
    near = ((points >= gone.box[0]) & (points <= gone.box[1])).all(-1)
    assert (changes & ~near).any(), "below the ball the slab is completed where the ball is gone"
    after = shown(points, density, rgb, ids)
    assert torch.equal(after[0][~near], density[~near]) and torch.equal(after[1][~near], rgb[~near])
    assert not shown.hidden(points[~near]).any() and (after[0][near] != 1).any()


def test_rays_that_end_deep_inside_of_what_is_gone_are_sampled_again_whoever_owns_that(scene: ArrangedScene) -> None:
    """The object field is arbitrary inside of a teapot. Where it named the background, crumbs of the teapot stayed."""
    hidden = scene.with_edit(Edit().hide(BALL_ID))
    rays = RayBundle(torch.tensor([[0.0, -2.0, 0.15]]), torch.tensor([[0.0, 1.0, 0.0]]), torch.ones(1, 1))
    ends = lambda last: Intervals(rays.origins, rays.directions, torch.linspace(1.0, last, 9)[None])
    for last, again in ((1.0 + 1.0, True), (1.0 + 0.5, False)):
        owned = _owned(hidden, ends(last))
        slabs = owned._replace(ids=torch.full_like(owned.ids, SLAB))
        assert bool(_lost(hidden, weighing(0.0, slabs))) is again, "the slab goes on behind the ball"


def test_nothing_is_completed_beyond_a_crop_box(scene: ArrangedScene) -> None:
    frame = seen_from_above(scene.with_edit(Edit().hide(BALL_ID)))
    frame.rays.nears, frame.rays.fars = (torch.full((len(frame.rays), 1), d) for d in (0.5, 1.0))
    owned = weighing(1.0, _owned(frame.scene, frame.scene.trained.radiance.sample(frame.rays)))
    assert not _beside_gone(frame.scene, owned, frame.rays.fars).any()


def weighing(weight: float, owned: OwnedSamples) -> OwnedSamples:
    samples = owned.samples
    return owned._replace(samples=samples._replace(weights=torch.full_like(samples.weights, weight)))


def test_rays_that_pass_closely_by_what_is_left_are_sampled_again_if_they_let_light_through(
    scene: ArrangedScene,
) -> None:
    """All of their samples may lie in the ball, which is gone; without light to lose, only completed places count."""
    frame = seen_from_above(scene.with_edit(Edit().hide(BALL_ID)))
    owned = _owned(frame.scene, frame.scene.trained.radiance.sample(frame.rays))
    far, balls = torch.full((len(frame.rays), 1), 10.0), torch.full_like(owned.ids, BALL_ID)
    looked = lambda weight, ids: _beside_gone(frame.scene, weighing(weight, owned._replace(ids=ids)), far)
    opaque, clear = looked(1.0, balls), looked(0.0, balls)
    assert looked(0.0, torch.full_like(owned.ids, SLAB)).all(), "the slab would stand for what is behind it"
    assert torch.equal(looked(0.0, torch.full_like(owned.ids, POST)), opaque), "no sample was spent on the ball"
    filled, around = torch.zeros_like(opaque), torch.zeros_like(opaque)
    for number, (origin, direction) in enumerate(zip(frame.rays.origins, frame.rays.directions)):
        points = origin + direction * torch.linspace(0, 10, 4000)[:, None]
        low, high = frame.scene.bodies.completion(BALL_ID).box  # type: ignore[union-attr]
        points = points[((points > low) & (points < high)).all(-1)]
        there = [left.at(points).values for _, left in frame.scene.revealed.left]
        filled[number] = any((each.filled > 0).any() for each in there)
        around[number] = any((each.around > 0).any() for each in there)
    assert (opaque != filled).float().mean() < 0.01 and (clear != around).float().mean() < 0.01
    assert 0 < filled.sum() < around.sum() < len(around)


@dataclass
class Crumbed(Standing):
    """The same, with a crumb above the slab."""

    def density(self, positions: Tensor) -> Tensor:
        return super().density(positions) + 200.0 * ((positions - CRUMB).abs().amax(-1) < 0.02)


CRUMB = torch.tensor([-0.3, 0.0, 0.14])


@pytest.mark.parametrize(("kept", "opacity"), [(False, 0.0), (True, 1.0)])
def test_crumbs_of_what_is_left_go_with_what_is_gone_if_nothing_surrounds_it(
    scene: ArrangedScene, kept: bool, opacity: float
) -> None:
    """The crumb is the ball's. It floats where the slab was. It stays if crumbs are asked for, or the slab is there."""

    def field(contracted: Tensor) -> Tensor:
        crumb = (scene.trained.contraction.inverse(contracted) - CRUMB).abs().amax(-1, keepdim=True) < 0.03
        return torch.where(crumb, torch.tensor([0.01, 0.98, 0.01]), scene.trained.object_field(contracted))

    slab, ball, post = scene.trained.discovered
    objects = slab, replace(ball, **alike(((-0.35, -0.25, -0.1), ball.box[1]))), post
    radiance = Crumbed(scene.trained.contraction)
    trained = replace(scene.trained, radiance=radiance, object_field=field, discovered=objects)
    crumbed = scene.with_trained(trained).with_options(clean=not kept)
    isolated = crumbed.with_edit(Edit().isolate([BALL_ID], [SLAB, BALL_ID, POST]))

    def seen(shown: ArrangedScene) -> Tensor:
        down = torch.tensor([[0.0, 0.0, -1.0]])
        rays = RayBundle(CRUMB[None] + torch.tensor([0.0, 0.0, 1.0]), down, torch.ones(1, 1))
        fresh, kept = Frame(shown, rays, (1,)), Frame(crumbed, rays, (1,), keep=True)
        kept.edited()
        return torch.cat([fresh.edited_opacity(), kept.under(shown).edited_opacity()])

    assert not isolated.reveals_at_once
    assert ((seen(isolated) - opacity).abs() < 0.05).all() and isolated.reveals_at_once
    with_slab = crumbed.with_edit(Edit().isolate([BALL_ID, SLAB], [SLAB, BALL_ID, POST]))
    assert (seen(with_slab) > 0.95).all()


def test_an_object_is_free_once_nothing_is_beside_it_that_is_never_completed(
    scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, table, cup, lamp = ids = [ObjectId(number) for number in range(4)]
    boxes: dict[ObjectId, Box] = {
        room: ((-9.0, -9.0, -9.0), (9.0, 9.0, 9.0)),
        table: ((0.0, 0.0, 0.0), (2.0, 2.0, 1.0)),
        cup: ((1.0, 1.0, 0.9), (1.2, 1.2, 1.2)),
        lamp: ((5.0, 5.0, 5.0), (6.0, 6.0, 6.0)),
    }
    objects = {id: replace(scene.objects[0], id=id, **alike(box)) for id, box in boxes.items()}
    bodies = Bodies(scene.trained, scene.owners, lambda: objects, complete=True)
    of = lambda *absent: Beside.of(bodies, ids, set(absent))
    assert of() == of(room) == ((), (), (), ())
    assert of(lamp) == ((), (lamp,), (), ((room, (lamp,)),))
    assert of(table) == ((cup,), (table,), (), ((room, (table,)),))
    assert of(table, room) == ((cup,), (table,), (cup,), ())
    monkeypatch.setattr("disconerf_ns.scene.revealed.APART", 1)
    assert of(table, lamp) == ((cup,), (table,), (), ((room, (table, lamp)),)), "around many things at once"
    assert of(cup, room) == ((table,), (cup,), (table,), ())


def test_a_preview_does_not_wait_for_completions(scene: ArrangedScene) -> None:
    fresh = scene.with_trained(scene.trained).with_edit(Edit().hide(BALL_ID))
    assert not fresh.reveals_at_once and scene.with_edit(fresh.edit).reveals_at_once
    frame = seen_from_above(fresh, keep=True)
    quick = frame.previewed(Preview(most=50)).edited()
    assert not fresh.reveals_at_once, "nothing was completed for it"
    assert (quick - frame.edited()).abs().mean() < 0.1 and fresh.reveals_at_once
    moved = scene.with_trained(scene.trained).with_edit(Edit().copy(BALL_ID, Similarity(translation=(0.0, -0.3, 0.0))))
    seen_from_above(moved, keep=True).previewed(Preview(most=50)).edited()
    assert not moved.bodies.at_hand(BALL_ID)


def test_what_is_not_beside_what_is_gone_is_not_completed(scene: ArrangedScene) -> None:
    assert scene.revealed.ids == set()
    assert scene.with_edit(Edit().hide(POST)).revealed.ids == {POST, SLAB}


def test_without_open3d_nothing_is_completed_and_that_is_said_once(
    scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A film ended with a traceback where open3d's system libraries are not installed."""
    monkeypatch.setitem(sys.modules, "open3d", None)
    can_complete.cache_clear()
    try:
        bodies = ArrangedScene(scene.trained).bodies
        assert bodies.completes(SLAB) and bodies.completion(SLAB) is bodies.completion(BALL_ID) is None
        assert len(bodies.whole(SLAB)) == len(bodies.solid(SLAB)) > 0
    finally:
        can_complete.cache_clear()
    said = capsys.readouterr().err
    assert said.count("open3d cannot be imported") == 1 and "libusb-1.0-0, libgl1 and libgomp1" in said


def test_an_object_alone_is_completed_and_its_output_is_not(scene: ArrangedScene) -> None:
    """`object_00` is Eq. 1 with the radiance field's own density; films and exports show the completed slab."""
    camera = cameras(1, 32, height=0.6)[0:1]
    for complete in (True, False):
        shown = scene.with_options(complete=complete)
        picture = torch.from_numpy(alone(shown, SLAB, camera, shown.bodies.clean(SLAB))).view(-1, 4)
        rays = seen_from_above(scene).rays
        there = rays.origins + rays.directions * ((0.1 - rays.origins[:, 2:]) / rays.directions[:, 2:])
        center = picture[there[:, :2].norm(dim=-1) < 0.1]
        plain = (center[:, 3] > 0.9) & ((center[:, :3] - BROWN).abs().amax(-1) < 0.1)
        assert plain.float().mean() > 0.9 if complete else plain.float().mean() < 0.5
    raw = [render_object(scene.with_options(complete=on), rays, SLAB)["rgb"] for on in (True, False)]
    assert torch.equal(*raw)


@pytest.fixture(scope="module")
def mixed_up(scene: ArrangedScene) -> ArrangedScene:
    """The same, but right below the ball's surface the field says that it is the slab, some way up from the slab."""

    def field(contracted: Tensor) -> Tensor:
        right, x = scene.trained.object_field(contracted), scene.trained.contraction.inverse(contracted)
        below = (x[..., 2:] < 0.16) & ((x - BALL).norm(dim=-1, keepdim=True) < RADIUS - 0.01)
        ball = right[..., 1:2] * ~below
        return torch.cat([right[..., :1] + right[..., 1:2] - ball, ball, right[..., 2:]], -1)

    return scene.with_trained(replace(scene.trained, object_field=field))


@pytest.mark.parametrize("order", [(BALL_ID, POST), (POST, BALL_ID)])
def test_a_patch_goes_with_the_ball_that_it_is_on_whatever_was_hidden_before(
    scene: ArrangedScene, order: tuple[ObjectId, ObjectId]
) -> None:
    """The field says that a patch of the ball is the slab. Rays that end on it meet neither the ball nor the post."""

    def field(contracted: Tensor) -> Tensor:
        patch = (scene.trained.contraction.inverse(contracted) - PATCH).abs().amax(-1, keepdim=True) < 0.05
        return torch.where(patch, torch.tensor([0.98, 0.01, 0.01]), scene.trained.object_field(contracted))

    slab, ball, post = scene.trained.discovered
    objects = slab, ball, replace(post, **alike(((0.24, 0.24, 0.05), post.box[1])))
    patched = scene.with_trained(replace(scene.trained, object_field=field, discovered=objects))
    patched = patched.with_options(clean=False)
    start = torch.tensor([[0.0, -1.0, 0.15]]).expand(2, 3) + torch.tensor([[0.0], [0.02]])
    rays = RayBundle(start, torch.tensor([[0.0, 1.0, 0.0]]).expand(2, 3), torch.ones(2, 1))
    frame, edit, keys = Frame(patched, rays, (2,), keep=True), Edit(), []
    assert (frame.edited_opacity() > 0.9).all()
    for id in order:
        edit = edit.hide(id)
        frame = frame.under(patched.with_edit(edit))
        frame.edited()
        keys.append(frame.scene.revealed.key)
    assert keys[0] == keys[1] and (frame.edited_opacity() < 0.1).all()


def pixels_over_the_slab(opacity: Tensor, rays: RayBundle) -> int:
    """Opaque pixels of rays that pass the slab at a distance of a voxel or more."""
    slab = torch.tensor([[-0.52, -0.52, -0.12], [0.52, 0.52, 0.12]])
    enter, leave = intersect_box(rays.origins, rays.directions, slab)
    return int(((opacity > 0.5) & (enter > leave)).sum())


def test_neither_a_slab_alone_nor_one_without_its_ball_sticks_out_into_the_ball(mixed_up: ArrangedScene) -> None:
    camera = cameras(1, 128, height=0.0)[0:1]
    rays, stuck = camera.generate_rays(0, keep_shape=True).flatten(), []
    for complete in (True, False):
        shown = mixed_up.with_options(complete=complete)
        picture = torch.from_numpy(alone(shown, SLAB, camera, shown.bodies.clean(SLAB))).view(-1, 4)
        edited = Frame(shown.with_edit(Edit().hide(BALL_ID).hide(POST)), rays, (128, 128)).edited_opacity()
        stuck.append([pixels_over_the_slab(opacity, rays) for opacity in (picture[:, 3], edited[:, 0])])
    for completed, field in zip(*stuck):
        assert field > 10 and completed < 0.1 * field


def test_an_object_alone_has_no_colour_of_what_stands_on_it(scene: ArrangedScene) -> None:
    camera, rays = cameras(1, 64, height=0.6)[0:1], seen_from_above(scene, size=64).rays
    ring = stained(rays.origins + rays.directions * ((0.1 - rays.origins[:, 2:]) / rays.directions[:, 2:]))
    assert ring.sum() > 20
    for complete in (True, False):
        shown = scene.with_options(complete=complete)
        picture = torch.from_numpy(alone(shown, SLAB, camera, shown.bodies.clean(SLAB))).view(-1, 4)
        brown = ((picture[ring, :3] - BROWN).abs().amax(-1) < 0.1).float().mean()
        assert brown > 0.9 if complete else brown < 0.5


def test_a_mesh_and_splats_have_no_colour_of_what_stands_on_them(scene: ArrangedScene) -> None:
    mesh = made_mesh(scene, scene.by_id[SLAB], cameras(12, 40), ExportOptions(resolution=64, faces=0))
    looks = look_behind(scene, seen_from_above(scene, size=64).rays, scene.by_id[SLAB])
    for positions, colors in ((mesh.vertices, mesh.colors), (looks.positions, looks.rgb)):
        ring = stained(positions) & (positions[:, 2] > 0.05)
        assert ring.sum() > 20
        assert ((colors[ring] - BROWN).abs().amax(-1) < 0.1).float().mean() > 0.9


def test_splats_of_what_surrounds_the_scene_go_on_below_what_stands_there(
    scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had the pit and the junk that the radiance field has below a thing, where films have a completed floor."""
    monkeypatch.setattr("disconerf_ns.export.splats_sampled.BEHIND", 1)
    wide = surrounded(scene)
    looks = look_at_all(wide, [seen_from_above(scene, size=64).rays], wide.objects)
    below = (looks.id == SLAB) & (looks.positions[:, :2].norm(dim=-1) < 0.1)
    assert below.sum() > 20
    assert (looks.positions[below, 2] - 0.1).abs().max() < 0.03
    assert (looks.rgb[below] - BROWN).abs().max() < 0.1


def test_all_that_surrounds_the_scene_is_looked_at_once(scene: ArrangedScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, 30 pieces of a papered wall took more than 20 minutes."""
    sampled = []
    sample = Standing.sample
    monkeypatch.setattr(Standing, "sample", lambda self, *given: sampled.append(len(given[0])) or sample(self, *given))
    rays = seen_from_above(scene, size=64).rays
    counts = []
    for around in ([SLAB], [SLAB, POST]):
        wide = surrounded(scene)
        monkeypatch.setitem(vars(wide.bodies), "surrounding", frozenset(around))
        sampled.clear()
        looks = look_at_all(wide, [rays], wide.objects)
        assert set(around) <= set(looks.id.tolist())
        counts.append(sum(sampled))
    assert counts[0] == counts[1]


def test_a_mesh_has_no_pit_and_says_what_nobody_saw(scene: ArrangedScene) -> None:
    views, options = cameras(12, 40), ExportOptions(resolution=48, faces=0)

    def below(shown: ArrangedScene) -> tuple[Tensor, float]:
        mesh = made_mesh(shown, shown.by_id[SLAB], views, options)
        top = (mesh.vertices[:, :2].norm(dim=-1) < 0.1) & (mesh.vertices[:, 2] > -0.08)
        assert (mesh.seen[top] < 0.05).all()
        assert ((mesh.colors[top] - BROWN).abs().amax(-1) < 0.1).float().mean() > 0.9
        return mesh.vertices[top, 2], mesh_facts(mesh)["mesh_volume"]

    heights, volume = below(scene)
    assert (heights - 0.1).abs().max() < 0.05
    assert volume == pytest.approx(0.2, rel=0.15)

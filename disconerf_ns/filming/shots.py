"""What is filmed from where: the cameras of every object's film, and one sentence on what they cannot show."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.filming.frames import Look
from disconerf_ns.filming.orbit import directions, elevation_of, framed, hull, look_at, square
from disconerf_ns.filming.paths import chain, in_size, interpolated, spiral, to_and_fro
from disconerf_ns.filming.sight import SEES, drawn, in_sight, shares_clear, shares_seen, surface_of
from disconerf_ns.filming.trial import visible_points
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import HERE
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.spacing import evenly_spaced

NEAR = math.radians(30)
"""Largest angle, seen from the object, between a camera of the film and a photograph that shows its side."""
CLEAR = 0.6
"""Share of the object's surface that other things leave free where a camera may stand."""
PLACES = 36
"""Places on an orbit at which it is looked whether other things are in the way."""
COMPARED, COARSE = 32, 16
"""At most so many photographs are compared by how much of them shows an object, in squares of so many pixels."""
LEAST_ARC = math.radians(40)
"""A shorter piece of the orbit, between things that stand in the way, is not worth a film."""
UNSEEN = "too little of it was photographed", "no photograph looks from there"
HINDERED = (
    "other things are in the way around it, or too little of it was photographed",
    "other things are in the way, or no photograph looks from there",
)
"""Reasons why a camera does not go around an object, and why it does not go elsewhere: of one that is alone in the
picture, and in the edited scene."""


@dataclass(frozen=True)
class Shot:
    """One film: what is shown, and from where."""

    name: str
    """Of its file, without a suffix."""
    shown: ObjectId | None
    """The object that is alone in the picture; None for the edited scene."""
    cameras: Cameras
    """One for each frame."""
    remark: str = ""
    """What is to be known of it, without a full stop."""
    surrounds: bool = False
    """Whether it surrounds the photographs."""
    unseen: float = 0.0
    """Fraction of its cameras that look at a side of the object which no photograph shows."""

    def look(self, clean: bool = True, shadow: bool = False) -> Look:
        """How its object is shown: what surrounds the photographs as they see it, without a ground below it."""
        return Look(clean, shadow and not self.surrounds, cut_out=self.surrounds)


@dataclass(frozen=True)
class Sight:
    """An object as it is seen from outside, and as the photographs see it."""

    points: Float[Tensor, "points 3"]
    """Of its surface, in scene coordinates; none if nothing of it is solid."""
    corners: Float[Tensor, "corners 3"]
    """Of the convex hull of what is visible of it."""
    seen: Float[Tensor, "cameras"]
    """Share of the points that each photograph sees; of what surrounds the photographs, share of each that shows it."""
    voxel: float
    """Side of its voxels."""
    surrounds: bool
    """Whether half of the photographs were taken from within the ball around it, as of a room's walls."""

    @classmethod
    def of(cls, scene: ArrangedScene, filmed: SceneObject, photographs: Cameras) -> Sight:
        """Look for an object in the photographs."""
        solid, positions = scene.bodies.whole(filmed.id), photographs.camera_to_worlds[..., 3].cpu()
        corners, there = extent(scene, filmed), len(solid) > 0
        voxel = float(solid.volumes.median()) ** (1 / 3) if there else 0.0
        points = surface_of(solid) if there else corners[:0]
        if within_ball(corners, positions):
            return cls(points, corners, shares_shown(scene, filmed.id, photographs), voxel, surrounds=True)
        if not there:
            return cls(points, corners, torch.zeros(len(photographs)), voxel, surrounds=False)
        elevation = elevation_of(positions, corners.mean(0))
        visible = visible_points(scene, filmed.id, scene.bodies.clean(filmed.id), corners, elevation)
        if len(visible) > 0:
            points, corners = drawn(visible), hull(visible)
        return cls(points, corners, shares_seen(scene, photographs, points, 2 * voxel), voxel, surrounds=False)

    def moved(self, place: Similarity) -> Sight:
        """The same object where it stands under an edit."""
        return replace(self, points=place.points(self.points), corners=place.points(self.corners))

    @property
    def seeing(self) -> Bool[Tensor, "cameras"]:
        """The photographs that see it; if none does, all."""
        sees = self.seen >= SEES
        return sees if bool(sees.any()) else torch.ones_like(sees)

    @property
    def centre(self) -> Float[Tensor, "3"]:
        """Middle of what it spans."""
        return (self.corners.amin(0) + self.corners.amax(0)) / 2


def shares_shown(scene: ArrangedScene, id: ObjectId, photographs: Cameras) -> Float[Tensor, "cameras"]:
    """Share of the middle square of each photograph that shows an object; 0 of all but `COMPARED` ones."""
    shares = torch.zeros(len(photographs))
    chosen = evenly_spaced(len(photographs), COMPARED)
    some = photographs[torch.tensor(chosen, dtype=torch.long)]
    views = square(some.camera_to_worlds.cpu(), COARSE, _angle(some))
    for number, view in enumerate(chosen):
        labels = Frame.seen_by(scene, views[number : number + 1]).labels()
        shares[view] = (labels.id == id).float().mean()
    return shares


def extent(scene: ArrangedScene, filmed: SceneObject) -> Float[Tensor, "corners 3"]:
    """Corners of the convex hull of an object's solid voxels; of its box where nothing of it is solid."""
    solid = scene.bodies.whole(filmed.id)
    return hull(solid.points) if len(solid) > 0 else torch.cartesian_prod(*torch.tensor(filmed.box).T)


def surrounds(scene: ArrangedScene, filmed: SceneObject, photographs: Cameras) -> bool:
    """Whether an object surrounds the photographs."""
    return within_ball(extent(scene, filmed), photographs.camera_to_worlds[..., 3].cpu())


def within_ball(corners: Float[Tensor, "corners 3"], positions: Float[Tensor, "cameras 3"]) -> bool:
    """Whether cameras' median distance to the middle of a thing is less than half of the thing's diagonal."""
    low, high = corners.amin(0), corners.amax(0)
    return bool((positions - (low + high) / 2).norm(dim=-1).median() < (high - low).norm() / 2)


def orbit(
    scene: ArrangedScene,
    filmed: SceneObject,
    photographs: Cameras,
    frames: int,
    size: int,
    among: bool = False,
    start: Float[Tensor, "3"] | None = None,
    photographed: bool = False,
) -> Shot:
    """A turntable around an object: level, at the photographs' own height angle, and as near as it fits.

    It begins on the side where the photograph was taken that sees the object best. Of what surrounds the photographs
    there is no turntable, and none where other things stand in the way all around: there the camera sways between
    photographs.

    Args:
        photographs: cameras of the training views.
        frames: number of cameras.
        size: side of the square pictures in pixels.
        among: whether the edited scene is shown around the object, so that its other things can stand in the way.
        start: a place on the side where a full turn is to begin.
        photographed: whether the camera stays on the sides that photographs show, as it does in the edited scene.
    """
    sight, positions = Sight.of(scene, filmed, photographs), photographs.camera_to_worlds[..., 3].cpu()
    name, shown = filmed.file_name, None if among else filmed.id
    if sight.surrounds:
        sway = _between_photographs(sight, photographs, frames, size, "it surrounds the photographs")
        return Shot(name, shown, *sway, surrounds=True)
    elevation = elevation_of(positions[sight.seeing], sight.centre)
    place = scene.edit.places_of(filmed.id)[0] if among else Similarity()
    moved = sight.moved(place)
    first = positions[int(sight.seen.argmax())] - sight.centre if start is None else start - moved.centre
    azimuths, remark = math.atan2(float(first[1]), float(first[0])) + torch.arange(frames) / frames * 2 * math.pi, ""
    sight = moved
    target, distance = framed(sight.corners, directions(azimuths, elevation))
    taken = place.points(positions[sight.seeing])  # as the photographs see the object, wherever it stands now
    if among or photographed:
        around = torch.arange(PLACES) / PLACES * 2 * math.pi
        places = target + distance * directions(around, elevation)
        usable, hindered = ~unseen(places, taken, target), among and len(sight.points) > 0
        if hindered:
            usable &= free_of_others(scene, sight, positions[sight.seeing], places)
        why, elsewhere = HINDERED if hindered else UNSEEN
        middle, arc = longest_arc(usable)
        if arc < LEAST_ARC:
            return Shot(name, shown, *_between_photographs(sight, photographs, frames, size, why))
        if arc < 2 * math.pi:
            azimuths = middle + arc * (to_and_fro(frames) - 0.5)
            remark = f"the camera sways through {math.degrees(arc):.0f} degrees: elsewhere {elsewhere}; "
    cameras = square(look_at(target + distance * directions(azimuths, elevation), target), size)
    share = float(unseen(cameras.camera_to_worlds[..., 3], taken, target).float().mean())
    side = f"looks at it from more than {math.degrees(NEAR):.0f} degrees beside every photograph that sees it"
    beside = f"{share:.0%} of the path {side}" if share >= 0.005 else ""
    return Shot(name, shown, cameras, f"{remark}{beside}".removesuffix("; "), unseen=share)


def free_of_others(
    scene: ArrangedScene,
    sight: Sight,
    positions: Float[Tensor, "photographs 3"],
    places: Float[Tensor, "places 3"],
) -> Bool[Tensor, "places"]:
    """Places in the edited scene from which an object is seen.

    Other things do not hide it from there; and photographs that see it, taken at `positions`, have the place in sight,
    which they have not of the outside of a room.
    """
    return (shares_clear(scene, places, sight.points) >= CLEAR) & in_sight(scene, places, positions)


def longest_arc(usable: Bool[Tensor, "places"]) -> tuple[float, float]:
    """Middle and length, in radians, of the longest arc of a circle on whose places cameras may stand."""
    start, count = longest_run(usable)
    if count == len(usable):
        return 0.0, 2 * math.pi
    step = 2 * math.pi / len(usable)
    arc = max(count - 1, 0) * step
    return start * step + arc / 2, arc


def spiral_shot(
    scene: ArrangedScene, filmed: SceneObject, photographs: Cameras, frames: int, size: int, among: bool = False
) -> Shot:
    """A spiral at the photograph that sees an object best, moved along with the object; arguments as for `orbit`."""
    sight = Sight.of(scene, filmed, photographs)
    best = int(sight.seen.argmax())
    place = scene.edit.places_of(filmed.id)[0] if among else HERE
    seeing = in_size(photographs[best : best + 1], size)
    seeing = replace(seeing, camera_to_worlds=moved_poses(place, seeing.camera_to_worlds))
    cameras = spiral(seeing, sight.moved(place).centre, frames)
    shown, remark = None if among else filmed.id, f"a spiral at photograph {best}, which sees it best"
    return Shot(filmed.file_name, shown, cameras, remark, sight.surrounds)


def moved_poses(place: Similarity, poses: Float[Tensor, "cameras 3 4"]) -> Float[Tensor, "cameras 3 4"]:
    """Camera-to-world matrices that see what a similarity moved as the given ones saw it before."""
    turned = place.directions(poses[..., :3].mT).mT
    return torch.cat([turned, place.points(poses[..., 3])[..., None]], -1)


def _angle(cameras: Cameras) -> float:
    """Vertical angle of view of the first of some cameras, in radians."""
    return 2 * math.atan(float(cameras.height[0] / 2 / cameras.fy[0]))


def _between_photographs(sight: Sight, photographs: Cameras, frames: int, size: int, why: str) -> tuple[Cameras, str]:
    """Cameras that sway between the photographs that see an object best, and why they do."""
    best = chain(photographs, sight.seen)
    views = in_size(photographs[torch.tensor(best)], size)
    poses = interpolated(views, to_and_fro(frames), order=False).camera_to_worlds
    named = ", ".join(map(str, best))
    stays = f"stays at photograph {named}" if len(best) == 1 else f"sways between photographs {named}"
    return square(poses, size, _angle(views)), f"no turntable, because {why}; the camera {stays}"


def unseen(
    cameras: Float[Tensor, "cameras 3"], photographs: Float[Tensor, "photographs 3"], centre: Float[Tensor, "3"]
) -> Bool[Tensor, "cameras"]:
    """The cameras that are farther than `NEAR` from all photographs, as angles that are seen from a point."""
    of_film, of_photographs = (torch.nn.functional.normalize(x - centre, dim=-1) for x in (cameras, photographs))
    nearest = (of_film @ of_photographs.T).amax(-1).clamp(-1, 1).acos()
    return nearest > NEAR


def longest_run(free: Bool[Tensor, "places"]) -> tuple[int, int]:
    """Start and length of the longest run of True on a circle."""
    if bool(free.all()):
        return 0, len(free)
    doubled, best, run = [*free.tolist(), *free.tolist()], (0, 0), 0
    for end, each in enumerate(doubled):
        run = run + 1 if each else 0
        if run > best[1]:
            best = (end - run + 1) % len(free), run
    return best

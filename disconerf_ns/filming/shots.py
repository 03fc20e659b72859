"""What is filmed from where: the cameras of every object's film, and one sentence on what they cannot show."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from disconerf_ns.filming.appearance import Appearance
from disconerf_ns.filming.frames import Look
from disconerf_ns.filming.orbit import Circle, elevation_of, full_turn, moved_poses, square, view_angle
from disconerf_ns.filming.paths import chain, in_size, interpolated, spiral, to_and_fro
from disconerf_ns.filming.sight import in_sight, shares_clear
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.edit import HERE
from disconerf_ns.scene.objects import ObjectId, SceneObject
from disconerf_ns.scene.similarity import Similarity

NEAR = math.radians(30)
"""Largest angle, seen from the object, between a camera of the film and a photograph that shows its side."""
CLEAR = 0.6
"""Share of the object's surface that other things leave free where a camera may stand."""
PLACES = 36
"""Places on an orbit at which it is looked whether other things are in the way."""
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
    """One for each frame, where the object stands under the edit."""
    remark: str = ""
    """What is to be known of it, without a full stop."""
    surrounds: bool = False
    """Whether it surrounds the photographs."""
    unseen: float = 0.0
    """Fraction of its cameras that look at a side of the object which no photograph shows."""

    def look(self, clean: bool = True, shadow: bool = False) -> Look:
        """How its object is shown: what surrounds the photographs as they see it, without a ground below it."""
        return Look(clean, shadow and not self.surrounds, cut_out=self.surrounds)


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

    It goes around the object as it stands under the edit, turned or upside down. It begins on the side where the
    photograph was taken that sees the object best. Of what surrounds the photographs
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
    shot = partial(Shot, filmed.file_name, None if among else filmed.id)
    looks, positions = Appearance.of(scene, filmed, photographs), photographs.camera_to_worlds[..., 3].cpu()
    if looks.surrounds:
        sway = _between_photographs(looks, photographs, frames, size, "it surrounds the photographs")
        return shot(*sway, surrounds=True)
    place, seeing = scene.edit.standing_of(filmed.id)[0], positions[looks.seeing]
    there = looks.moved(place)
    best = place.directions(positions[int(looks.seen.argmax())] - looks.centre)
    first = best if start is None else start - there.centre
    azimuths = math.atan2(float(first[1]), float(first[0])) + full_turn(frames)
    circle = Circle.around(there.corners, azimuths, elevation_of(seeing, looks.centre))
    taken, sways = place.points(seeing), ""  # as the photographs see the object, wherever it stands now
    if among or photographed:
        usable, (why, elsewhere) = _usable(scene, there, circle, seeing, taken, among)
        middle, arc = longest_arc(usable)
        if arc < LEAST_ARC:
            return shot(*_between_photographs(there, photographs, frames, size, why, HERE if among else place))
        if arc < 2 * math.pi:
            azimuths = middle + arc * (to_and_fro(frames) - 0.5)
            sways = f"the camera sways through {math.degrees(arc):.0f} degrees: elsewhere {elsewhere}"
    cameras = circle.cameras(azimuths, size)
    share = float(unseen(cameras.camera_to_worlds[..., 3], taken, circle.target).float().mean())
    return shot(cameras, "; ".join(filter(None, (sways, _said_of_unseen(share)))), unseen=share)


def _usable(
    scene: ArrangedScene,
    there: Appearance,
    circle: Circle,
    seeing: Float[Tensor, "photographs 3"],
    taken: Float[Tensor, "photographs 3"],
    among: bool,
) -> tuple[Bool[Tensor, "places"], tuple[str, str]]:
    """Places on a circle around an object from which it is shown as photographed, and why there are no others.

    Args:
        there: the object where it stands.
        seeing: where the photographs that see it were taken.
        taken: the same, moved along with the object.
        among: whether other things can stand in the way.
    """
    places = circle.places(full_turn(PLACES))
    usable = ~unseen(places, taken, circle.target)
    if not among or len(there.points) == 0:
        return usable, UNSEEN
    return usable & free_of_others(scene, there, seeing, places), HINDERED


def _said_of_unseen(share: float) -> str:
    """How much of a film's path is far from all photographs that see the object; nothing if hardly any is."""
    if share < 0.005:
        return ""
    away = f"the photographs that show it are more than {math.degrees(NEAR):.0f} degrees away"
    return f"{share:.0%} of the film looks at it from sides that nobody photographed: {away}"


def free_of_others(
    scene: ArrangedScene,
    there: Appearance,
    positions: Float[Tensor, "photographs 3"],
    places: Float[Tensor, "places 3"],
) -> Bool[Tensor, "places"]:
    """Places in the edited scene from which an object is seen.

    Other things do not hide it from there; and photographs that see it, taken at `positions`, have the place in sight,
    which they have not of the outside of a room.
    """
    return (shares_clear(scene, places, there.points) >= CLEAR) & in_sight(scene, places, positions)


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
    looks = Appearance.of(scene, filmed, photographs)
    best = int(looks.seen.argmax())
    place = scene.edit.standing_of(filmed.id)[0]
    seeing = in_size(photographs[best : best + 1], size)
    seeing = replace(seeing, camera_to_worlds=moved_poses(place, seeing.camera_to_worlds))
    cameras = spiral(seeing, looks.moved(place).centre, frames)
    shown, remark = None if among else filmed.id, f"a spiral at photograph {best}, which sees it best"
    return Shot(filmed.file_name, shown, cameras, remark, looks.surrounds)


def _between_photographs(
    looks: Appearance, photographs: Cameras, frames: int, size: int, why: str, place: Similarity = HERE
) -> tuple[Cameras, str]:
    """Cameras that sway between the photographs that see an object best, moved along with it, and why they do."""
    best = chain(photographs, looks.seen)
    views = in_size(photographs[torch.tensor(best)], size)
    poses = interpolated(views, to_and_fro(frames), order=False).camera_to_worlds
    named = ", ".join(map(str, best))
    stays = f"stays at photograph {named}" if len(best) == 1 else f"sways between photographs {named}"
    return square(
        moved_poses(place, poses), size, view_angle(views)
    ), f"no turntable, because {why}; the camera {stays}"


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

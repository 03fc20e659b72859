"""A small square picture by which a person knows an object: alone, or of what surrounds the photographs a piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from disconerf_ns.errors import UserError
from disconerf_ns.filming.frames import alone
from disconerf_ns.filming.matte import Picture, bled
from disconerf_ns.filming.orbit import hull
from disconerf_ns.filming.sight import drawn, shares_seen
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.bodies import within_ball
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.objects import SceneObject
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.solid import Solid, without_crumbs
from disconerf_ns.spacing import evenly_spaced

CAMERAS, POINTS = 32, 12
"""At most so many photographs are compared to find the one that sees an object best, by so many of its points."""
FIRST = 24
"""Side, in pixels, of the picture that tells where in the next one the object is."""
FILLS = 0.94
"""Fraction of the picture that the object fills."""
FAINT, BODY = 0.1, 0.5
"""A pixel below the first alpha shows nothing; pixels above the second one tell where the object is."""
LOOKED_AT, COARSE = 8, 16
"""Photographs in which a piece of what surrounds them is looked for, and the side, in pixels, of pictures of them."""


def portrait(scene: ArrangedScene, each: SceneObject, body: Body, photographs: Cameras, size: int) -> Picture:
    """An object alone, as the edit colours it, from where the photograph was taken that sees most of it from near.

    Args:
        body: the object: all of its voxels, or, quite without haze, `Bodies.clean`.
        photographs: the training cameras.
        size: height and width in pixels.
    Raises:
        UserError: nothing of it can be seen.
    """
    points, voxel = middles(body.voxels)
    if len(points) == 0:
        raise UserError(f"{each.label} has no picture, because nothing of it is solid.")
    cameras = spread(photographs, CAMERAS)
    places = cameras.camera_to_worlds[..., 3].cpu()
    seen = shares_seen(scene, cameras, drawn(points, POINTS), 2 * voxel)
    near = (places - points.mean(0)).norm(dim=-1).clamp(min=voxel) ** -2
    aim = aimed(places[int(((seen + 1e-3) * near).argmax())], hull(points), FIRST)
    opaque = without_specks(alone(scene, each.id, aim, body)[..., 3] > BODY)
    if not opaque.any():
        raise UserError(f"{each.label} has no picture, because it is nowhere opaque.")
    picture = alone(scene, each.id, cropped(aim, *around(opaque), size), body)
    picture[..., 3] *= without_specks(picture[..., 3] > FAINT)
    return bled(picture)


def voxels_surround(within: Occupancy, photographs: Cameras) -> bool:
    """Whether half of the photographs were taken from within the ball around voxels, whatever of them is solid."""
    points, _ = middles(within)
    return len(points) > 0 and within_ball(points, photographs.camera_to_worlds[..., 3].cpu())


def piece(scene: ArrangedScene, each: SceneObject, cameras: Cameras, size: int) -> Picture:
    """Half of the scene's picture, of the camera and at the place where an object covers most of it, opaque.

    Everything is there, in the edit's colours, where it was photographed.
    """
    unmoved = replace(scene.edit, hidden=frozenset(), places={}, hidden_copies={})
    some, scene = spread(cameras, LOOKED_AT), scene.with_edit(unmoved)
    wholes = [middle(some[number : number + 1], COARSE) for number in range(len(some))]
    labels = torch.stack([Frame.seen_by(scene, whole).labels().id.view(COARSE, COARSE) for whole in wholes])
    shares = avg_pool2d((labels == each.id).float(), COARSE // 2, stride=1)
    best, row, column = np.unravel_index(int(shares.argmax()), shares.shape)
    frame = Frame.seen_by(scene, cropped(wholes[best], float(column), float(row), COARSE / 2, size))
    rgb = frame.image(frame.edited()).cpu().numpy()
    return np.concatenate([rgb, np.ones_like(rgb[..., :1])], -1)


def middle(camera: Cameras, size: int) -> Cameras:
    """The camera, n = 1, of the square in the middle of another one's picture."""
    camera = camera.to("cpu")
    height, width = int(camera.height), int(camera.width)
    side = float(min(height, width))
    return cropped(camera, (width - side) / 2, (height - side) / 2, side, size)


def spread(cameras: Cameras, count: int) -> Cameras:
    """At most `count` of some cameras, spread evenly over them."""
    return cameras[torch.tensor(evenly_spaced(len(cameras), count), dtype=torch.long)]


def middles(voxels: Occupancy) -> tuple[Float[Tensor, "n 3"], float]:
    """Middles of occupied voxels that are no crumbs, in scene coordinates, and the side of a voxel."""
    solid = Solid(replace(voxels, occupied=without_crumbs(voxels.occupied)))
    if len(solid) == 0:
        return torch.zeros(0, 3), 0.0
    return solid.points.cpu(), float(solid.volumes.median()) ** (1 / 3)


def aimed(place: Float[Tensor, "3"], corners: Float[Tensor, "n 3"], size: int) -> Cameras:
    """A camera that is turned, level, to the middle of a convex thing, which fills its square picture."""
    middle = (corners.amin(0) + corners.amax(0)) / 2
    back = normalize(place - middle, dim=0)
    up = torch.tensor([0.0, 0.0, 1.0]) if abs(float(back[2])) < 0.99 else torch.tensor([0.0, 1.0, 0.0])
    right = normalize(torch.linalg.cross(up, back), dim=0)
    turn = torch.stack([right, torch.linalg.cross(back, right), back], -1)
    seen = (corners - place) @ turn
    reach = (seen[:, :2] / (-seen[:, 2:]).clamp(min=1e-3)).abs().amax().clamp(max=3)
    focal = size / 2 / float(reach)
    pose = torch.cat([turn, place[:, None]], -1)[None]
    return Cameras(pose, fx=focal, fy=focal, cx=size / 2, cy=size / 2, width=size, height=size)


def cropped(camera: Cameras, left: float, top: float, side: float, size: int) -> Cameras:
    """A camera, n = 1, of a square of another one's picture, at `size` pixels."""
    scale = size / side
    return replace(
        camera,
        fx=camera.fx * scale,
        fy=camera.fy * scale,
        cx=(camera.cx - left) * scale,
        cy=(camera.cy - top) * scale,
        width=torch.full_like(camera.width, size),
        height=torch.full_like(camera.height, size),
    )


def around(body: Bool[np.ndarray, "height width"]) -> tuple[float, float, float]:
    """Left, top and side of the square of which a thing fills `FILLS`, in pixels."""
    places = np.argwhere(body)
    low, high = places.min(0), places.max(0) + 1
    side = float((high - low).max()) / FILLS
    top, left = (low + high - side) / 2
    return float(left), float(top), side


def without_specks(body: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Pixels in pieces that are not much smaller than the largest one."""
    return without_crumbs(torch.from_numpy(body)[..., None])[..., 0].numpy()

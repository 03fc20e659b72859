"""What light leaves of an object: a point is inside of it if light from hardly any training camera gets there.

With T(c, x) the fraction of light that passes the object's own density between camera c and point x, the object's
inside is where the second largest T over the cameras is below 1/2. Its border is where a ray has lost half of its
light: the depth that nerfacto renders. So no density has to be chosen, a surface may be as fuzzy as it likes, and what
no camera looks into, such as the hollow that training leaves below every surface, is inside.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor
from torch.nn.functional import grid_sample

from disconerf_ns.compat.lenses import pinholes, projected
from disconerf_ns.export.grid import ObjectGrid

MOST_CAMERAS = 24
"""Cameras, the most different ones, that are looked from."""
SPACING = 1.5
"""Cubes between rays, and between points along them."""
MOST_STEPS = 256
"""Rays side by side, and points along them, at most."""
WIDEST = 1.5
"""Largest tangent of the angle between a camera's axis and a ray, also of cameras that see more."""
NEAREST = 0.02
"""Smallest distance ahead of a camera, in scene units, at which something is seen."""


def darkness(grid: ObjectGrid, cameras: Cameras) -> Float[Tensor, "x y z"]:
    """1 - the second largest T over the cameras at each corner of the grid; 0 where the object is not.

    One camera alone may look through a fault of the field.

    Args:
        grid: the object's density.
        cameras: the training cameras.
    """
    positions = grid.scene(grid.near.nonzero())
    most, second = torch.zeros(2, len(positions), device=positions.device)
    for camera in spread(cameras):
        reached = light(grid, camera, positions)
        most, second = most.maximum(reached), second.maximum(most.minimum(reached))
    values = torch.zeros_like(grid.density)
    values[grid.near] = 1 - second
    return values


def spread(cameras: Cameras) -> Iterator[Cameras]:
    """The cameras whose places differ most: each is the farthest from those before it."""
    places = cameras.camera_to_worlds[:, :, 3]
    chosen, distance = 0, torch.full((len(places),), torch.inf, device=places.device)
    for _ in range(min(len(places), MOST_CAMERAS)):
        yield cameras[chosen : chosen + 1]
        distance = distance.minimum((places - places[chosen]).norm(dim=-1))
        chosen = int(distance.argmax())


def light(grid: ObjectGrid, camera: Cameras, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """T of one camera: the fraction of light in [0, 1] that passes the object's density on the way to points.

    A point that is not in the picture gets no light.

    Args:
        grid: the density.
        camera: one camera of any kind; its lens distortion is left out.
        positions: scene positions.
    """
    reached = torch.stack([light_to(grid, each, positions) for each in pinholes(camera)]).amax(0)
    return reached * projected(camera, positions)[2][:, 0]


def light_to(grid: ObjectGrid, camera: Cameras, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """T of one pinhole camera; nothing gets to points that are more than `WIDEST` aside.

    Optical depths are summed along rays that lie evenly in the part of the picture that shows the points, by the
    trapezoidal rule, and what is left of the light is looked up between them.
    """
    pose = camera.camera_to_worlds[0].to(positions)
    right, up, back = ((positions - pose[:, 3]) @ pose[:, :3]).unbind(-1)
    depth = (-back).clamp(min=NEAREST)
    seen = torch.stack([right / depth, up / depth, depth], -1)
    least, largest = _picture(camera).to(positions)
    looked = (back < -NEAREST) & ((seen[:, :2] > least) & (seen[:, :2] < largest)).all(-1)
    reached = torch.zeros_like(depth)
    if not looked.any():
        return reached
    seen = seen[looked]
    low, high = seen.amin(0), seen.amax(0).maximum(seen.amin(0) + 1e-6)
    lengths = (high - low) * torch.stack([seen[:, 2].mean(), seen[:, 2].mean(), torch.ones_like(low[0])])
    counts = (lengths / (SPACING * grid.cube(positions[looked]))).ceil().clamp(2, MOST_STEPS).int().tolist()
    u, v, w = (low[k] + (high - low)[k] * torch.linspace(0, 1, n).to(low) for k, n in enumerate(counts))
    along = torch.stack(torch.broadcast_tensors(u, v[:, None], u.new_tensor(-1.0)), -1)
    places = grid.places(pose[:, 3] + w[:, None, None, None] * (along @ pose[:, :3].T))
    density = grid.at(grid.density, places)
    thickness = (density.cumsum(0) - (density[0] + density) / 2) * (w[1] - w[0]) * along.norm(dim=-1)
    unit = (2 * (seen - low) / (high - low) - 1).view(1, 1, 1, -1, 3)
    reached[looked] = grid_sample(torch.exp(-thickness)[None, None], unit, align_corners=True).flatten()
    return reached


def _picture(camera: Cameras) -> Float[Tensor, "2 2"]:
    """The least and the largest tangents (right, up) of the angles at which a camera's picture shows something."""
    fx, fy, cx, cy, width, height = (
        float(value) for value in (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    )
    tangents = torch.tensor([[-cx / fx, (cy - height) / fy], [(width - cx) / fx, cy / fy]])
    return tangents.clamp(-WIDEST, WIDEST)

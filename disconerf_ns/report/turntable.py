"""The film of a card: an object turned once around, with transparency. All filming of the report is here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.rendering.film import orbit
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import unmixed
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject


def turntable(
    scene: ArrangedScene, filmed: SceneObject, photographs: Cameras, frames: int, size: int
) -> Iterator[Float[np.ndarray, "size size 4"]]:
    """The frames of one turn, RGBA in [0, 1], colours not multiplied by alpha.

    Args:
        scene: the scene under a person's edit.
        filmed: one of its objects.
        photographs: cameras of the training views.
        frames: frames of the turn.
        size: side of the square frames in pixels.
    """
    cameras = orbit(torch.tensor(filmed.box), photographs.camera_to_worlds.cpu(), frames, size)
    for number in range(frames):
        yield cutout(scene, filmed, cameras[number : number + 1])


def cutout(scene: ArrangedScene, shown: SceneObject, camera: Cameras) -> Float[np.ndarray, "height width 4"]:
    """One object as one camera sees it, RGBA in [0, 1], colours not multiplied by alpha."""
    rays = camera.to(scene.trained.radiance.device).generate_rays(0, keep_shape=True)
    frame = Frame(scene, rays.flatten(), tuple(rays.origins.shape[:2]))
    images = frame.alone(shown.id)
    rgb, alpha = (frame.image(images[name]).cpu() for name in ("rgb", "accumulation"))
    return torch.cat([unmixed(rgb, alpha, scene.options.background), alpha], -1).numpy()

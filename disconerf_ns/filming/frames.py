"""One frame of a film: an object with transparency, its shadow, or the edited scene around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.filming.clean import crisp
from disconerf_ns.filming.ground import Ground
from disconerf_ns.filming.matte import Picture, bled, in_bytes, on_color, over
from disconerf_ns.filming.orbit import moved_poses
from disconerf_ns.rendering.alone import object_images, visible_images
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import unmixed
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.clean import Body
from disconerf_ns.scene.edit import HERE
from disconerf_ns.scene.objects import ObjectId

FADE = 0.08
"""Width of the margin on which a shadow fades, as a part of the picture's shorter side."""


@dataclass(frozen=True)
class Look:
    """How an object is shown."""

    clean: bool = True
    """Whether haze and crumbs are taken away."""
    shadow: bool = False
    """Whether it stands on a neutral ground with a soft shadow."""
    cut_out: bool = False
    """Whether it is shown as the photographs show it, with what is before it cut out, instead of alone: so is what
    surrounds them, of which no photograph shows what is behind and below other things."""


class Subject:
    """An object that is filmed as it stands under the edit, and what all of its frames need.

    What surrounds the photographs is shown where it was photographed, as they show it.

    Args:
        scene: the scene; a later edit does not change the film.
        id: the object.
        look: how it is shown.
    """

    def __init__(self, scene: ArrangedScene, id: ObjectId, look: Look = Look()):
        self.scene, self.id, self.look = scene, id, look
        self.body: Body | None = None
        self.place = HERE if look.cut_out else scene.edit.standing_of(id)[0]
        if not look.cut_out:
            self.body = scene.bodies.clean(id) if look.clean else scene.bodies.hazy(id)
        solid = scene.bodies.whole(id)
        self.ground = Ground.below(solid, self.place) if look.shadow and len(solid) > 0 else None

    def picture(self, camera: Cameras) -> Picture:
        """The object as one camera sees it: straight RGB and alpha.

        Args:
            camera: n cameras with n = 1, where the object stands.
        """
        if self.look.cut_out:
            return bled(cut_out(self.scene, self.id, camera, self.look.clean))
        poses = moved_poses(self.place.inverse(), camera.camera_to_worlds)
        photographed = replace(camera, camera_to_worlds=poses)
        picture = bled(alone(self.scene, self.id, photographed, self.body, self.look.clean))
        if self.ground is None:
            return picture
        rays = camera.to(self.scene.trained.radiance.device).generate_rays(0, keep_shape=True)
        shadow = np.zeros_like(picture)
        dark = self.ground.alpha(rays.flatten()).view(picture.shape[:2]).cpu().numpy()
        shadow[..., 3] = dark * faded(*picture.shape[:2])
        return over(picture, shadow)


def faded(height: int, width: int) -> Float[np.ndarray, "height width"]:
    """1 within a picture, falling to 0 on its last pixels, so that a shadow ends before the picture does."""
    y, x = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
    return (np.minimum(y[:, None], x) / (FADE * min(height, width))).clip(0, 1)


def alone(scene: ArrangedScene, id: ObjectId, camera: Cameras, body: Body | None, clean: bool = True) -> Picture:
    """An object as one camera, n = 1, sees it where it was photographed: straight RGB and alpha, black where it is not.

    Args:
        body: the object as it is looked at; by default all that the radiance field has of it.
        clean: whether faint alpha is taken away.
    """
    on_black = scene.with_options(background=0.0)
    return _picture(scene, camera, lambda rays: object_images(on_black, rays, id, body), clean)


def cut_out(scene: ArrangedScene, id: ObjectId, camera: Cameras, clean: bool = True) -> Picture:
    """A picture of what is visible of an object among all others: straight RGB and alpha, black where it is not.

    Args:
        camera: n cameras with n = 1.
        clean: whether faint alpha is taken away.
    """
    on_black = scene.with_options(background=0.0)
    return _picture(scene, camera, lambda rays: visible_images(on_black, rays, id), clean)


def _picture(
    scene: ArrangedScene, camera: Cameras, render: Callable[[RayBundle], dict[str, Tensor]], clean: bool
) -> Picture:
    rays = camera.to(scene.trained.radiance.device).generate_rays(0, keep_shape=True)
    images = render(rays.flatten())
    picture = straight(images["rgb"], images["accumulation"], clean)
    return picture.view(*rays.origins.shape[:2], 4).cpu().numpy()


def straight(rgb: Float[Tensor, "*n 3"], alpha: Float[Tensor, "*n 1"], clean: bool = True) -> Float[Tensor, "*n 4"]:
    """Colours of an object that was drawn on black, not multiplied by alpha, and alpha."""
    return torch.cat([unmixed(rgb, alpha, 0.0), crisp(alpha) if clean else alpha], -1)


def scene_picture(scene: ArrangedScene, camera: Cameras) -> Float[np.ndarray, "height width 3"]:
    """The edited scene as one camera sees it, RGB in [0, 1]."""
    frame = Frame.seen_by(scene, camera)
    return frame.image(frame.edited()).cpu().numpy()


def film(
    scene: ArrangedScene, cameras: Cameras, id: ObjectId, look: Look = Look(), transparent: bool = False
) -> Iterator[Float[Tensor, "height width channels"]]:
    """The frames of one object, alone and as the scene's edit colours it, in [0, 1].

    Args:
        scene: the scene; a later edit does not change the film.
        cameras: one camera per frame, where the object stands under the edit.
        id: the object.
        look: how it is shown.
        transparent: give RGB and straight alpha, in place of RGB on the scene's background.
    """
    subject, grey = Subject(scene, id, look), scene.options.background
    for number in range(len(cameras)):
        picture = subject.picture(cameras[number : number + 1])
        yield torch.from_numpy(picture if transparent else on_color(picture, (grey, grey, grey)))


class Wanted(NamedTuple):
    """A frame that is to be drawn."""

    shown: ObjectId | None
    """The object; None for the edited scene."""
    look: Look
    camera: Cameras
    """n cameras with n = 1."""


class Painter:
    """Draws frames as bytes: an object with transparency, or the edited scene, opaque."""

    def __init__(self, scene: ArrangedScene):
        self.scene = scene
        self._subject: Subject | None = None

    def __call__(self, wanted: Wanted) -> UInt8[np.ndarray, "height width channels"]:
        """The picture, (height, width, 4) of an object and (height, width, 3) of the scene."""
        if wanted.shown is None:
            return in_bytes(scene_picture(self.scene, wanted.camera))
        if self._subject is None or (self._subject.id, self._subject.look) != (wanted.shown, wanted.look):
            self._subject = Subject(self.scene, wanted.shown, wanted.look)
        return in_bytes(self._subject.picture(wanted.camera))

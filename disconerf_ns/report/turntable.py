"""The film of a card: an object turned once around, with transparency. All filming of the report is here."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.filming.frames import Subject
from disconerf_ns.filming.shots import orbit
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import SceneObject


class Turntable(NamedTuple):
    """An object's film."""

    frames: tuple[Float[np.ndarray, "size size 4"], ...]
    """RGBA in [0, 1], colours not multiplied by alpha."""
    remark: str
    """What the film cannot show, without a full stop."""


def turntable(scene: ArrangedScene, filmed: SceneObject, photographs: Cameras, frames: int, size: int) -> Turntable:
    """One turn around an object, or what `disconerf render` films in its place.

    Args:
        scene: the scene under a person's edit.
        filmed: one of its objects.
        photographs: cameras of the training views.
        frames: frames of the turn.
        size: side of the square frames in pixels.
    """
    shot = orbit(scene, filmed, photographs, frames, size)
    subject = Subject(scene, filmed.id, shot.look())
    pictures = (subject.picture(shot.cameras[number : number + 1]) for number in range(len(shot.cameras)))
    return Turntable(tuple(pictures), "" if shot.remark.startswith("0%") else shot.remark)

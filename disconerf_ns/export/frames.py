"""The frames of files: the capture's own, and its quarter turns for formats that say which way is up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from disconerf_ns.scene.similarity import Similarity

AXES = ("+x", "+y", "+z", "-x", "-y", "-z")


@dataclass(frozen=True)
class Capture:
    """The capture's frame, in which all files are."""

    frame: Similarity
    """Scene coordinates to the capture's."""
    metres: float | None = None
    """Metres in one of the capture's units; None where nobody said."""

    @cached_property
    def up(self) -> Float[np.ndarray, "3"]:
        """Unit vector: the scene's z axis, which nerfstudio estimated from the cameras."""
        return self.frame.directions(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)).numpy()

    @cached_property
    def up_axis(self) -> str:
        """The capture's axis that is nearest to up, such as +z."""
        return AXES[int(np.argmax([*self.up, *-self.up]))]

    def upright(self, axis: int) -> Float[np.ndarray, "4 4"]:
        """The quarter or half turn that takes the capture's up axis to a format's, and nothing where they agree.

        Args:
            axis: the format's up axis: 1 for y, 2 for z.
        """
        source = np.zeros(3)
        source[AXES.index(self.up_axis) % 3] = 1 if self.up_axis[0] == "+" else -1
        target = np.eye(3)[axis]
        if source @ target < 0:
            about = np.eye(3)[0]
            turn = 2 * np.outer(about, about) - np.eye(3)
        else:
            x, y, z = np.cross(source, target)
            across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            turn = np.eye(3) + across + across @ across / (1 + source @ target)
        matrix = np.eye(4)
        matrix[:3, :3] = np.round(turn)
        return matrix

    @property
    def glb_node(self) -> Float[np.ndarray, "4 4"]:
        """Transform from the capture's coordinates to glTF's: +y up, and in metres where the unit's length is known."""
        node = self.upright(1)
        node[:3, :3] *= self.metres or 1.0
        return node

    def facts(self) -> dict:
        """What a manifest says about the frame."""
        return {
            "name": "capture",
            "up": [round(float(x), 6) for x in self.up],
            "up_axis": self.up_axis,
            "units": "the capture's own",
            "metres_per_unit": self.metres,
            "scene_to_capture": self.frame.as_json(),
        }

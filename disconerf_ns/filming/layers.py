"""A picture of the edited scene in layers: colours, transparency, whose each pixel is, and how far."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt16
from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.files import write_whole
from disconerf_ns.filming.matte import Picture
from disconerf_ns.masks.label_image import write_label_image
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import unmixed
from disconerf_ns.scene.arranged import ArrangedScene

LAYERS = "labels", "depth"
"""Folders that `Layers.save` writes into."""


@dataclass(frozen=True)
class Layers:
    """One frame of the edited scene."""

    picture: Picture
    """Straight colours, and alpha: 0 where nothing stands before the plain background."""
    labels: UInt16[np.ndarray, "height width"]
    """Number of the object in the legend; 0 for nobody."""
    depth: Float[np.ndarray, "height width"]
    """Distance from the camera along the ray, in units of the scene."""

    def save(self, folder: Path, number: int) -> None:
        """Write `labels/NNNN.png`, 16 bit, and `depth/NNNN.npy`, float32."""
        write_label_image(self.labels, folder / "labels" / f"{number:04d}.png")
        npy = io.BytesIO()
        np.save(npy, self.depth)
        write_whole(folder / "depth" / f"{number:04d}.npy", npy.getvalue())


def layers_of(scene: ArrangedScene, camera: Cameras) -> Layers:
    """What one camera, n = 1, sees of the edited scene."""
    frame = Frame.seen_by(scene.with_options(background=0.0), camera)
    alpha = frame.edited_opacity()
    picture = torch.cat([unmixed(frame.edited(), alpha, 0.0), alpha], -1)
    numbers = torch.zeros(scene.ids + len(scene.guests) + 1, dtype=torch.long, device=alpha.device)
    for each in scene.objects:
        numbers[each.id] = each.label_number
    numbers[scene.ids : -1] = first_of_guests(scene) + torch.arange(len(scene.guests), device=alpha.device)
    labels = numbers[frame.edited_ids()]
    as_image = lambda flat: frame.image(flat).cpu().numpy()
    return Layers(as_image(picture), as_image(labels)[..., 0].astype(np.uint16), as_image(frame.edited_depth())[..., 0])


def first_of_guests(scene: ArrangedScene) -> int:
    """Label number of the first guest, above those of the scene's own objects."""
    return 1 + max((each.label_number for each in scene.all_objects + scene.objects), default=0)


def save_legend(scene: ArrangedScene, names: Sequence[str], path: Path) -> None:
    """Write which number in the labels is which object, as JSON.

    Args:
        names: names of the scene's guests.
    """
    there = [each for each in scene.objects if each.label_number > 0 and each.id not in scene.edit.hidden]
    own = [{"label": each.label_number, "name": each.label, "guest": False} for each in there]
    guests = [{"label": label, "name": name, "guest": True} for label, name in enumerate(names, first_of_guests(scene))]
    write_whole(path, json.dumps({"nobody": 0, "objects": own + guests}, indent=2))

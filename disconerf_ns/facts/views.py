"""Which photographs show an object best: those in which it is large, whole, and behind nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.evaluation.predictions import frame_of_view
from disconerf_ns.evaluation.views import EvaluatedRun, dataset_of, photographs_of
from disconerf_ns.masks.keys import image_key
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.scene.arranged import ArrangedScene
from disconerf_ns.scene.objects import ObjectId
from disconerf_ns.scene.solid import Solid

RAYS = 200_000
"""Rays, about, of all training views together that tell who sees what."""
MOST_RAYS = 6_000
"""Most rays of one view."""
STEPS = 128
"""Points along an object's box at which a ray looks for solid voxels."""
CUT_OFF = 0.5
"""What a view counts in which an object reaches over the picture's edge."""


@dataclass(frozen=True)
class Sight:
    """How one photograph shows an object."""

    view: str
    """The photograph's name: its path within the data's images."""
    pixels: float
    """Fraction of the picture that shows it, in (0, 1]."""
    visible: float
    """Fraction of its silhouette in the picture that nothing hides, in [0, 1]; 1 where it has no solid silhouette."""
    whole: bool
    """Whether its silhouette stays clear of the picture's edge."""

    @property
    def score(self) -> float:
        """How good the view is: pixels * visible, and half of that where the object is cut off."""
        return self.pixels * self.visible * (1.0 if self.whole else CUT_OFF)


def training_frames(run: EvaluatedRun, scene: ArrangedScene, rays: int) -> Iterator[tuple[str, Frame]]:
    """The name and a small frame of every training view, from the poses that the camera optimizer found.

    Args:
        run: the loaded run.
        scene: the scene, under a person's edit.
        rays: rays, about, of each view.
    """
    for index, name in enumerate(photographs(run)):
        yield name, training_frame(run, scene, index, rays)


def training_frame(run: EvaluatedRun, scene: ArrangedScene, index: int, rays: int) -> Frame:
    """A training view of a scene at about so many rays, at most one for each pixel of the photograph."""
    cameras = photographs_of(run, "train")
    pixels = int(cameras.height[index]) * int(cameras.width[index])
    return frame_of_view(run, index, math.ceil(math.sqrt(pixels / rays)), "train").under(scene)


def photographs(run: EvaluatedRun) -> list[str]:
    """The names of the training photographs: their paths within the data's images."""
    data = run.config.datamanager.dataparser.data
    return [f"{image_key(image, data)}{image.suffix}" for image in dataset_of(run, "train").image_filenames]


def sights_in(frame: Frame, name: str, solids: Mapping[ObjectId, Solid]) -> dict[ObjectId, Sight]:
    """How one view shows each object that it sees.

    Args:
        frame: the view.
        name: its photograph's name.
        solids: solid voxels of the objects.
    """
    seen_ids = frame.labels().id
    sights = {}
    for id, solid in solids.items():
        seen = seen_ids == id
        if not seen.any():
            continue
        covered = silhouette(solid, frame.rays.to(seen.device))
        visible = float((seen & covered).sum() / covered.sum()) if covered.any() else 1.0
        edge = covered.view(frame.shape)
        whole = not any(side.any() for side in (edge[0], edge[-1], edge[:, 0], edge[:, -1]))
        sights[id] = Sight(name, float(seen.float().mean()), visible, whole)
    return sights


def silhouette(solid: Solid, rays: RayBundle) -> Bool[Tensor, "rays"]:
    """Flat rays that meet a solid voxel, whatever is in front of it."""
    met = torch.zeros(len(rays), dtype=torch.bool, device=rays.origins.device)
    if len(solid) > 0:
        hit, _ = solid.grid.ray_samples(rays, STEPS, count=1)
        met[hit] = True
    return met


def rays_of_each(views: int) -> int:
    """Rays of each of so many views."""
    return max(min(RAYS // max(views, 1), MOST_RAYS), 1)

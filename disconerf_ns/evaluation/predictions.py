"""The label maps that a run predicts: for every pixel the number of the object that is seen there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.views import EvaluatedRun, dataset_of, photographs_of
from disconerf_ns.rendering.frame import Frame
from disconerf_ns.rendering.outputs import label_numbers
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.tree import DEFAULT
from disconerf_ns.surface.rays import sampled_rays

NOTHING = 0
"""Predicted label of pixels that show no object."""


def frame_of_view(
    run: EvaluatedRun,
    view: int,
    downscale: int = 1,
    split: Literal["train", "test"] = "test",
    granularity: float = DEFAULT,
) -> Frame:
    """A view of the scene without a person's edit, through pixels of the photograph's file.

    Args:
        run: a loaded or trained run; its current scene stays as it is.
        view: index in the split; a training view is seen from the pose that the camera optimizer found.
        downscale: the view is rendered at 1 / downscale of its size.
        granularity: how fine objects are, in [0, 1].
    """
    camera = photographs_of(run, split)[view : view + 1].to(run.device)
    height, width = (max(int(side) // downscale, 1) for side in (camera.height, camera.width))
    rays = sampled_rays(camera, 0, height, width).flatten()
    if split == "train":
        rays = as_trained(run, rays, view)
    return Frame(run.model.current.value.with_edit(Edit().at(granularity)), rays, (height, width))


def predict_labels(
    run: EvaluatedRun,
    view: int,
    downscale: int = 1,
    split: Literal["train", "test"] = "test",
    granularity: float = DEFAULT,
) -> Int[np.ndarray, "h w"]:
    """The number of the object that each pixel of a view belongs to, + 1; 0 at the rest and where there is no surface.

    Args:
        view, downscale, split, granularity: as in `frame_of_view`.
    Raises:
        UserError: the run has no objects.
    """
    if not run.model.current.value.trained.discovered:
        raise UserError(
            "evaluation: the run has no objects yet; train it until its object stage has begun, with a larger "
            "--max-num-iterations."
        )
    frame = frame_of_view(run, view, downscale, split, granularity)
    return label_map(frame.image(label_numbers(frame)))


def label_map(label: Tensor) -> Int[np.ndarray, "h w"]:
    """The output `label`, (H, W, 1), as whole numbers."""
    return label[..., 0].long().cpu().numpy()


@torch.no_grad()
def as_trained(run: EvaluatedRun, rays: RayBundle, view: int) -> RayBundle:
    """A training view's flat rays from the pose that the camera optimizer found."""
    rays.camera_indices = torch.full_like(rays.origins[..., :1], view, dtype=torch.long)
    run.model.camera_optimizer.apply_to_raybundle(rays)
    return rays


def training_rays(run: EvaluatedRun, most: int) -> Iterator[RayBundle]:
    """Flat rays of each training view, evenly spaced in its picture, through pixels that teach the radiance field.

    Args:
        run: the loaded run.
        most: rays of all views, about.
    """
    cameras = dataset_of(run, "train").cameras.to(run.device)
    scale = min(1.0, math.sqrt(most / int((cameras.height * cameras.width).sum())))
    for view in range(len(cameras)):
        height, width = (max(round(int(side[view]) * scale), 1) for side in (cameras.height, cameras.width))
        rays = as_trained(run, sampled_rays(cameras, view, height, width).flatten(), view)
        taught = run.datamanager.taught_at(view, height, width).flatten().to(rays.directions.device)
        yield rays[taught & rays.directions.isfinite().all(-1)]

"""Scenes that stand askew, because nerfstudio takes the mean of the cameras' own up for up."""

from __future__ import annotations

import math

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig

from disconerf_ns.compat.named_dataset import name_of

ASKEW = 10.0
"""A scene is said to lean if both directions are at least this many degrees apart."""
SPREAD = math.sin(math.radians(10))
"""Least turn of the cameras' horizons in the plane that they span, below which they do not tell what is up."""
LEVEL = math.sin(math.radians(10))
"""Largest roll of the cameras, above which their horizons do not tell what is up."""


def lean(cameras: Cameras) -> float | None:
    """Degrees between z and the direction that is across the horizons of all cameras; None where these do not tell.

    The own up of a camera that looks down leans away from it. Where cameras are all around a scene the mean of these is
    right, and on one side of it the mean leans to the other side.
    """
    horizons = cameras.camera_to_worlds[..., :3, 0].double().cpu()
    _, sizes, directions = torch.linalg.svd(horizons, full_matrices=False)
    if len(sizes) < 3:
        return None
    _, turned, rolled = (sizes / math.sqrt(len(horizons))).tolist()
    if turned < SPREAD or rolled > LEVEL:
        return None
    return math.degrees(math.acos(min(1.0, abs(float(directions[2, 2])))))


def said_to_lean(parser: DataParserConfig, cameras: Cameras) -> str | None:
    """A sentence about a scene that stands askew, with the remedy; None where it does not.

    Args:
        parser: turned the cameras.
        cameras: those of the training, as they were turned.
    """
    if getattr(parser, "orientation_method", None) != "up" or (angle := lean(cameras)) is None or angle < ASKEW:
        return None
    return (
        f"data: the cameras look from one side, and what nerfstudio takes for up is {angle:.0f} degrees off their "
        "horizons; films, boxes and what is completed below things lean by as much. End ns-train with "
        f"`{name_of(parser)} --orientation-method vertical`."
    )

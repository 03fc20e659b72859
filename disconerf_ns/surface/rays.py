"""Rays at a reduced resolution that still pass through the centres of the full-size image's pixels."""

from __future__ import annotations

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle

from disconerf_ns.masks.image_masks import sampled


def sampled_rays(cameras: Cameras, index: int, height: int, width: int) -> RayBundle:
    """Rays of a camera, (height, width), through the centres of the pixels that `resample` takes from its image.

    A camera of lower resolution would look between these pixels if the scale is even, half a pixel away from the masks,
    the labels and the colours. Lens distortion and camera model stay the full-size camera's.

    Args:
        cameras: full-size cameras.
        index: index of the camera.
        height, width: reduced resolution in pixels.
    """
    y = torch.from_numpy(sampled(int(cameras.height[index]), height)).to(cameras.device) + 0.5
    x = torch.from_numpy(sampled(int(cameras.width[index]), width)).to(cameras.device) + 0.5
    coords = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).float().view(-1, 2)
    indices = torch.full((len(coords), 1), index, device=cameras.device)
    return cameras.generate_rays(indices, coords=coords).reshape((height, width))

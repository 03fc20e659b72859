"""A dataset for timing training, of any size: smooth random photographs from cameras on a circle, with masks.

Nothing can be learned from it; the time of a training step does not depend on what the photographs show.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore


def write_photographs(
    folder: Path, views: int = 60, width: int = 320, height: int = 240, masks: int = 4, seed: int = 0
) -> Path:
    """A nerfstudio dataset, every eighth view held out; each view has `masks` masks, upright stripes of the picture."""
    (folder / "images").mkdir(parents=True)
    store = MaskStore.create(folder / "masks" / "stripes", {"generator": "stripes"})
    random = np.random.default_rng(seed)
    stripes = np.arange(width) * masks // width == np.arange(masks)[:, None, None]
    found = ImageMasks.from_arrays(np.broadcast_to(stripes, (masks, height, width)))
    frames = []
    for view in range(views):
        name = f"images/{view:04d}.png"
        coarse = random.integers(256, size=(6, 8, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)).save(folder / name)
        store.save(f"{view:04d}", found)
        frames.append({"file_path": name, "transform_matrix": pose(2 * np.pi * view / views).tolist()})
    held_out = [frame["file_path"] for frame in frames[4::8]]
    trained = [frame["file_path"] for frame in frames if frame["file_path"] not in held_out]
    splits = {"train_filenames": trained, "val_filenames": held_out, "test_filenames": held_out}
    intrinsics = {"w": width, "h": height, "fl_x": width, "fl_y": width, "cx": width / 2, "cy": height / 2}
    content = {"camera_model": "OPENCV", **intrinsics, **splits, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder


def pose(angle: float) -> np.ndarray:
    """Camera to world, (4, 4), of a camera at distance 2 from the origin that looks at it, level."""
    backward = np.array([np.cos(angle), np.sin(angle), 0])
    up = np.array([0, 0, 1.0])
    matrix = np.eye(4)
    matrix[:3] = np.stack([np.cross(up, backward), up, backward, 2 * backward], 1)
    return matrix

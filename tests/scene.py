"""A scene small enough to be learned within seconds: coloured balls on a floor, ray-cast, with exact labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore

BALLS = (
    # centre, radius, colour
    ((-0.45, 0.0, 0.25), 0.25, (220, 60, 50)),
    ((0.25, 0.35, 0.3), 0.3, (60, 170, 80)),
    ((0.3, -0.4, 0.2), 0.2, (70, 100, 220)),
)


def camera_pose(angle: float, height: float, distance: float) -> np.ndarray:
    """OpenGL camera-to-world matrix of a camera that circles the origin and looks at it."""
    position = distance * np.array([np.cos(angle) * np.cos(height), np.sin(angle) * np.cos(height), np.sin(height)])
    backward = position / np.linalg.norm(position)
    right = np.cross([0, 0, 1.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(backward, right), backward, position], 1)
    return pose


def cast(pose: np.ndarray, width: int, height: int, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 and labels (H, W): 1.. for the balls, 4 for the floor, 0 for the sky."""
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    directions = np.stack([x / focal, -y / focal, -np.ones_like(x)], -1) @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origin = pose[:3, 3]
    nearest, labels = np.full(x.shape, np.inf), np.zeros(x.shape, int)
    color = np.broadcast_to(np.array([200.0, 215, 235]), (*x.shape, 3)).copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        floor = -origin[2] / directions[..., 2]
        point = origin + floor[..., None] * directions
        on_floor = (floor > 0) & (np.abs(point[..., :2]).max(-1) < 1.2)
        checker = (np.floor(point[..., 0] * 3) + np.floor(point[..., 1] * 3)) % 2
        color[on_floor] = np.where(checker[..., None] > 0, [180, 160, 130], [120, 100, 80])[on_floor]
        nearest[on_floor], labels[on_floor] = floor[on_floor], 4
        for number, (centre, radius, rgb) in enumerate(BALLS, 1):
            b = directions @ (origin - np.array(centre))
            discriminant = b**2 - (np.sum((origin - np.array(centre)) ** 2) - radius**2)
            distance = -b - np.sqrt(discriminant)
            hit = (discriminant > 0) & (distance > 0) & (distance < nearest)
            normal = (origin + distance[..., None] * directions - np.array(centre)) / radius
            shade = 0.65 + 0.35 * (normal @ np.array([0.3, 0.2, 0.93]))
            color[hit] = (np.array(rgb) * shade[..., None])[hit]
            nearest[hit], labels[hit] = distance[hit], number
    return color.clip(0, 255).astype(np.uint8), labels


def write_scene(folder: Path, views: int = 16, width: int = 48, height: int = 36, masks: bool = True) -> Path:
    """A nerfstudio dataset with `images/`, `labels/` and exact masks in `masks/exact/`; every 8th view is held out."""
    focal = 0.9 * width
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    store = MaskStore.create(folder / "masks" / "exact", {"generator": "exact"}) if masks else None
    frames, held_out = [], []
    for view in range(views):
        pose = camera_pose(2 * np.pi * view / views, 0.5 + 0.25 * (view % 3), 2.2)
        image, labels = cast(pose, width, height, focal)
        name = f"images/{view:04d}.png"
        Image.fromarray(image).save(folder / name)
        Image.fromarray(labels.astype(np.uint16)).save(folder / "labels" / f"{view:04d}.png")
        if store is not None:
            found = [labels == label for label in np.unique(labels) if label > 0]
            store.save(f"{view:04d}", ImageMasks.from_arrays(np.stack(found)))
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
        held_out += [name] if view % 8 == 4 else []
    trained = [frame["file_path"] for frame in frames if frame["file_path"] not in held_out]
    intrinsics = {"w": width, "h": height, "fl_x": focal, "fl_y": focal, "cx": width / 2, "cy": height / 2}
    splits = {"train_filenames": trained, "val_filenames": held_out, "test_filenames": held_out}
    content = {"camera_model": "OPENCV", **intrinsics, **splits, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder

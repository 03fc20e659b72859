"""Writes a scene as a nerfstudio dataset: `transforms.json`, `images/`, `labels/` and sets of masks in `masks/`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore
from examples.scenes.cameras import Pinhole, transforms
from examples.scenes.noise import MaskNoise, agreement, noisy_masks
from examples.scenes.scene import Scene

JPEG_QUALITY = 92


def write_cameras(root: Path, camera: Pinhole, poses: np.ndarray) -> list[str]:
    """Write `transforms.json`; the result is the key of every view."""
    keys = [f"{i:04d}" for i in range(len(poses))]
    content = transforms(camera, poses, [f"images/{key}.jpg" for key in keys])
    root.mkdir(parents=True, exist_ok=True)
    frames = content.pop("frames")
    head = json.dumps(content, indent=2)[:-2]
    lines = ",\n".join(f"    {json.dumps(frame)}" for frame in frames)
    (root / "transforms.json").write_text(f'{head},\n  "frames": [\n{lines}\n  ]\n}}\n')
    return keys


def write_photo(root: Path, key: str, photo: np.ndarray) -> None:
    """Write `images/<key>.jpg` with full colour resolution."""
    path = root / "images" / f"{key}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path, quality=JPEG_QUALITY, subsampling=0, optimize=True)


def write_labels(root: Path, key: str, labels: np.ndarray) -> None:
    """Write `labels/<key>.png`, 16 bit, one value per object."""
    path = root / "labels" / f"{key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint16)).save(path, optimize=True)


def read_labels(root: Path, key: str) -> np.ndarray:
    """(H, W) uint16 labels of a view."""
    with Image.open(root / "labels" / f"{key}.png") as image:
        return np.array(image).astype(np.uint16)


def write_objects(root: Path, scene: Scene) -> None:
    """Write `labels/labels.json`: name, label, middle and bounding box of every object, in the cameras' coordinates."""
    entries = []
    for label, item in enumerate(scene.objects, start=1):
        low, high = item.box()
        values = {"center": (low + high) / 2, "box_min": low, "box_max": high}
        entries.append({"label": label, "name": item.name, **{k: v.round(5).tolist() for k, v in values.items()}})
    (root / "labels").mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(entry)}" for entry in entries)
    (root / "labels" / "labels.json").write_text(f'{{\n  "void": 0,\n  "objects": [\n{lines}\n  ]\n}}\n')


def write_noisy_masks(root: Path, level: str, noise: MaskNoise, seed: int = 0, name: str = "noisy") -> float:
    """Write `masks/<name>/` from the labels that are there; the result is the masks' mean agreement with them."""
    keys = sorted(path.stem for path in (root / "labels").glob("*.png"))
    manifest = {"generator": "noisy", "version": 1, "parameters": {"level": level, "seed": seed, **asdict(noise)}}
    store = MaskStore.create(root / "masks" / name, manifest)
    scores = []
    for i, key in enumerate(keys):
        labels = read_labels(root, key)
        made = noisy_masks(labels, noise, seed * 100_003 + i)
        store.save(key, ImageMasks.from_arrays(made.masks, made.predicted_iou.tolist(), made.stability_score.tolist()))
        scores.append(agreement(labels, made.masks))
    return float(np.mean(scores))

"""Writes a scene as a nerfstudio dataset: `transforms.json`, `images/`, `labels/` and sets of masks in `masks/`."""

from __future__ import annotations

import json
from collections.abc import Collection
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


def read_cameras(root: Path) -> tuple[Pinhole, np.ndarray, list[str]]:
    """The camera, (views, 4, 4) poses and key of every view of a dataset that is there."""
    content = json.loads((root / "transforms.json").read_text())
    poses = np.array([frame["transform_matrix"] for frame in content["frames"]])
    keys = [Path(frame["file_path"]).stem for frame in content["frames"]]
    return Pinhole(content["w"], content["h"], content["fl_x"]), poses, keys


def write_photo(root: Path, key: str, photo: np.ndarray) -> None:
    """Write `images/<key>.jpg` with full colour resolution."""
    path = root / "images" / f"{key}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path, quality=JPEG_QUALITY, subsampling=0, optimize=True)


def write_labels(root: Path, key: str, labels: np.ndarray, folder: str = "labels") -> None:
    """Write `<folder>/<key>.png`, 16 bit, one value per object or part."""
    path = root / folder / f"{key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint16)).save(path, optimize=True)


def read_labels(root: Path, key: str, folder: str = "labels") -> np.ndarray:
    """(H, W) uint16 labels of a view's objects, or of its parts where the folder is `parts`."""
    with Image.open(root / folder / f"{key}.png") as image:
        return np.array(image).astype(np.uint16)


def write_objects(root: Path, scene: Scene) -> None:
    """Write `labels/labels.json`: name, label, middle and bounding box of every object, in the cameras' coordinates."""
    entries = []
    for label, item in enumerate(scene.objects, start=1):
        low, high = item.box()
        values = {"center": (low + high) / 2, "box_min": low, "box_max": high}
        entries.append({"label": label, "name": item.name, **{k: v.round(5).tolist() for k, v in values.items()}})
    _write_entries(root / "labels" / "labels.json", entries)


def write_parts(root: Path, scene: Scene) -> None:
    """Write `parts/labels.json`: label and name of every part, and the label of the object that it is part of."""
    entries = []
    for label, (owner, name) in enumerate(scene.parts, start=1):
        entries.append({"label": label, "name": f"{scene.objects[owner - 1].name} {name}".strip(), "object": owner})
    _write_entries(root / "parts" / "labels.json", entries)


def _write_entries(path: Path, entries: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(entry)}" for entry in entries)
    path.write_text(f'{{\n  "void": 0,\n  "objects": [\n{lines}\n  ]\n}}\n')


def labels_named(root: Path, names: Collection[str]) -> list[int]:
    """Labels of the objects with these names.

    Raises:
        SystemExit: there is no object of a name.
    """
    entries = json.loads((root / "labels" / "labels.json").read_text())["objects"] if names else []
    known = {entry["name"]: entry["label"] for entry in entries}
    if missing := [name for name in names if name not in known]:
        raise SystemExit(f"There is no object called {missing[0]}; choose from {', '.join(known)}.")
    return [known[name] for name in names]


def write_noisy_masks(
    root: Path, level: str, noise: MaskNoise, seed: int = 0, name: str = "noisy", uncovered: Collection[int] = ()
) -> float:
    """Write `masks/<name>/` from the labels that are there; the result is the masks' mean agreement with them.

    `parts/` takes part if it is there and the noise knows parts. The manifest names the labels that no mask is about.
    """
    keys = sorted(path.stem for path in (root / "labels").glob("*.png"))
    with_parts = noise.whole is not None and (root / "parts").is_dir()
    parameters = {"level": level, "seed": seed, **noise.recipe()}
    if uncovered:
        parameters["uncovered"] = list(uncovered)
    manifest = {"generator": "noisy", "version": 1, "parameters": parameters}
    store = MaskStore.create(root / "masks" / name, manifest)
    scores = []
    for i, key in enumerate(keys):
        labels = read_labels(root, key)
        parts = read_labels(root, key, "parts") if with_parts else None
        made = noisy_masks(labels, noise, seed * 100_003 + i, parts, uncovered)
        store.save(key, ImageMasks.from_arrays(made.masks, made.predicted_iou.tolist(), made.stability_score.tolist()))
        scores.append(agreement(np.where(np.isin(labels, uncovered), 0, labels), made.masks))
    return float(np.mean(scores))

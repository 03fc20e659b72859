"""The masks of a dataset on disk: an SA-1B JSON file per image, found by the relative path, and a manifest."""

from __future__ import annotations

import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from disconerf_ns.errors import UserError
from disconerf_ns.files import write_whole
from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.rle import Rle

MANIFEST = "manifest.json"
IMAGE_FOLDER = re.compile(r"images(_\d+)?")


class MaskError(UserError):
    """Masks that are missing or broken; one sentence that names the file, the value and the remedy."""


@dataclass(frozen=True)
class Mask:
    """One binary mask of one image, compressed."""

    rle: Rle
    area: int
    """Pixels."""
    bbox: tuple[float, float, float, float]
    """(x, y, width, height) in pixels."""
    predicted_iou: float | None = None
    """The proposer's own estimate of the mask's quality."""
    stability_score: float | None = None
    """How little the mask changes with the threshold that cut it out (IoU in [0, 1])."""
    level: int | None = None
    """Granularity: 0 is whole objects, higher is finer; None where the proposer has no levels."""


@dataclass(frozen=True)
class ImageMasks:
    """All masks of one image. They may overlap, leave pixels uncovered, be none at all; they are decoded on demand."""

    height: int
    width: int
    annotations: tuple[Mask, ...]
    looked_at: Rle | None = None
    """Pixels that the proposer looked at; None means all."""

    def __len__(self) -> int:
        return len(self.annotations)

    def decode(self, height: int | None = None, width: int | None = None) -> Bool[np.ndarray, "masks height width"]:
        """The masks as arrays, at their own size or resampled to another (nearest, at pixel centres)."""
        height, width = height or self.height, width or self.width
        masks = np.empty((len(self), height, width), dtype=bool)
        for mask, annotation in zip(masks, self.annotations, strict=True):
            mask[...] = resample(run_length.decode(annotation.rle), height, width)
        return masks

    def decode_looked_at(self, height: int | None = None, width: int | None = None) -> Bool[np.ndarray, "height width"]:
        """The pixels that the proposer looked at, resampled as the masks are."""
        height, width = height or self.height, width or self.width
        if self.looked_at is None:
            return np.ones((height, width), dtype=bool)
        return np.ascontiguousarray(resample(run_length.decode(self.looked_at), height, width))

    @classmethod
    def from_arrays(
        cls,
        masks: Bool[np.ndarray, "masks height width"],
        predicted_iou: Sequence[float] | None = None,
        stability_score: Sequence[float] | None = None,
        level: Sequence[int | None] | int | None = None,
        looked_at: Bool[np.ndarray, "height width"] | None = None,
    ) -> ImageMasks:
        """Compress masks.

        Args:
            masks: one array, also when there are no masks: its shape gives the image's size.
            predicted_iou, stability_score: one value per mask.
            level: one value per mask, or one for all.
            looked_at: pixels that the proposer looked at; None means all.
        Raises:
            ValueError: the arguments' lengths or sizes disagree.
        """
        if masks.ndim != 3 or (looked_at is not None and looked_at.shape != masks.shape[1:]):
            raise ValueError(f"masks have shape {masks.shape}, expected (K, H, W) and looked_at of shape (H, W)")
        count = len(masks)
        ious = [None] * count if predicted_iou is None else [float(value) for value in predicted_iou]
        stabilities = [None] * count if stability_score is None else [float(value) for value in stability_score]
        levels = list(level) if isinstance(level, (Sequence, np.ndarray)) else [level] * count
        if not count == len(ious) == len(stabilities) == len(levels):
            raise ValueError(
                f"{count} masks with {len(ious)} IoUs, {len(stabilities)} stabilities and {len(levels)} levels"
            )
        annotations = tuple(
            _mask(run_length.encode(mask), iou, stability, None if level is None else int(level))
            for mask, iou, stability, level in zip(masks, ious, stabilities, levels, strict=True)
        )
        _, height, width = masks.shape
        return cls(height, width, annotations, None if looked_at is None else run_length.encode(looked_at))


def image_key(image: Path, data: Path) -> str:
    """The name under which an image's masks are kept.

    It is the image's path relative to the dataset, without suffix and without a leading `images` or `images_<k>`, so
    that every downscaled copy of an image has the same key: DATA/images_4/a/0001.jpg is `a/0001`.

    Args:
        image: the image's file.
        data: the dataset's folder, or its transforms file.
    Returns:
        A posix path; the bare stem for an image outside the dataset.
    """
    data = Path(data)
    folder = data.parent if data.suffix == ".json" else data
    for absolute in (os.path.abspath, os.path.realpath):
        here, there = Path(absolute(image)), Path(absolute(folder))
        if here.is_relative_to(there):
            parts = here.relative_to(there).with_suffix("").parts
            inside_images = len(parts) > 1 and IMAGE_FOLDER.fullmatch(parts[0])
            return PurePosixPath(*(parts[1:] if inside_images else parts)).as_posix()
    return Path(image).stem


class MaskStore:
    """A set of masks: `<root>/<key>.json` per image, and `<root>/manifest.json` that says what made them."""

    def __init__(self, root: Path, note: str = ""):
        self.root = Path(root)
        self.note = note
        """Which set was taken and what else was there, where the choice was the program's."""

    @classmethod
    def open(cls, root: Path) -> MaskStore:
        """The set in a folder.

        Raises:
            MaskError: no such folder, or no masks in it.
        """
        root = Path(root)
        if not root.is_dir():
            raise MaskError(f"masks: there is no folder {root}; make masks with `disconerf masks --data DATA`.")
        store = cls(root)
        if not store.keys():
            raise MaskError(
                f"masks: {root} has no masks (one JSON file per image); make some with `disconerf masks --data DATA`."
            )
        return store

    @classmethod
    def find(cls, data: Path) -> MaskStore:
        """The set of a dataset: the only one in DATA/masks/, or the newest; the result's `note` says which.

        Args:
            data: the dataset's folder, or its transforms file.
        Raises:
            MaskError: there is none.
        """
        data = Path(data)
        folder = (data.parent if data.suffix == ".json" else data) / "masks"
        if (folder / MANIFEST).is_file():
            roots = [folder]
        else:
            roots = [child for child in sorted(folder.iterdir()) if child.is_dir()] if folder.is_dir() else []
        stores = [store for store in map(cls, roots or [folder]) if store.keys()]
        if not stores and cls(folder).keys():
            stores = [cls(folder)]
        if not stores:
            raise MaskError(f"masks: {folder} has no masks; make them with `disconerf masks --data {data}`.")
        newest = max(stores, key=lambda store: store.created)
        others = [store.root.name for store in stores if store is not newest]
        also = f" (the newest; also there: {', '.join(others)})" if others else ""
        return cls(newest.root, note=f"masks: taking {newest.root}{also}.")

    @classmethod
    def create(cls, root: Path, manifest: dict[str, Any]) -> MaskStore:
        """Start a set, or continue one, under this manifest (generator, parameters, version; `created` is added)."""
        root = Path(root)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_whole(root / MANIFEST, json.dumps({"created": created, **manifest}, indent=2))
        return cls(root)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What made the masks; empty where nothing was written down.

        Raises:
            MaskError: the file is not a JSON object.
        """
        path = self.root / MANIFEST
        return _read(path) if path.is_file() else {}

    @property
    def created(self) -> float:
        """When the set was made, in seconds since 1970: by its manifest, or else by the folder's own time."""
        try:
            return datetime.fromisoformat(self.manifest["created"]).timestamp()
        except (MaskError, KeyError, TypeError, ValueError):
            return self.root.stat().st_mtime

    def keys(self) -> list[str]:
        """The keys of all images that have a file of masks, sorted."""
        files = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*.json"))
        return sorted(name.removesuffix(".json") for name in files if name != MANIFEST)

    def resolve(self, key: str) -> str | None:
        """The stored key for an image's key.

        nerfstudio drops subfolders when it downscales images, so where the key itself is not there, a stored key that
        ends in it (or that it ends in) is taken: `0001` finds `left/0001`, but `right/0001` does not.

        Returns:
            None where there is none.
        Raises:
            MaskError: several stored keys fit.
        """
        if self.holds(key):
            return key
        fitting = [
            stored
            for stored in self._keys_by_stem.get(PurePosixPath(key).name, ())
            if stored.endswith(f"/{key}") or key.endswith(f"/{stored}")
        ]
        if len(fitting) > 1:
            raise MaskError(
                f"masks: {self.root} has {len(fitting)} candidates for image {key} ({', '.join(fitting[:3])}); "
                "keep the images' subfolders or give the images different names."
            )
        return fitting[0] if fitting else None

    def holds(self, key: str) -> bool:
        """Whether there is a file under exactly this key."""
        return self._path(key).is_file() and f"{key}.json" != MANIFEST

    def clear(self) -> None:
        """Delete all masks; the manifest stays."""
        for key in self.keys():
            self._path(key).unlink()
        self.__dict__.pop("_keys_by_stem", None)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the images' keys that have no masks."""
        return [key for key in keys if self.resolve(key) is None]

    def load(self, key: str) -> ImageMasks:
        """The masks of a stored key.

        Raises:
            MaskError: the file is not there, not JSON, lacks a field, has RLE that cannot be decoded, or masks whose
                size is not the image's.
        """
        path = self._path(key)
        content = _read(path)
        try:
            return _parse(content)
        except ValueError as error:
            raise MaskError(f"masks: {path} is broken: {error}. {_REMAKE}") from None

    def save(self, key: str, masks: ImageMasks, image: dict[str, Any] | None = None) -> None:
        """Write the masks of one image; other readers see the old file or the new one, never half of one.

        Args:
            image: more facts for the file's `image` entry, such as `file_name`.
        Raises:
            MaskError: the key is the manifest's.
        """
        if f"{key}.json" == MANIFEST:
            raise MaskError(f"masks: an image called {key} would replace {self.root / MANIFEST}; rename the image.")
        content = {
            "image": {
                "file_name": PurePosixPath(key).name,
                **(image or {}),
                "height": masks.height,
                "width": masks.width,
            },
            "annotations": [_annotation(mask) for mask in masks.annotations],
        }
        if masks.looked_at is not None:
            content["looked_at"] = masks.looked_at
        write_whole(self._path(key), json.dumps(content))
        self.__dict__.pop("_keys_by_stem", None)

    def _path(self, key: str) -> Path:
        return self.root / f"{key}.json"

    @cached_property
    def _keys_by_stem(self) -> dict[str, list[str]]:
        by_stem = defaultdict(list)
        for key in self.keys():
            by_stem[PurePosixPath(key).name].append(key)
        return by_stem


_REMAKE = "Delete it and run `disconerf masks --data DATA` again to remake it."


def _mask(rle: Rle, predicted_iou: float | None, stability_score: float | None, level: int | None) -> Mask:
    return Mask(rle, run_length.area(rle), run_length.bounding_box(rle), predicted_iou, stability_score, level)


def resample(mask: Shaped[np.ndarray, "h w"], height: int, width: int) -> Shaped[np.ndarray, "height width"]:
    """Nearest neighbour at pixel centres: output pixel i takes the input pixel that holds (i + 0.5) / scale."""
    if mask.shape == (height, width):
        return mask
    rows = (2 * np.arange(height) + 1) * mask.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.shape[1] // (2 * width)
    return mask[rows[:, None], columns]


def _annotation(mask: Mask) -> dict[str, Any]:
    scores = {name: getattr(mask, name) for name in ("predicted_iou", "stability_score", "level")}
    known = {name: value for name, value in scores.items() if value is not None}
    return {"segmentation": mask.rle, "area": mask.area, "bbox": list(mask.bbox), **known}


def _parse(content: dict[str, Any]) -> ImageMasks:
    """Raises ValueError with what is wrong, for `MaskStore.load` to add the file."""
    image, annotations = content.get("image"), content.get("annotations")
    if not isinstance(image, dict) or not isinstance(annotations, list):
        raise ValueError("it lacks an `image` object or an `annotations` list")
    height, width = image.get("height"), image.get("width")
    if not (run_length.is_length(height) and run_length.is_length(width)):
        raise ValueError("`image` lacks `height` and `width` in pixels")

    masks = []
    for number, annotation in enumerate(annotations):
        try:
            masks.append(_parse_annotation(annotation, [height, width]))
        except ValueError as error:
            raise ValueError(f"annotation {number}: {error}") from None
    looked_at = content.get("looked_at")
    if looked_at is not None:
        looked_at = _sized(looked_at, [height, width])
    return ImageMasks(height, width, tuple(masks), looked_at)


def _parse_annotation(annotation: Any, size: list[int]) -> Mask:
    if not isinstance(annotation, dict) or "segmentation" not in annotation:
        raise ValueError("it lacks a `segmentation`")
    rle = _sized(annotation["segmentation"], size)
    level = annotation.get("level")
    if level is not None and type(level) is not int:
        raise ValueError("`level` is not a whole number")
    return _mask(rle, _score(annotation, "predicted_iou"), _score(annotation, "stability_score"), level)


def _sized(segmentation: Any, size: list[int]) -> Rle:
    rle = run_length.checked(segmentation)
    if rle["size"] != size:
        raise ValueError(
            f"the mask is {rle['size'][0]} x {rle['size'][1]}, the image {size[0]} x {size[1]} (rows x columns)"
        )
    return rle


def _score(annotation: dict[str, Any], name: str) -> float | None:
    value = annotation.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"`{name}` is not a number")
    return float(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MaskError(f"masks: there is no file {path}; run `disconerf masks --data DATA` to make it.") from None
    except (ValueError, RecursionError) as error:
        raise MaskError(f"masks: {path} is not JSON ({error}). {_REMAKE}") from None
    if not isinstance(content, dict):
        raise MaskError(f"masks: {path} does not hold a JSON object. {_REMAKE}")
    return content

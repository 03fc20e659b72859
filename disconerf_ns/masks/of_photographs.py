"""Masks of photographs that a run learns from: each has some, of its own and of its shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from disconerf_ns.errors import UserError
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.store import MaskStore


class Photograph(NamedTuple):
    """A photograph as the training uses it."""

    file: Path
    key: str
    """Key of its masks: its path in the data, without suffix."""
    size: tuple[int, int]
    """Height and width in pixels."""


def masks_of_each(
    store: MaskStore, photographs: list[Photograph], held_out: Iterable[str], data: Path, may_lack: bool
) -> list[ImageMasks]:
    """Masks of every photograph, run-length encoded.

    Args:
        store: the set of masks.
        photographs: those that are learned from.
        held_out: keys of the other photographs, with which sets that name their masks otherwise are matched, too.
        data: the dataset's folder.
        may_lack: whether some of the photographs may have no masks.
    Raises:
        UserError: an image has no masks, its masks have another shape, or two images would share them.
    """
    owner: dict[str, Path] = {}
    for image in photographs:
        if owner.setdefault(image.key, image.file) != image.file:
            raise UserError(
                f"masks: {owner[image.key]} and {image.file} would share one file of masks; rename one of them."
            )
    stored = store.files_for([*owner, *held_out])
    absent = [image.file.name for image in photographs if image.key not in stored]
    if absent and (len(absent) == len(photographs) or not may_lack):
        named = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        raise UserError(
            f"masks: {store.root} has masks for {len(photographs) - len(absent)} of {len(photographs)} training "
            f"images; missing: {named}. Run `disconerf masks --data {data}` to add them, or pass "
            "--pipeline.datamanager.allow-missing-masks True."
        )
    return [_masks_of(store, image, stored) for image in photographs]


def _masks_of(store: MaskStore, image: Photograph, stored: Mapping[str, str]) -> ImageMasks:
    height, width = image.size
    if image.key not in stored:
        return ImageMasks(height, width, ())
    key = stored[image.key]
    masks = store.load(key)
    if not same_shape((masks.height, masks.width), image.size):
        raise UserError(
            f"masks: {store.root / key}.json is for an image of {masks.width} x {masks.height}, but "
            f"{image.file.name} is {width} x {height}, another shape; make the masks from the training images."
        )
    return masks

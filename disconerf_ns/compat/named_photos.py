"""Photographs that are missing, broken or of another size, named.

nerfstudio's loaders pass on what a decoder says, which names no file, and take any size for the camera's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nerfstudio.cameras.cameras import Cameras

from disconerf_ns.errors import UserError
from disconerf_ns.masks.images import UNREADABLE, Header, read_image

SLACK = 0.01
"""Fraction of a side that a photograph may be larger or smaller; smaller copies are rounded, one way or the other."""
SMALLER = re.compile(r".*_\d+")
"""Folders that nerfstudio's `--downscale-factor` stands for, such as images_2."""


@contextmanager
def photos_named(photographs: Sequence[Path]) -> Iterator[None]:
    """If nerfstudio fails to read photographs in here, name the first that is missing or broken.

    Raises:
        UserError: names the file and the remedy.
    """
    try:
        yield
    except UNREADABLE as error:
        for path in photographs:
            try:
                read_image(path)
            except UserError as fault:
                raise UserError(f"images: {fault}; {_remedy(path.parent)}.") from error
        raise


def check_sizes(cameras: Cameras, images: Sequence[Path], headers: Mapping[Path, Header | None]) -> None:
    """Refuse photographs that are not of their camera's size: rays would go through other pixels than they show.

    Args:
        cameras: one of each photograph, as the dataparser gives them.
        images: the photographs.
        headers: theirs; photographs that are missing or broken are left to `photos_named`.
    Raises:
        UserError: names the first photograph, and both sizes.
    """
    other = []
    for image, *wanted in zip(images, cameras.width[:, 0].tolist(), cameras.height[:, 0].tolist()):
        read = headers[image]
        if read and any(abs(one - two) > max(1, SLACK * two) for one, two in zip(read.size, wanted)):
            other.append((image, read.size, wanted))
    if other:
        (image, size, wanted), count = other[0], len(other)
        raise UserError(
            f"images: {count} of {len(images)} photographs have another size than their cameras, such as {image}, "
            f"which is {size[0]} x {size[1]} and not {wanted[0]} x {wanted[1]}; use the photographs that the poses "
            "were computed from."
        )


def _remedy(folder: Path) -> str:
    if folder.is_dir() or not SMALLER.fullmatch(folder.name):
        return "restore it"
    return f"write smaller photographs to {folder}, or train on all pixels by the dataparser's --downscale-factor 1"

"""Photographs that are missing or broken, named: what nerfstudio's loaders say is a decoder's, and names no file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.masks.images import read_image

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
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        for path in photographs:
            try:
                read_image(path)
            except UserError as fault:
                raise UserError(f"images: {fault}; {_remedy(path.parent)}.") from error
        raise


def _remedy(folder: Path) -> str:
    if folder.is_dir() or not SMALLER.fullmatch(folder.name):
        return "restore it"
    return f"write smaller photographs to {folder}, or train on all pixels by the dataparser's --downscale-factor 1"

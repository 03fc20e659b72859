"""The names under which the masks of images are kept, and how those of other programs are found by them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from disconerf_ns.errors import MaskError

IMAGE_FOLDER = re.compile(r"images(_\d+)?")


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


class KeyIndex:
    """Stored names, found by the keys of images.

    nerfstudio drops subfolders when it downscales images, and so do other programs, so where the key itself is not
    there, a stored name that ends in it (or that it ends in) is taken: `0001` finds `left/0001`, but `right/0001` does
    not.
    """

    def __init__(self, names: Iterable[str], root: Path):
        self.root = root
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in names:
            self._by_stem[PurePosixPath(name).name].append(name)

    def find(self, key: str) -> str | None:
        """The stored name for an image's key, None where there is none.

        Raises:
            MaskError: several fit.
        """
        candidates = self._by_stem.get(PurePosixPath(key).name, ())
        if key in candidates:
            return key
        fitting = [name for name in candidates if name.endswith(f"/{key}") or key.endswith(f"/{name}")]
        if len(fitting) > 1:
            raise MaskError(
                f"masks: {self.root} has {len(fitting)} candidates for image {key} ({', '.join(fitting[:3])}); "
                "keep the images' subfolders or give the images different names."
            )
        return fitting[0] if fitting else None

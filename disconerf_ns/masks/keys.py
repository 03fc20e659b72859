"""Keys of images, under which their masks are stored, and the pairing of mask files with images by name."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.frames import shared_folder
from disconerf_ns.masks.say import say
from disconerf_ns.masks.simplify import AFFIXES, WAYS, without_suffix

IMAGE_FOLDER = re.compile(r"images(_\d+)?")


def image_key(image: Path, data: Path) -> str:
    """The key of an image, under which its masks are stored.

    The key is the image's path relative to the dataset, without its suffix and without a leading `images` or
    `images_<k>`. All downscaled copies of an image thus have the same key: DATA/images_4/a/0001.jpg has `a/0001`.

    Args:
        image: the image's file.
        data: the dataset's folder, or its transforms file.
    Returns:
        A POSIX path. For an image outside the dataset it is relative to the deepest folder with all images that the
        dataset lists (../photos/left/1.png beside ../photos/right/1.png has `left/1`), or the bare stem if the image
        is not in that folder.
    """
    data = Path(data)
    folder = data.parent if data.suffix == ".json" else data
    for absolute in (os.path.abspath, os.path.realpath):
        image_path, folder_path = Path(absolute(image)), Path(absolute(folder))
        if image_path.is_relative_to(folder_path):
            parts = PurePosixPath(without_suffix(image_path.relative_to(folder_path).as_posix())).parts
            inside_images = len(parts) > 1 and IMAGE_FOLDER.fullmatch(parts[0])
            return PurePosixPath(*(parts[1:] if inside_images else parts)).as_posix()
    shared = shared_folder(data)
    path = Path(os.path.abspath(image))
    inside = path.relative_to(shared).as_posix() if shared is not None and path.is_relative_to(shared) else path.name
    return without_suffix(inside)


@dataclass(frozen=True)
class Pairing:
    """Named files and the images that they belong to, one to one."""

    names: Mapping[str, str]
    """Names by key, in the order of the keys, without the images that no name fits."""
    ways: tuple[str, ...] = ()
    """What was done to names and keys before they were compared; empty if the names themselves fit."""


@dataclass(frozen=True)
class _Spelled:
    """Names or keys and what is compared in their place."""

    spellings: Mapping[str, str]
    changes: Mapping[str, tuple[str, ...]]
    """The ways that have changed a name."""
    affixes: Mapping[str, tuple[str, ...]]
    """Those of the ways that have removed a part of a name."""

    @classmethod
    def of(cls, names: Iterable[str], spell: Callable[[str], str] = str) -> _Spelled:
        names = list(names)
        return cls({name: spell(name) for name in names}, dict.fromkeys(names, ()), dict.fromkeys(names, ()))

    def simplified(self, way: str, simplify: Callable[[str], str]) -> _Spelled:
        spellings = {name: simplify(spelling) for name, spelling in self.spellings.items()}
        changed = {name for name, spelling in spellings.items() if spelling != self.spellings[name]}

        def noted(notes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
            return {name: (*ways, way) if name in changed else ways for name, ways in notes.items()}

        return _Spelled(spellings, noted(self.changes), noted(self.affixes) if simplify in AFFIXES else self.affixes)

    @property
    def distinct(self) -> bool:
        return len(set(self.spellings.values())) == len(self.spellings)

    def agree(self, names: Iterable[str]) -> bool:
        """Whether all names have lost the same parts."""
        return len({self.affixes[name] for name in names}) <= 1


def pair_names(names: Iterable[str], keys: Iterable[str], root: Path) -> dict[str, str]:
    """Pair named files with images as `pair` does, and print in which way if the names themselves do not fit.

    Returns:
        Names by key, in the order of the keys, without the images that no name fits.
    Raises:
        MaskError: as in `pair`.
    """
    pairing = pair(names, keys, root)
    if pairing.ways:
        key, name = next((key, name) for key, name in pairing.names.items() if without_suffix(name) != key)
        ways = ", ".join(pairing.ways)
        say(f"names in {root} are compared {ways}: {name} is taken for image {key}.")
    return dict(pairing.names)


def pair(names: Iterable[str], keys: Iterable[str], root: Path) -> Pairing:
    """Pair named files (or folders) with images, one to one.

    nerfstudio and other programs drop subfolders when they downscale images. A name without its suffix therefore fits
    an image if it is the image's key, or one is the end of the other: `0001` fits `left/0001`, but `right/0001` does
    not. A name that is the key of one image fits no other.

    If images are left over, names and keys are simplified step by step (`simplify.WAYS`). The first step with the most
    pairs counts. A step is left aside if it makes two keys equal, and its pairs if they are not one to one or if it
    took a part off some names and not off others.

    Args:
        names: relative paths with their suffixes.
        keys: the keys of all images; if one is left out, a name that fits it as well looks unambiguous.
        root: the folder or file that holds the names, for messages.
    Raises:
        MaskError: two names fit one image, or one name fits two images.
    """
    spelled, images = _Spelled.of(names, without_suffix), _Spelled.of(keys)
    best = Pairing(_pairs(spelled, images, root))
    for way, simplify in WAYS:
        if len(best.names) == min(len(spelled.spellings), len(images.spellings)):
            break
        simpler = images.simplified(way, simplify)
        if not simpler.distinct:
            continue
        images, spelled = simpler, spelled.simplified(way, simplify)
        try:
            pairs = _pairs(spelled, images, root)
        except MaskError:
            if best.names:
                break
            raise
        if len(pairs) > len(best.names) and images.agree(pairs) and spelled.agree(pairs.values()):
            used = {w for key, name in pairs.items() for w in (*images.changes[key], *spelled.changes[name])}
            best = Pairing(pairs, tuple(w for w, _ in WAYS if w in used))
    return best


def _pairs(names: _Spelled, keys: _Spelled, root: Path) -> dict[str, str]:
    """Names by key, as their spellings fit."""
    images = set(keys.spellings.values())
    by_stem: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, spelling in names.spellings.items():
        by_stem[PurePosixPath(spelling).name].append((spelling, name))
    pairs: dict[str, str] = {}
    owner: dict[str, str] = {}
    for key, image in keys.spellings.items():
        fitting = [
            name
            for spelling, name in by_stem.get(PurePosixPath(image).name, ())
            if spelling == image or (spelling not in images and _one_ends_in_the_other(spelling, image))
        ]
        if len(fitting) > 1:
            raise MaskError(
                f"masks: {root} has {len(fitting)} candidates for image {key} ({', '.join(fitting[:3])}); keep one of "
                "them, or put them in the same subfolders as the images."
            )
        for name in fitting:
            first = owner.setdefault(name, key)
            if first != key:
                raise MaskError(
                    f"masks: {name} in {root} fits two images, {first} and {key}; give each image its own file, in the "
                    "same subfolders as the images."
                )
            pairs[key] = name
    return pairs


def _one_ends_in_the_other(name: str, key: str) -> bool:
    return name.endswith(f"/{key}") or key.endswith(f"/{name}")

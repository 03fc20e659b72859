"""`disconerf masks convert`: convert masks from other programs, or for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from disconerf_ns import __version__
from disconerf_ns.cli.masks import progress_bar
from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.masks.formats import FORMATS, TARGETS, format_of, recognise
from disconerf_ns.masks.formats.files import image_size
from disconerf_ns.masks.formats.format import Images, Loaders
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.images import find_images
from disconerf_ns.masks.report import describe, measure
from disconerf_ns.masks.store import MaskStore

if TYPE_CHECKING:
    Source = Target = str
else:
    Source, Target = Literal[tuple(FORMATS)], Literal[TARGETS]
LISTED = 5
"""Maximum number of broken files that a message names."""


@dataclass
class Convert:
    """Convert masks from any format to another, by default to a set of masks that `ns-train disconerf` reads.

    Files are found by the images' relative paths, so only masks of the dataset's images are read.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """File or folder of the masks."""
    data: Path
    """The dataset's folder, or its transforms file."""
    source_format: Source | None = None
    """Format of the source; by default it is recognised by content."""
    to: Target = "sa1b"
    """Format to write; `ns-train disconerf` reads sa1b."""
    output: Path | None = None
    """Folder or file to write, required for formats other than sa1b; by default DATA/masks/ plus the source's name."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""

    def __call__(self) -> None:
        """Convert the masks and print a summary.

        Raises:
            UserError: the source has no masks of the dataset's images, the target is missing or not empty, or files
                are broken; broken files are named after all others are converted.
        """
        images = find_images(self.data, self.images)
        if not self.source.exists():
            raise UserError(f"masks: there is no {self.source}; pass a file or folder of masks.")
        name = self.source_format or recognise(self.source)
        target = self._target()
        loaders = format_of(name).read(self.source, images)
        print(f"masks: {self.source} is {name}, {FORMATS[name]}.")
        broken: list[str] = []
        with progress_bar(len(loaders)) as advance:
            masks = load_all(loaders, images, broken, advance)
            first = next(masks, None)
            if first is None:
                raise UserError(f"masks: nothing was written, all {len(broken)} images failed: {_listed(broken)}")
            if self.to == "sa1b":
                parameters = {"source": str(self.source), "format": name}
                MaskStore.create(target, {"generator": "convert", "version": __version__, "parameters": parameters})
            lost = format_of(self.to).write(target, images, chain([first], masks))
        absent = len(images) - len(loaders)
        note = f"; {absent} images have no masks in {self.source}" if absent else ""
        print(f"masks: {target} has the masks of {len(loaders) - len(broken)} images{note}.")
        if lost:
            listed = ", ".join(f"{kind} ({count})" for kind, count in lost.items())
            print(f"masks: not kept, as {self.to} cannot hold it: {listed}.")
        if self.to == "sa1b":
            store = MaskStore(target)
            print(describe(target, measure(store, store.keys())))
        if broken:
            raise UserError(f"masks: {len(broken)} images were left out: {_listed(broken)}")

    def _target(self) -> Path:
        if self.output is None and self.to != "sa1b":
            raise UserError(f"masks: --to {self.to} needs a folder or file to write; name it with --output.")
        root = self.data if self.data.is_dir() else self.data.parent
        source = self.source.resolve()
        target = self.output or root / "masks" / (source.name if source.is_dir() else source.stem)
        if target.is_dir() and any(target.iterdir()):
            raise UserError(f"masks: {target} is not empty; name another folder with --output, or delete it.")
        if target.exists() and not target.is_dir():
            raise UserError(f"masks: {target} is there already; name another with --output, or delete it.")
        return target


@dataclass
class GroundTruth:
    """Make masks from the true label images in DATA/labels/, to compare a run with a run on perfect masks."""

    data: Path
    """The dataset's folder, or its transforms file."""
    output: Path | None = None
    """Folder of the masks; by default DATA/masks/ground-truth."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""

    def __call__(self) -> None:
        """Convert the label images.

        Raises:
            UserError: as in `Convert`.
        """
        root = self.data if self.data.is_dir() else self.data.parent
        output = self.output or root / "masks" / "ground-truth"
        Convert(root / "labels", self.data, source_format="labels", output=output, images=self.images)()


def _listed(sentences: list[str]) -> str:
    more = f" ({len(sentences) - LISTED} more)" if len(sentences) > LISTED else ""
    return " ".join(sentences[:LISTED]) + more


def load_all(loaders: Loaders, images: Images, broken: list[str], advance) -> Iterator[tuple[str, ImageMasks]]:
    """Masks image by image; broken masks and masks of another shape are left out, and their errors go to `broken`."""
    for key, load in loaders.items():
        try:
            masks = load()
            size = image_size(images[key])
            if not same_shape((masks.height, masks.width), size):
                raise MaskError(
                    f"masks: the masks of {key} are {masks.width} x {masks.height}, but the image is {size[1]} x "
                    f"{size[0]}, another shape."
                )
        except MaskError as error:
            broken.append(str(error))
        else:
            yield key, masks
        advance()

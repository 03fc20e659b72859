"""`disconerf masks convert`: convert masks from other programs, or for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from disconerf_ns import __version__
from disconerf_ns.cli.making import ELSEWHERE, writing
from disconerf_ns.consoles import progress
from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.files import check_folder, regular
from disconerf_ns.masks.formats import FORMATS, TARGETS, format_of, recognise
from disconerf_ns.masks.formats.files import image_size
from disconerf_ns.masks.formats.format import Images, Loaded, Losses
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.images import find_images, misread
from disconerf_ns.masks.numbers import void_of
from disconerf_ns.masks.placement import Drawn, DrawnOn, Orientation, decide_picture
from disconerf_ns.masks.report import ViewMasks, describe, measure_view
from disconerf_ns.masks.say import in_short
from disconerf_ns.masks.store import MANIFEST, MaskStore
from disconerf_ns.options import LABEL, check_options

if TYPE_CHECKING:
    Source = Target = str
else:
    Source, Target = Literal[tuple(FORMATS)], Literal[TARGETS]


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
    void: tuple[int, ...] | Literal["auto"] | None = "auto"
    """Numbers of label images or label maps that are no objects, such as `0 255`; None if every number is an object. By
    default negative numbers are nothing, or else 0 is, and 255 that stands apart from the others is a border."""
    output: Path | None = None
    """Folder or file to write, required for formats other than sa1b; by default DATA/masks/ plus the source's name."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    orientation: Orientation = "auto"
    """Picture that the masks were drawn on, where a photograph has an EXIF orientation: "upright" as most programs show
    it, or "stored" as its pixels are. "auto" decides by sizes, or else by edges of the photographs."""
    dry_run: bool = False
    """Read everything and print what was understood, but write nothing."""

    def __call__(self) -> None:
        """Convert the masks and print what was read, what was left out, and statistics.

        Raises:
            UserError: the source has no masks of the dataset's images, the target is missing, not empty or cannot be
                written, or files are broken; broken files are named after all others are converted.
        """
        check_options("masks", self, void=LABEL)
        images = find_images(self.data, self.images)
        if sentence := misread(images.values()):
            print(f"masks: {sentence}")
        if not self.source.exists():
            raise UserError(f"masks: there is no {self.source}; pass a file or folder of masks.")
        if not self.source.is_dir():
            regular(self.source)
        name = self.source_format or recognise(self.source, images)
        target = None if self.dry_run else self._target()
        contents = format_of(name).read(self.source, images, void_of(self.void))
        print(f"masks: {self.source} is {name}, {FORMATS[name]}.")
        drawn_on = self._drawn_on(contents.loaders, images)
        tally = Tally(left_out=+contents.left_out)
        with progress("converting", len(contents.loaders)) as advance:
            lost = self._write(name, target, images, load_all(contents.loaders, images, drawn_on, tally, advance))
        if not tally.views:
            raise UserError(f"masks: nothing was read, all {len(tally.broken)} images failed: {in_short(tally.broken)}")
        absent = len(images) - len(contents.loaders)
        note = f"; {absent} images have no masks in {self.source}" if absent else ""
        verb = "would have" if target is None else "has"
        place = "the converted set" if target is None else target
        print(f"masks: {place} {verb} the masks of {len(tally.views)} images{note}.")
        if tally.left_out:
            print(f"masks: left out of {self.source}: {_counted(tally.left_out)}.")
        if lost:
            print(f"masks: not kept, as {self.to} cannot hold it: {_counted(lost)}.")
        print(describe(place, tally.views))
        if tally.broken:
            raise UserError(f"masks: {len(tally.broken)} images were left out: {in_short(tally.broken)}")

    def _write(self, name: str, target: Path | None, images: Images, masks: Iterator[tuple[str, ImageMasks]]) -> Losses:
        """Write the masks, or only read them if there is no target; nothing is written if no image can be read."""
        first = next(masks, None)
        if target is None or first is None:
            deque(masks, maxlen=0)
            return Losses()
        with writing(target):
            if self.to == "sa1b":
                named = {} if self.void == "auto" else {"void": self.void}
                parameters = {"source": str(self.source), "format": name, **named}
                MaskStore.create(target, {"generator": "convert", "version": __version__, "parameters": parameters})
            return format_of(self.to).write(target, images, chain([first], masks))

    def _drawn_on(self, loaders: Mapping[str, Callable[[], Loaded]], images: Images) -> DrawnOn:
        """Decide which picture the masks were drawn on, and say it; sets of this package are of the stored pixels."""
        drawn_on = decide_picture(
            {key: images[key] for key in loaders},
            lambda key: Drawn.masks(loaders[key]().masks),
            self.source,
            self.orientation,
            otherwise="stored" if (self.source / MANIFEST).is_file() else None,
        )
        if said := drawn_on.sentence(self.source, len(loaders)):
            print(f"masks: {said}")
        return drawn_on

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
        check_folder(target, ELSEWHERE if self.to == "sa1b" else "name another place with --output.")
        return target


@dataclass
class GroundTruth:
    """Make masks from the true label images in DATA/labels/, to compare a run with a run on perfect masks."""

    data: Path
    """The dataset's folder, or its transforms file."""
    void: tuple[int, ...] | Literal["auto"] | None = "auto"
    """Numbers that are no objects, as for `disconerf masks convert`."""
    output: Path | None = None
    """Folder of the masks; by default DATA/masks/ground-truth."""
    images: Path | None = None
    """Folder of the images, within DATA; by default the frames of the transforms file, or DATA/images."""
    orientation: Orientation = "auto"
    """As in `disconerf masks convert`."""

    def __call__(self) -> None:
        """Convert the label images.

        Raises:
            UserError: there are none, or as in `Convert`.
        """
        check_options("masks", self, void=LABEL)
        root = self.data if self.data.is_dir() else self.data.parent
        labels = root / "labels"
        if not labels.exists():
            raise UserError(
                f"masks: there is no {labels}, the folder of true labels; convert those in another folder with "
                "`disconerf masks convert`."
            )
        output = self.output or root / "masks" / "ground-truth"
        Convert(
            labels,
            self.data,
            source_format="labels",
            void=self.void,
            output=output,
            images=self.images,
            orientation=self.orientation,
        )()


def _counted(losses: Losses) -> str:
    return ", ".join(f"{kind} ({count})" for kind, count in losses.items())


@dataclass
class Tally:
    """The result of reading the masks of many images."""

    left_out: Losses
    """Content that gave no mask."""
    views: list[ViewMasks] = field(default_factory=list)
    """Statistics of the images that were read."""
    broken: list[str] = field(default_factory=list)
    """One sentence for each image whose masks cannot be used."""


def load_all(
    loaders: Mapping[str, Callable[[], Loaded]],
    images: Images,
    drawn_on: DrawnOn,
    tally: Tally,
    advance: Callable[[], None],
) -> Iterator[tuple[str, ImageMasks]]:
    """Masks image by image on the stored pixels, without broken ones and ones of another shape; `tally` counts all."""
    for key, load in loaders.items():
        try:
            loaded = load()
            size = image_size(images[key])
            masks = drawn_on.masks(key, loaded.masks, size)
            if not same_shape((masks.height, masks.width), size):
                raise MaskError(
                    f"masks: the masks of {key} are {loaded.masks.width} x {loaded.masks.height}, but the image is "
                    f"{size[1]} x {size[0]}, another shape{drawn_on.note(key)}; export them in the shape of these "
                    "images."
                )
        except MaskError as error:
            tally.broken.append(str(error).removeprefix("masks: "))
        else:
            tally.left_out += loaded.left_out
            tally.views.append(measure_view(key, masks))
            yield key, masks
        advance()

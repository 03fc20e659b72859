"""True and predicted labels on disk: an image with one channel per view, found by the view's key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from disconerf_ns.errors import UserError, reason
from disconerf_ns.evaluation.views import View, check_shape
from disconerf_ns.masks.crisp import check_crisp
from disconerf_ns.masks.label_image import SUFFIXES, read_label_image
from disconerf_ns.masks.numbers import TRANSPARENT, Named, census, explain, judge, meaning_of, void_of
from disconerf_ns.masks.opening import picture
from disconerf_ns.masks.orientation import stored, stored_size
from disconerf_ns.masks.placement import Drawn, Orientation, decide_picture


@dataclass(frozen=True)
class LabelFile:
    """The true labels of a view on disk."""

    path: Path
    orientation: int
    """EXIF orientation (1 to 8) of the picture on which the labels were drawn; 1 means the stored pixels."""

    def read(self) -> Int[np.ndarray, "h w"]:
        """The labels on the photograph's stored pixels.

        Raises:
            UserError: as in `read_truth`.
        """
        return stored(read_truth(self.path), self.orientation)


def label_path(folder: Path, key: str) -> Path:
    """The file of an image's true labels: `<folder>/<key>.png` or `.tif`, or the same without the key's subfolders, or
    in `images/`, as the photographs are.

    Raises:
        UserError: there is no such file, or there are two.
    """
    for name in (key, f"images/{key}", PurePosixPath(key).name):
        paths = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
        if len(paths) > 1:
            raise UserError(f"ground truth: {paths[0]} and {paths[1]} are of one image; keep one of them.")
        if paths:
            return paths[0]
    raise UserError(f"ground truth: there is no {folder / f'{key}.png'}; one label image per evaluated view is needed.")


def check_label_folder(folder: Path) -> None:
    """Refuse a folder of true labels that does not exist.

    Raises:
        UserError: it does not.
    """
    if not folder.is_dir():
        raise UserError(f"ground truth: there is no folder {folder}; it should hold one label image per view.")


def label_files(folder: Path, views: Sequence[View], orientation: Orientation = "auto") -> list[LabelFile]:
    """The files of the views' true labels; where photographs have an EXIF orientation, what is decided is printed.

    Args:
        orientation: the picture that they were drawn on, as in `placement.decide_picture`.
    Raises:
        UserError: one is not there, serves two views, is not a label image, or has another shape than its view, or it
            is not clear which picture they were drawn on.
    """
    check_label_folder(folder)
    paths = [label_path(folder, view.key) for view in views]
    sizes = []
    for view, path in zip(views, paths):
        first = views[paths.index(path)]
        if first is not view:
            raise UserError(
                f"ground truth: {path} would serve both {first.key} and {view.key}; keep the images' subfolders in "
                f"{folder}."
            )
        sizes.append(_size(path))
    return _placed(folder, views, paths, sizes, orientation)


def _placed(
    folder: Path, views: Sequence[View], paths: list[Path], sizes: list[tuple[int, int]], orientation: Orientation
) -> list[LabelFile]:
    """Label files of these sizes (height, width), of the shape of their views once they are turned."""
    path_of = {view.key: path for view, path in zip(views, paths)}
    drawn_on = decide_picture(
        {view.key: view.image for view in views},
        lambda key: Drawn.labels(read_truth(path_of[key])),
        folder,
        orientation,
        about="ground truth",
    )
    if said := drawn_on.sentence(folder, len(views)):
        print(f"eval: {said}")
    files = []
    for view, path, size in zip(views, paths, sizes):
        turned = drawn_on.orientation(view.key, size, (view.height, view.width))
        check_shape(path, *stored_size(*size, turned), view, drawn_on.note(view.key))
        files.append(LabelFile(path, turned))
    return files


def _size(path: Path) -> tuple[int, int]:
    """Height and width of a label image.

    Raises:
        UserError: it has several channels, or cannot be read.
    """
    try:
        with picture(path) as image:
            bands, (width, height) = image.getbands(), image.size
    except UnidentifiedImageError:
        height, width = read_truth(path).shape
        return height, width
    except (OSError, ValueError) as error:
        raise UserError(f"ground truth: {path} cannot be used: {reason(error)}.") from error
    if (len(bands) > 1 and bands[-1] != "A") or len(bands) > 2:
        raise UserError(f"ground truth: {path} has {len(bands)} channels; a label image has one.")
    return height, width


def read_truth(path: Path) -> Int[np.ndarray, "h w"]:
    """The true labels in a file.

    Raises:
        UserError: the file is broken, has several pages, numbers that are not whole, or was resized smoothly.
    """
    try:
        labels = read_label_image(path)
        check_crisp(labels)
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise UserError(f"ground truth: {path} cannot be used: {reason(error)}.") from error
    return labels


def void_labels(label_maps: Iterable[Int[np.ndarray, "_ _"]], void: Named) -> frozenset[int]:
    """Labels that count nowhere: those that a person named, or what all label maps together tell."""
    named = void_of(void)
    return meaning_of(named, judge(census(label_maps))).void if named is None else named | {TRANSPARENT}


def said_void(files: Sequence[LabelFile], void: Named) -> frozenset[int]:
    """The same for label images; prints what was judged.

    Raises:
        UserError: a file cannot be used.
    """
    named, pixels = void_of(void), census(file.read() for file in files)
    for sentence in explain(named, judge(pixels), pixels, counted="which no score counts"):
        print(f"ground truth: {sentence}")
    return meaning_of(named, judge(pixels)).void


def listed_void(void: frozenset[int]) -> list[int]:
    """The numbers among labels that count nowhere."""
    return sorted(void - {TRANSPARENT})

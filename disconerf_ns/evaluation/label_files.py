"""True and predicted labels on disk: a grey image of 8 or 16 bit per view, found by the view's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int
from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.views import View, check_shape
from disconerf_ns.masks.label_image import read_label_image
from disconerf_ns.masks.orientation import stored, stored_size
from disconerf_ns.masks.placement import Drawn, Orientation, place


@dataclass(frozen=True)
class LabelFile:
    """The true labels of a view on disk."""

    path: Path
    orientation: int
    """EXIF orientation of the picture that they were drawn on; 1 is that of the photograph's stored pixels."""

    def read(self) -> Int[np.ndarray, "h w"]:
        """The labels on the photograph's stored pixels."""
        return stored(read_label_image(self.path), self.orientation)


def label_path(folder: Path, key: str) -> Path:
    """The file of an image's true labels: `<folder>/<key>.png`, or the same without the key's subfolders.

    Raises:
        UserError: there is no such file.
    """
    exact = folder / f"{key}.png"
    plain = folder / f"{PurePosixPath(key).name}.png"
    for path in (exact, plain):
        if path.is_file():
            return path
    raise UserError(f"ground truth: there is no {exact}; one label image per evaluated view is needed.")


def label_files(folder: Path, views: Sequence[View], orientation: Orientation = "auto") -> list[LabelFile]:
    """The files of the views' true labels; where photographs have an EXIF orientation, what is decided is printed.

    Args:
        orientation: the picture that they were drawn on, as in `placement.place`.
    Raises:
        UserError: one is not there, serves two views, is not a label image, or has another shape than its view, or it
            is not clear which picture they were drawn on.
    """
    if not folder.is_dir():
        raise UserError(f"ground truth: there is no folder {folder}; it should hold one label image per view.")
    paths = [label_path(folder, view.key) for view in views]
    sizes = []
    for view, path in zip(views, paths):
        first = views[paths.index(path)]
        if first is not view:
            raise UserError(
                f"ground truth: {path} would serve both {first.key} and {view.key}; keep the images' subfolders in "
                f"{folder}."
            )
        with Image.open(path) as image:
            bands, (width, height) = len(image.getbands()), image.size
        sizes.append((height, width))
        if bands > 1:
            raise UserError(f"ground truth: {path} has {bands} channels; a label image has one, of 8 or 16 bit.")
    return _placed(folder, views, paths, sizes, orientation)


def _placed(
    folder: Path, views: Sequence[View], paths: list[Path], sizes: list[tuple[int, int]], orientation: Orientation
) -> list[LabelFile]:
    """Label files of these sizes (height, width), of the shape of their views once they are turned."""
    path_of = {view.key: path for view, path in zip(views, paths)}
    placement = place(
        {view.key: view.image for view in views},
        lambda key: Drawn.labels(read_label_image(path_of[key])),
        folder,
        orientation,
        about="ground truth",
    )
    if said := placement.sentence(folder, len(views)):
        print(f"eval: {said}")
    files = []
    for view, path, size in zip(views, paths, sizes):
        turned = placement.orientation(view.key, size, (view.height, view.width))
        check_shape(path, *stored_size(*size, turned), view, placement.note(view.key))
        files.append(LabelFile(path, turned))
    return files

"""True and predicted labels on disk: a grey image of 8 or 16 bit per view, found by the view's key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.views import View, check_shape


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


def label_files(folder: Path, views: Sequence[View]) -> list[Path]:
    """The files of the views' true labels, looked at without reading their pixels.

    Raises:
        UserError: one is not there, serves two views, is not a label image, or has another shape than its view.
    """
    if not folder.is_dir():
        raise UserError(f"ground truth: there is no folder {folder}; it should hold one label image per view.")
    files = [label_path(folder, view.key) for view in views]
    for view, path in zip(views, files):
        first = views[files.index(path)]
        if first is not view:
            raise UserError(
                f"ground truth: {path} would serve both {first.key} and {view.key}; keep the images' subfolders in "
                f"{folder}."
            )
        with Image.open(path) as image:
            bands, (width, height) = len(image.getbands()), image.size
        if bands > 1:
            raise UserError(f"ground truth: {path} has {bands} channels; a label image has one, of 8 or 16 bit.")
        check_shape(path, height, width, view)
    return files

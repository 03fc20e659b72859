"""Whether a run is trained on what another one was trained on: the same photographs, in the same frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs

from disconerf_ns.errors import UserError
from disconerf_ns.scene.frame_file import FRAME, read_frame

ALIKE = 1e-4
"""Largest difference of two frames that are the same, in the matrix and as a fraction of the scale."""
NAMED = 3
"""Photographs that are named at most."""


def same_frame(run: Path, here: DataparserOutputs) -> bool:
    """Whether photographs are put into the frame of another run; true where that run's frame is not known.

    Args:
        run: the other run's folder.
        here: the photographs.
    Raises:
        UserError: the file of the other run's frame is damaged.
    """
    file = run / FRAME
    if not file.exists():
        return True
    matrix, scale = read_frame(file)
    alike = torch.allclose(matrix.float(), here.dataparser_transform.float().cpu(), atol=ALIKE)
    return alike and abs(scale - float(here.dataparser_scale)) <= ALIKE * abs(scale)


def other_photographs(before: Sequence[str], now: Sequence[str]) -> str | None:
    """A sentence about how the photographs of now differ from those a run was trained on; None if they are the same.

    Args:
        before, now: their relative paths, in order.
    """
    if list(before) == list(now):
        return None
    gone, new = [key for key in before if key not in set(now)], [key for key in now if key not in set(before)]
    changes = [f"{len(keys)} are {what} ({_some(keys)})" for keys, what in ((gone, "gone"), (new, "new")) if keys]
    return (
        f"the run was trained on {len(before)} photographs, and there are {len(now)} now: "
        f"{'; '.join(changes) or 'their order is another one'}"
    )


def check_photographs(before: Sequence[str], now: Sequence[str]) -> None:
    """Check that a run goes on with the photographs that it began with; arguments as in `other_photographs`.

    Raises:
        UserError: they differ.
    """
    if said := other_photographs(before, now):
        raise UserError(f"--load-dir: {said}. Go on with the same photographs and the same split, or begin a new run.")


def files_of(cameras: Cameras, images: Sequence[Path]) -> list[list[int]]:
    """Width and height in pixels, and bytes, of each photograph, which tell its file from others without reading it."""
    sizes = torch.cat([cameras.width, cameras.height], -1).tolist()
    return [[*size, image.stat().st_size if image.exists() else 0] for size, image in zip(sizes, images)]


def other_files(keys: Sequence[str], before: Sequence[Sequence[int]], now: Sequence[Sequence[int]]) -> str | None:
    """A sentence about photographs whose files are not those a run was trained on; None if all are.

    Args:
        keys: their relative paths.
        before, now: `files_of` them.
    """
    other = [(key, *pair) for key, *pair in zip(keys, before, now) if list(pair[0]) != list(pair[1])]
    if not other:
        return None
    key, (*size, length), (*size_now, length_now) = other[0]
    if size != size_now:
        said = f"{size_now[0]} x {size_now[1]} pixels and had {size[0]} x {size[1]}"
    else:
        said = f"{length_now:,} bytes and had {length:,}"
    return (
        f"{len(other)} of the {len(keys)} training photographs are other files than the run was trained on, such as "
        f"{key}, which has {said}; masks, labels and scores of this run are those of the photographs that are there now"
    )


def check_same_scene(run: Path, before: Sequence[str] | None, now: Sequence[str], here: DataparserOutputs) -> None:
    """Check that a run goes on with the photographs that it began with, in the same frame.

    Args:
        run: folder of the run that is gone on from.
        before: relative paths of its training photographs; None if they are not known.
        now: relative paths of the training photographs.
        here: the same photographs.
    Raises:
        UserError: they are other ones, or the frame is.
    """
    if before is not None:
        check_photographs(before, now)
    if not same_frame(run, here):
        raise UserError(
            f"--load-dir: the data is put into another frame than that of {run}, so the trained scene would lie "
            "elsewhere; pass the same data and the same dataparser options (orientation, centring, scale, split)."
        )


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", ..." if len(keys) > NAMED else "")

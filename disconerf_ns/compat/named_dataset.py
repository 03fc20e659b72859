"""Datasets that nerfstudio's dataparsers cannot read, named; and cameras of a single photograph as a list of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.dataparser_configs import all_dataparsers
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

from disconerf_ns.errors import UserError, reason

FILES = {
    "nerfstudio-data": ("transforms.json",),
    "blender-data": ("transforms_train.json",),
    "sdfstudio-data": ("meta_data.json",),
    "minimal-parser": ("train.npz",),
    "colmap": ("colmap/sparse/0", "sparse/0"),
}
"""Files and folders that each dataparser reads, by its name in commands."""
ONE_PLACE = (
    "all cameras stand in one place, as that of a single photograph does; add photographs, or end the command with "
    "nerfstudio-data --auto-scale-poses False"
)
INEXACT = "sdfstudio-data", "nerfosr-data"
"""Dataparsers that turn the cameras and do not tell how."""


@contextmanager
def dataset_named(parser: DataParserConfig, data: Path) -> Iterator[None]:
    """Name the dataset where its dataparser fails in here.

    Raises:
        UserError: says what the dataparser raised, and the remedy.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each dataparser raises its own
        if not any(frame.f_code.co_name == "get_dataparser_outputs" for frame, _ in walk_tb(error.__traceback__)):
            raise
        said = f"{type(error).__name__}: {reason(error)}"
        raise UserError(
            f"data: {name_of(parser)} cannot read {data} ({said}); {_remedy(parser, data, error)}."
        ) from error


def parser_of(data: Path) -> NerfstudioDataParserConfig | ColmapDataParserConfig | None:
    """The dataparser, of nerfstudio's own format or COLMAP's, that reads a folder or file; None if neither does.

    That of COLMAP takes all photographs for the training.
    """
    if data.is_file() or (data / "transforms.json").is_file():
        return NerfstudioDataParserConfig(data=data)
    model = next((Path(folder) for folder in FILES["colmap"] if (data / folder).is_dir()), None)
    if model is None:
        return None
    return ColmapDataParserConfig(
        data=data, colmap_path=model, eval_mode="all", downscale_factor=1, load_3D_points=False
    )


def name_of(parser: DataParserConfig) -> str:
    """A dataparser's name in commands."""
    names = (name for name, known in all_dataparsers.items() if type(known) is type(parser))
    return next(names, type(parser).__name__)


def frame_unsaid(parser: DataParserConfig) -> str | None:
    """A sentence about a dataparser that turns the cameras and does not tell how; None of any other one."""
    if (name := name_of(parser)) not in INEXACT:
        return None
    return (
        f"data: {name} turns the cameras and does not tell how, so exports, lists and compositions of this run are in "
        "the frame of its training, not in that of the capture."
    )


def listed(cameras: Cameras) -> Cameras:
    """Cameras as a list; instant-ngp-data gives the camera of a single photograph without that."""
    return cameras if cameras.shape else cameras.reshape((1,))


def _remedy(parser: DataParserConfig, data: Path, error: Exception) -> str:
    own = _read_by(parser)
    if data.is_dir() and own and not any((data / file).exists() for file in own):
        for name, files in FILES.items():
            if found := next((file for file in files if (data / file).exists()), None):
                option = " --colmap-path sparse/0" if found == "sparse/0" else ""
                return f"it holds {found}, so end the command with {name}{option}"
    if isinstance(error, ZeroDivisionError):
        return ONE_PLACE
    return "mend the dataset, or end the command with the dataparser that fits, such as colmap"


def _read_by(parser: DataParserConfig) -> tuple[str, ...]:
    """Files or folders of which a dataparser needs one; colmap looks only into the folder that its options name."""
    folder = getattr(parser, "colmap_path", None)
    return FILES.get(name_of(parser), ()) if folder is None else (str(folder),)

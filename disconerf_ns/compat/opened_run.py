"""The run that one of nerfstudio's commands is opening: found again where it lies now, with its data.

nerfstudio looks for a run's checkpoints and data where they were when it was trained, seen from the working folder. So
a run that was renamed, moved, copied, or opened from another folder is not found, or another one is opened instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.compat.calling_frame import calling_frame
from disconerf_ns.errors import UserError
from disconerf_ns.training.checkpoint_files import checkpoints_of, newest_whole, step_of

LEAST = 2
"""Smallest number of names at the end of a path that tell a folder from others of its name."""


def opened_run() -> tuple[TrainerConfig, Path] | None:
    """The configuration that is being opened and the file that it was read from; None if a run is trained.

    nerfstudio's `eval_setup` tells a pipeline neither, so both are read from its frame.
    """
    frame = calling_frame("nerfstudio.utils.eval_utils", "eval_setup")
    return None if frame is None else (frame.f_locals["config"], Path(frame.f_locals["config_path"]))


def relocate(config: TrainerConfig, file: Path) -> None:
    """Let an opened configuration name its file's folder, checkpoints there, and its data and masks where they lie now.

    Raises:
        UserError: the data is nowhere.
    """
    vars(config)["opened_in"] = file.parent.resolve()
    checkpoints = file.parent / config.relative_model_dir
    if checkpoints.is_dir():
        config.load_dir = checkpoints
        if config.load_step is None:
            config.load_step = step_of(newest_whole(checkpoints, "--load-config"))
    manager = _manager(config)
    recorded = manager.data or manager.dataparser.data
    data = found_again(Path(recorded), file)
    if data is None:
        raise UserError(
            f"data: there is no {recorded}, which {file} names; move it back, or write its new place into the run with "
            f"`disconerf relocate --load-config {file} --data FOLDER`."
        )
    config.data = manager.data = manager.dataparser.data = data
    if manager.masks is not None:
        manager.masks = found_again(manager.masks, file) or manager.masks


def found_again(path: Path, file: Path) -> Path | None:
    """A path as it was recorded, or where it lies now; None if it is nowhere.

    If the recorded path does not exist, its longest end that exists beside the file or above it is taken, and said: a
    project's folder that was moved as a whole keeps `data/room` and `outputs/room/disconerf/TIME/config.yml` together.

    Args:
        path: what was recorded.
        file: the file that recorded it.
    """
    if path.exists():
        return path
    names = path.parts[1:] if path.is_absolute() else path.parts
    for length in range(len(names), min(LEAST, len(names)) - 1, -1):
        end = Path(*names[-length:])
        for folder in file.resolve().parents:
            if (folder / end).exists():
                CONSOLE.log(f"data: there is no {path}; taking {folder / end}.")
                return folder / end
    return None


def name_absolutely(config: TrainerConfig) -> None:
    """Let a configuration name its data and masks so that it can be opened from any working folder."""
    manager = _manager(config)
    data = Path(manager.data or manager.dataparser.data).resolve()
    config.data = manager.data = manager.dataparser.data = data
    if manager.masks is not None:
        manager.masks = manager.masks.resolve()


def _manager(config: TrainerConfig) -> Any:
    """The data manager's options, which nerfstudio types without a dataparser."""
    return config.pipeline.datamanager


def checkpoint_folder(config: TrainerConfig) -> Path | None:
    """The folder of the checkpoint that a training goes on from, or None if it begins anew."""
    if config.load_checkpoint is not None:
        return config.load_checkpoint.parent
    return None if config.load_dir is None else checkpoints_of(config.load_dir)


def keep_masks(config: TrainerConfig, recorded: Path, checkpoint: Path) -> None:
    """Let a run that goes on keep the set of masks that it began with, unless another one is named.

    Args:
        config: options of the run.
        recorded: folder of the set.
        checkpoint: the checkpoint that the run goes on from, which recorded it.
    Raises:
        UserError: the set is nowhere.
    """
    manager = _manager(config)
    if manager.masks is not None:
        return
    manager.masks = found_again(recorded, checkpoint)
    if manager.masks is None:
        raise UserError(
            f"masks: there is no {recorded}, which the run of {checkpoint} began with; move it back, or name another "
            "set with --pipeline.datamanager.masks FOLDER."
        )

"""nerfstudio's checkpoints as files: written whole, and found again although other files lie beside them.

nerfstudio writes a checkpoint in place and takes the file of the largest number in the folder. A run that is killed
while it writes, or whose disk is full, leaves a broken file of that number, and a stray file of any other name ends
every command.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from disconerf_ns.errors import UserError, cause
from disconerf_ns.files import whole_file

if TYPE_CHECKING:  # it takes seconds to import, and small commands look for checkpoints too
    from nerfstudio.engine.trainer import TrainerConfig

FOLDER = "nerfstudio_models"
"""Folder of a run that holds its checkpoints: the default of nerfstudio's `TrainerConfig.relative_model_dir`."""
NAME = re.compile(r"step-(\d+)\.ckpt")


def save_whole(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint; it is there whole or not at all.

    Raises:
        UserError: it cannot be written, for instance because the disk is full; checkpoints before it are kept.
    """
    try:
        with whole_file(path) as part:
            torch.save(state, part)
    except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError where a disk is full
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
            raise
        before = newest(path.parent)
        kept = "there is none before it" if before is None else f"{before} is kept"
        raise UserError(
            f"checkpoint: {path} cannot be written ({cause(error)}); {kept}. Make room, then go on from there with "
            f"--load-dir {path.parent}."
        ) from error


def checkpoints_of(path: Path) -> Path:
    """The folder of checkpoints, if a run's folder or config.yml is given in its place."""
    if path.name == "config.yml":
        path = path.parent
    inside = path / FOLDER
    return inside if inside.is_dir() else path


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder by their step; files of other names are none."""
    named = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()] if folder.is_dir() else []
    return {int(match[1]): path for match, path in named if match is not None and path.is_file()}


def newest(folder: Path) -> Path | None:
    """The checkpoint of the last step, whether it is broken or not; None if there is none."""
    found = checkpoints_in(folder)
    return found[max(found)] if found else None


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.stem.removeprefix("step-"))


def fault_in(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint's bytes; None if its records have the checksums that were written with them."""
    try:
        with zipfile.ZipFile(checkpoint) as records:
            damaged = records.testzip()
    except zipfile.BadZipFile:
        return "it breaks off or is no checkpoint"
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        return cause(error)
    return None if damaged is None else f"its record {damaged} is damaged"


def newest_whole(folder: Path, option: str = "--load-dir") -> Path:
    """The newest checkpoint of a run that is not broken; broken ones after it are named.

    Args:
        folder: a run's folder of checkpoints, its folder, or its config.yml.
        option: named in the sentence.
    Raises:
        UserError: there is none.
    """
    named, folder = folder, checkpoints_of(folder)
    if not folder.is_dir():
        raise UserError(f"{option}: there is no {named}; name the folder nerfstudio_models of a run.")
    found = checkpoints_in(folder)
    for step in sorted(found, reverse=True):
        if (fault := fault_in(found[step])) is None:
            return found[step]
        CONSOLE.log(f"checkpoint: {found[step]} cannot be read ({fault}); taking the one before.")
    broken = f"; all {len(found)} are broken" if found else ", a file such as step-000001999.ckpt"
    raise UserError(f"{option}: {folder} holds no checkpoint that can be read{broken}. Name another run's.")


def checkpoint_to_resume(config: TrainerConfig) -> Path | None:
    """The checkpoint that a training goes on from; None if it begins anew.

    Raises:
        UserError: the one that is named does not exist or is broken, or there is none.
    """
    if config.load_checkpoint is not None:
        path, option = config.load_checkpoint, "--load-checkpoint"
    elif config.load_dir is None:
        return None
    elif config.load_step is None:
        return newest_whole(config.load_dir)
    else:
        path, option = checkpoints_of(config.load_dir) / f"step-{config.load_step:09d}.ckpt", "--load-step"
    if not path.is_file():
        raise UserError(f"{option}: there is no {path}; {_steps(path.parent)}.")
    if (fault := fault_in(path)) is not None:
        raise UserError(f"{option}: {path} cannot be read ({fault}); name another checkpoint.")
    return path


def _steps(folder: Path) -> str:
    steps = ", ".join(map(str, sorted(checkpoints_in(folder)))) or "none"
    return f"checkpoints there are of the steps {steps}"

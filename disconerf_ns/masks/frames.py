"""The files that list photographs: transforms.json, Blender's transforms_*.json and SDFStudio's meta_data.json."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from disconerf_ns.errors import UserError, reason
from disconerf_ns.masks.opening import read_bytes
from disconerf_ns.small_json import parsed

TRANSFORMS, SPLITS = "transforms.json", ("transforms_train.json", "transforms_val.json", "transforms_test.json")
META = "meta_data.json"
PATH_OF = {META: "rgb_path"}
"""The entry of a frame that names its photograph, by the list's name; `file_path` in all other lists."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def lists_of(data: Path) -> list[Path]:
    """The files that list a dataset's photographs, the one with the training images first; empty if there is none.

    Args:
        data: the dataset's folder, or one of these files.
    """
    if data.is_file():
        return [data]
    if (data / TRANSFORMS).is_file():
        return [data / TRANSFORMS]
    if (data / SPLITS[0]).is_file():
        return [data / name for name in SPLITS if (data / name).is_file()]
    return [data / META] if (data / META).is_file() and _is_sdfstudio(data / META) else []


def listed(path: Path) -> list[str]:
    """The photographs that a file lists, as paths relative to its folder, or absolute ones.

    Raises:
        UserError: it is no such file, a frame has no path, or nerfstudio cannot read it: it begins with a byte order
            mark, or its paths are those of Windows.
    """
    try:
        content = _read(path)
    except ValueError as error:
        raise UserError(f"data: {path} is not a nerfstudio transforms file ({reason(error)}).") from error
    entry = PATH_OF.get(path.name, "file_path")
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) and entry in frame for frame in frames):
        raise UserError(
            f"data: {path} is not a nerfstudio transforms file (it has no list `frames` of objects with a `{entry}`)."
        )
    names = [frame[entry] for frame in frames]
    for name in names:
        if not isinstance(name, str) or not Path(name).name or "\0" in name:
            raise UserError(f"data: {path} has a frame whose `{entry}` {name!r} is not the path of a file.")
    faults = [fault for fault in (_encoding_fault(path), _windows_fault(path, names, entry)) if fault]
    if faults:
        raise UserError(f"data: nerfstudio cannot read {path}: {', and '.join(faults)}.")
    return names


def frames_of(path: Path) -> dict[str, dict[str, Any]]:
    """Each listed photograph's entries; those that a frame lacks are the file's own.

    Raises:
        UserError: as in `listed`.
    """
    names, content = listed(path), _read(path)
    common = {name: value for name, value in content.items() if name != "frames"}
    return {name: common | frame for name, frame in zip(names, content["frames"])}


def pose_of(frame: Mapping[str, Any]) -> np.ndarray | None:
    """A frame's camera-to-world matrix, which SDFStudio calls `camtoworld`, or None if it is not one."""
    try:
        pose = np.array(frame.get("transform_matrix", frame.get("camtoworld")), dtype=float)
    except (TypeError, ValueError):
        return None
    return pose if pose.shape in ((4, 4), (3, 4)) and np.isfinite(pose).all() else None


def shared_folder(data: Path) -> Path | None:
    """The deepest folder that holds all photographs that a dataset lists, or None if it lists none."""
    lists = lists_of(data)
    if not lists:
        return None
    return _shared_folder(tuple((path, path.stat().st_mtime_ns) for path in lists), os.getcwd())


@lru_cache(maxsize=8)
def _shared_folder(lists: tuple[tuple[Path, int], ...], working_folder: str) -> Path | None:
    parents = {os.path.abspath((path.parent / name).parent) for path, _ in lists for name in listed(path)}
    return Path(os.path.commonpath(parents)) if parents else None


def _read(path: Path) -> Any:
    content = read_bytes(path)
    return parsed(content.decode("utf-16") if content.startswith(UTF16) else content)


def _is_sdfstudio(path: Path) -> bool:
    """Whether a meta_data.json lists photographs; other programs write files of this name as well."""
    try:
        content = _read(path)
    except (ValueError, RecursionError):
        return False
    frames = content.get("frames") if isinstance(content, dict) else None
    return isinstance(frames, list) and any(isinstance(frame, dict) and "rgb_path" in frame for frame in frames)


def _encoding_fault(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(3)
    if head.startswith(UTF16):
        return "it is in UTF-16 (save it as UTF-8 without BOM)"
    if head.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark (save it as UTF-8 without BOM)"
    return ""


def _windows_fault(path: Path, names: list[str], entry: str) -> str:
    """What keeps a path that Windows reads from being one here."""
    if os.sep == "\\":
        return ""
    for name in names:
        if os.path.exists(path.parent / name) or not ("\\" in name or re.match("[A-Za-z]:", name)):
            continue
        if PureWindowsPath(name).drive:
            return f"its `{entry}` {name!r} names a drive of Windows (write a path relative to {path.parent}, with /)"
        return f"its `{entry}` {name!r} has backslashes (write /)"
    return ""

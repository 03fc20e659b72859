"""Access of the commands to finished runs: manifest, edit, pipeline and objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from disconerf_ns.errors import UserError
from disconerf_ns.scene.arrangement import arrange
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import SceneObject, load_manifest

if TYPE_CHECKING:
    from disconerf_ns.pipeline import DiscoNerfPipeline
    from disconerf_ns.scene.connected_parts import ConnectedParts


EDIT = "edit.json"
"""Name of the file of a run's edit, beside its config.yml."""


def manifest_of(config: Path) -> Path:
    """Path of a run's `objects.json`, which lies beside its config.yml.

    Raises:
        UserError: the config or the file does not exist.
    """
    if config.suffix != ".yml" or not config.is_file():
        kind = "is a folder" if config.is_dir() else "is not the config.yml of a run"
        raise UserError(f"objects: {config} {kind}; pass the run's config.yml with --load-config.")
    path = config.parent / "objects.json"
    if not path.exists():
        raise UserError(
            f"objects: there is no {path}; pass with --load-config the config.yml of a disconerf run whose object "
            "stage has begun."
        )
    return path


def edit_of(config: Path, slots: int) -> Edit:
    """The edit in a run's folder, or an empty edit if there is none.

    Raises:
        UserError: the file is not an edit of this run.
    """
    path = config.parent / EDIT
    return Edit.load(path, slots) if path.exists() else Edit()


def load_pipeline(config: Path, test_mode: Literal["test", "val", "inference"] = "inference") -> DiscoNerfPipeline:
    """A run's pipeline with its newest checkpoint and its edit.

    Args:
        config: config.yml of the run.
        test_mode: nerfstudio's name of the images to load beside the training images.
    Raises:
        UserError: the file does not exist, or the run has no objects.
    """
    manifest_of(config)
    from nerfstudio.utils.eval_utils import eval_setup

    _, loaded, _, _ = eval_setup(config, test_mode=test_mode)
    pipeline = cast("DiscoNerfPipeline", loaded)
    if (config.parent / EDIT).exists():
        pipeline.open_edit(config.parent / EDIT)
    return pipeline


def objects_of(config: Path) -> tuple[SceneObject, ...]:
    """A run's objects after its edit, from its small files; the run itself is loaded only if the edit splits an object.

    Raises:
        UserError: the run has no objects, or its files cannot be read.
    """
    discovered, slots = load_manifest(manifest_of(config))
    edit = edit_of(config, slots)
    if edit.split:
        return load_pipeline(config).model.current.value.with_edit(edit).objects

    def whole(slot: int) -> ConnectedParts:
        raise AssertionError(f"slot {slot} is not split")

    return arrange(discovered, edit, slots, whole)

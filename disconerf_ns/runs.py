"""Access of the commands to finished runs: manifest, edit, pipeline and objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from disconerf_ns.errors import UserError, reason
from disconerf_ns.scene.arrangement import arrange
from disconerf_ns.scene.edit import EDIT, Edit
from disconerf_ns.scene.objects import SceneObject, load_manifest

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.pipeline import DiscoNerfPipeline
    from disconerf_ns.scene.connected_parts import ConnectedParts


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


def config_of(file: Path) -> TrainerConfig:
    """The configuration of a run.

    Raises:
        UserError: the file is not the config.yml of a run.
    """
    import yaml
    from nerfstudio.engine.trainer import TrainerConfig

    try:
        config = yaml.load(file.read_text(), Loader=yaml.Loader)
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: not the config.yml of a run ({reason(error)}).") from error
    if not isinstance(config, TrainerConfig):
        raise UserError(f"{file}: not the config.yml of a run, which ns-train writes.")
    return config


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
    return cast("DiscoNerfPipeline", loaded)


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

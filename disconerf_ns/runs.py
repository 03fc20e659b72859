"""Access of the commands to finished runs: manifest, edit, pipeline and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from disconerf_ns.errors import UserError, reason
from disconerf_ns.scene.arrangement import all_objects, arrange
from disconerf_ns.scene.cut import said_of_shown, shown_nodes
from disconerf_ns.scene.edit import EDIT, Edit
from disconerf_ns.scene.frame_file import FRAME, read_frame
from disconerf_ns.scene.objects import Manifest, SceneObject, find_object, load_manifest
from disconerf_ns.scene.similarity import Similarity, scene_to_capture
from disconerf_ns.scene.tree import ObjectTree

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.gaussians.splats import Splats
    from disconerf_ns.pipeline import DiscoNerfPipeline
    from disconerf_ns.scene.connected_parts import ConnectedParts


TestMode = Literal["test", "val", "inference"]
"""nerfstudio's name of the images to load beside the training images."""


def manifest_of(config: Path) -> Path:
    """Path of a run's `objects.json`, which lies beside its config.yml.

    Raises:
        UserError: the config or the file does not exist.
    """
    if config.suffix != ".yml" or not config.is_file():
        kind = "is a folder" if config.is_dir() else "is not the config.yml of a run"
        kind = kind if config.exists() else "does not exist"
        raise UserError(f"--load-config: {config} {kind}; pass the run's config.yml.")
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
    from nerfstudio.engine.trainer import TrainerConfig

    from disconerf_ns.training.stored_config import read_config

    try:
        config = read_config(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not the config.yml of a run ({reason(error)}); ns-train writes it.") from error
    if not isinstance(config, TrainerConfig):
        raise UserError(f"{file}: not the config.yml of a run, which ns-train writes.")
    return config


def config_of_ours(file: Path) -> TrainerConfig:
    """The configuration of a run that has objects.

    Raises:
        UserError: the file is not the config.yml of a run, or the run is another method's.
    """
    from disconerf_ns.config import DiscoNerfPipelineConfig

    config = config_of(file)
    if not isinstance(config.pipeline, DiscoNerfPipelineConfig):
        raise UserError(f"{file}: a run of {config.method_name}, which has no objects; name a disconerf run.")
    return config


def edit_of(config: Path, tree: ObjectTree, granularity: float | None = None, file: Path | None = None) -> Edit:
    """The edit in a run's folder, or an empty edit if there is none, said of the objects that it shows.

    Args:
        config: config.yml of the run.
        tree: the run's tree of objects.
        granularity: how fine objects are, in [0, 1]; None for what the edit says.
        file: another file of an edit, which has to be there.
    Raises:
        UserError: the file is not an edit of this run.
    """
    if file is not None and not file.is_file():
        raise UserError(f"there is no {file}; pass with --edit the file of an edit, such as edit.json of a run.")
    path = file or config.parent / EDIT
    edit = Edit.load(path, tree) if file is not None or path.exists() else Edit()
    return said_of_shown(edit if granularity is None else edit.at(granularity), tree)


def load_pipeline(config: Path, test_mode: TestMode = "inference") -> DiscoNerfPipeline:
    """A run's pipeline with its newest checkpoint and its edit.

    Args:
        config: config.yml of the run.
        test_mode: nerfstudio's name of the images to load beside the training images.
    Raises:
        UserError: the file does not exist, or the run has no objects.
    """
    manifest_of(config)
    return open_run(config, test_mode)[1]


def open_run(config: Path, test_mode: TestMode) -> tuple[TrainerConfig, DiscoNerfPipeline, int]:
    """A run's configuration, its pipeline with its newest checkpoint, and the step of that.

    nerfstudio runs what a config.yml names, so the file is read first by a loader that does not.

    Raises:
        UserError: the file is not the config.yml of a run.
    """
    from disconerf_ns.compat.callers import name_callers_only

    name_callers_only()
    from nerfstudio.utils.eval_utils import eval_setup

    config_of_ours(config)
    opened, loaded, _, step = eval_setup(config, test_mode=test_mode)
    return opened, cast("DiscoNerfPipeline", loaded), step


def objects_of(config: Path, granularity: float | None = None, file: Path | None = None) -> tuple[SceneObject, ...]:
    """A run's objects after its edit, from its small files; the run itself is loaded only if the edit splits an object.

    Args:
        config: config.yml of the run.
        granularity: how fine objects are, in [0, 1]; None for what the edit says.
        file: another file of an edit than the run's own.
    Raises:
        UserError: the run has no objects, or its files cannot be read.
    """
    (discovered, tree), edit = _small_files(config, granularity, file)
    if edit.split:
        return load_pipeline(config).model.current.value.with_edit(edit).objects

    def whole(node: int) -> ConnectedParts:
        raise AssertionError(f"object {node} is not split")

    return arrange(discovered, tree, edit, whole)


def other_objects_of(
    config: Path, granularity: float | None = None, file: Path | None = None
) -> tuple[SceneObject, ...]:
    """A run's objects that another granularity shows, and those that are merged into others, from its small files.

    Arguments as in `objects_of`.
    """
    (discovered, tree), edit = _small_files(config, granularity, file)
    shown = set(shown_nodes(edit, tree)) - edit.merged.keys()
    return tuple(each for each in all_objects(discovered, tree, edit) if each.id not in shown)


def _small_files(config: Path, granularity: float | None, file: Path | None) -> tuple[Manifest, Edit]:
    manifest = load_manifest(manifest_of(config))
    return manifest, edit_of(config, manifest.tree, granularity, file)


@dataclass(frozen=True)
class EditedRun:
    """A run under an edit, as a command's options say."""

    config: Path
    """config.yml of the run."""
    granularity: float | None = None
    """How fine objects are, in [0, 1]; None for what the edit says."""
    edit: Path | None = None
    """Another file of an edit than the run's own."""
    complete: bool = True
    """Whether objects are completed where no photograph looked, if the run's options say so too."""
    test_mode: TestMode = "inference"
    """nerfstudio's name of the images to load beside the training images."""

    @cached_property
    def shown_edit(self) -> Edit:
        """The edit, from the run's small files.

        Raises:
            UserError: the run's files cannot be read, or the file is not an edit of it.
        """
        return _small_files(self.config, self.granularity, self.edit)[1]

    def find(self, wanted: Sequence[str]) -> list[SceneObject]:
        """Objects, each once, from the run's small files; the run itself is loaded only if the edit splits an object.

        Args:
            wanted: output names, numbers, or names that a person gave.
        Raises:
            UserError: there is no such object, or the run's files cannot be read.
        """
        said, edit = (self.config, self.granularity, self.edit), self.shown_edit
        if edit.split:
            find = self.pipeline.model.current.value.find
        else:
            shown, others = objects_of(*said), other_objects_of(*said)
            find = lambda name: find_object(shown, name, others, edit.merged)
        return list({each.id: each for each in map(find, wanted)}.values())

    @cached_property
    def pipeline(self) -> DiscoNerfPipeline:
        """The run's pipeline, loaded once; its current scene is under the edit, and completed or not.

        Raises:
            UserError: the run cannot be loaded, or the file is not an edit of it.
        """
        pipeline = load_pipeline(self.config, self.test_mode)
        tree = pipeline.model.current.value.trained.tree
        edit = edit_of(self.config, tree, self.granularity, self.edit)
        pipeline.model.current.replace(
            lambda scene: scene.with_edit(edit).with_options(complete=self.complete and scene.options.complete)
        )
        return pipeline


def capture_frame(config: Path) -> Similarity:
    """The similarity that takes a run's scene coordinates to those of its capture, which its data's files are in.

    It undoes nerfstudio's orienting, centring and scaling of the cameras. In scene coordinates z is up.

    Args:
        config: config.yml of the run.
    Raises:
        UserError: the run's dataparser_transforms.json is missing, or it is not what ns-train writes.
    """
    path = config.parent / FRAME
    frame = read_frame(path)
    try:
        return scene_to_capture(frame.transform, frame.scale)
    except ValueError as error:
        raise UserError(f"{path}: the frame of the capture cannot be undone ({error}); train the run anew.") from error


class ReadSplats(NamedTuple):
    """Gaussians of a PLY file or a splatfacto run."""

    splats: Splats
    to_capture: Similarity | None
    """Takes their coordinates to the capture's; None where a file does not say it."""


def read_splats(path: Path) -> ReadSplats:
    """Gaussians of a PLY file or a splatfacto run.

    Args:
        path: the PLY file, the run's config.yml, or its folder.
    Raises:
        UserError: there is no such file or run, or it has no gaussians that can be read.
    """
    from disconerf_ns.export.splats_ply import read_ply
    from disconerf_ns.gaussians.run import read_run

    config = path / "config.yml" if path.is_dir() else path
    if config.suffix != ".yml":
        found = ReadSplats(read_ply(path), None)
    else:
        found = ReadSplats(read_run(config_of(config), config), capture_frame(config))
    if not found.splats.finite.any():
        raise UserError(f"splats: {path} has no gaussian whose values are all finite; export or train it again.")
    return found

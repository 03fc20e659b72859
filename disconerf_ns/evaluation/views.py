"""The views that a run is scored on, and their 2D masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.keys import image_key
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.options import VISIBLE
from disconerf_ns.scene.current import CurrentScene
from disconerf_ns.scene.similarity import Similarity, scene_to_capture


@runtime_checkable
class EvaluatedModel(Protocol):
    """A model whose scene is looked at."""

    current: CurrentScene
    camera_optimizer: Any
    label_maps: dict[int, Tensor] | None

    def get_outputs_for_camera(self, camera: Cameras) -> Mapping[str, Tensor]:
        """Outputs of a camera by name."""
        ...


@runtime_checkable
class EvaluatedRun(Protocol):
    """A loaded or trained run: a pipeline of nerfstudio whose data manager knows masks."""

    config: Any
    datamanager: Any
    device: Any

    @property
    def model(self) -> EvaluatedModel:
        """The model."""
        ...


@dataclass(frozen=True)
class View:
    """An image of the dataset that is evaluated."""

    split: Literal["train", "test"]
    index: int
    """Its number in the split."""
    key: str
    """The name under which its labels and masks are kept."""
    image: Path
    height: int
    width: int


def dataset_of(run: EvaluatedRun, split: Literal["train", "test"]) -> InputDataset:
    """The images of a split; "test" are those that nerfstudio's ns-eval looks at."""
    return run.datamanager.train_dataset if split == "train" else run.datamanager.eval_dataset


def photographs_of(run: EvaluatedRun, split: Literal["train", "test"]) -> Cameras:
    """Cameras of a split's photographs as their files are, also where `camera-res-scale-factor` made them smaller."""
    return dataset_of(run, split)._dataparser_outputs.cameras


def capture_of(run: EvaluatedRun) -> Similarity:
    """The similarity from a loaded run's scene coordinates to its capture's, the coordinates of the data's poses."""
    parsed = run.datamanager.train_dataparser_outputs
    return scene_to_capture(parsed.dataparser_transform, parsed.dataparser_scale)


def check_held_out(run: EvaluatedRun) -> None:
    """Check that there are views to be evaluated.

    Raises:
        UserError: there are none.
    """
    if len(dataset_of(run, "test")) == 0:
        raise _none(Path(run.config.datamanager.dataparser.data))


def _none(data: Path) -> UserError:
    return UserError(f"evaluation: {data} holds no view out; keep some out with the dataparser's split options.")


def views_of(run: EvaluatedRun, split: Literal["train", "test", "all"] = "test") -> list[View]:
    """The views of a split; an image that is in both splits is there once.

    Raises:
        UserError: there are none, or two of them share a key.
    """
    data = Path(run.config.datamanager.dataparser.data)
    views: dict[Path, View] = {}
    for part in ("train", "test") if split == "all" else (split,):
        cameras = photographs_of(run, part)
        for index, image in enumerate(dataset_of(run, part).image_filenames):
            height, width = int(cameras.height[index]), int(cameras.width[index])
            views.setdefault(image, View(part, index, image_key(image, data), image, height, width))
    if not views:
        raise _none(data)
    by_key: dict[str, Path] = {}
    for view in views.values():
        other = by_key.setdefault(view.key, view.image)
        if other != view.image:
            raise UserError(
                f"evaluation: {other} and {view.image} are both called {view.key}; give the images different names."
            )
    return list(views.values())


def check_downscale(option: str, downscale: int, views: Sequence[View]) -> None:
    """Refuse pictures so small that they show nothing; photographs at their own size are as small as they are.

    Args:
        option: how the sentence calls it, such as `export: --downscale`.
        downscale: pictures have 1 / downscale of the views' size.
        views: what is looked at.
    Raises:
        UserError: a side of the smallest photograph would have too few pixels.
    """
    smallest = min(views, key=lambda view: min(view.height, view.width))
    most = max(min(smallest.height, smallest.width) // VISIBLE.low, 1)
    if downscale > most:
        raise UserError(
            f"{option} is {downscale}; it has to be from 1 to {most}, so that the photograph {smallest.key} of "
            f"{smallest.width} x {smallest.height} pixels keeps {VISIBLE.low} along each side."
            if most > 1
            else f"{option} is {downscale}; leave it out, because the photograph {smallest.key} has "
            f"{smallest.width} x {smallest.height} pixels only."
        )


def check_shape(path: Path, height: int, width: int, view: View, note: str = "") -> None:
    """Refuse labels or masks of another picture; another size of the same one is fine.

    Args:
        height, width: size on the photograph's stored pixels.
        note: what the message adds about the view.
    Raises:
        UserError: the sides are in another proportion than the view's.
    """
    if not same_shape((height, width), (view.height, view.width)):
        raise UserError(
            f"evaluation: {path} is {width} x {height}, but {view.image.name} is {view.width} x {view.height}, another "
            f"shape{note}; it has to be made from the image that is evaluated."
        )


def masks_of(run: EvaluatedRun, views: Sequence[View], folder: Path | None = None) -> MaskStore | None:
    """The 2D masks in a folder, or the masks of the run if they are still there and cover all views.

    Raises:
        UserError: the folder lacks masks of a view, or masks are of another shape than their view.
    """
    try:
        store = run.datamanager.store if folder is None else MaskStore.open(folder)
        missing = store.missing([view.key for view in views])
        if missing:
            otherwise = "" if folder is None else ", or leave --masks out"
            raise UserError(
                f"masks: {store.root} has masks for {len(views) - len(missing)} of {len(views)} evaluated views; "
                f"missing: {missing[0]}. Make them for these images too{otherwise}."
            )
        for view in views:
            load_masks(store, view)
    except UserError as error:
        if folder is not None:
            raise
        CONSOLE.log(f"2D masks are not scored: {error}")
        return None
    return store


def load_masks(store: MaskStore, view: View) -> ImageMasks:
    """The 2D masks of a view; no file is no masks.

    Raises:
        UserError: they are broken, or of another shape than the view.
    """
    key = store.resolve(view.key)
    if key is None:
        return ImageMasks(view.height, view.width, ())
    masks = store.load(key)
    check_shape(store.root / f"{key}.json", masks.height, masks.width, view)
    return masks

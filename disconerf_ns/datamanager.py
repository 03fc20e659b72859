"""Data of both stages: ray batches from nerfstudio, then whole views with their masks."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.pixel_samplers import PixelSampler
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from disconerf_ns.compat.confined import ConfinedFolder
from disconerf_ns.compat.leaning import said_to_lean
from disconerf_ns.compat.named_dataset import dataset_named, frame_unsaid, listed
from disconerf_ns.compat.named_photos import check_sizes, photos_named
from disconerf_ns.compat.poses import check_poses
from disconerf_ns.compat.rendered_splits import rendered_splits
from disconerf_ns.compat.taught_pixels import check_masks, inside_mask, inside_radius
from disconerf_ns.config import DiscoNerfDataManagerConfig
from disconerf_ns.errors import UserError
from disconerf_ns.masks.freshness import said_of_changed
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import headers_of, misread_modes, misread_sentence
from disconerf_ns.masks.keys import image_key
from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.masks.of_photographs import Photograph, masks_of_each
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.surface.rays import sampled_rays
from disconerf_ns.training.devices import Devices
from disconerf_ns.training.photos import Photos, RayDraws, read_photos
from disconerf_ns.training.same_scene import files_of

PHOTO_BYTES = 3 * 12
"""Maximum number of bytes that nerfstudio needs per pixel: three float32 values in the photos in use and, while a new
subset is drawn, three more in the new photos and three more in the stack of them."""
REDRAWN = 1000
"""Iterations after which a new subset of photos is drawn, if not all photos fit into memory."""


class DiscoNerfDataManager(VanillaDataManager):
    """nerfstudio's data manager with masks for the training views, found by each image's relative path."""

    config: DiscoNerfDataManagerConfig

    def __init__(self, config: DiscoNerfDataManagerConfig, *args, **kwargs):
        data = config.data or config.dataparser.data
        if not Path(data).exists():
            raise UserError(f"data: there is no {data}; pass the dataset's folder with --data.")
        self.shuffled: list[int] = []
        self._kept: dict[int, MaskedView] = {}
        self._kept_bytes = 0
        self._draws: RayDraws | None = None
        self.devices = Devices.of_process()
        self.limits_rays = True
        """Whether `surface_rays` limits the pixels of a view; set before the object stage."""
        with dataset_named(config.dataparser, Path(data)):
            super().__init__(config, *args, **kwargs)

    def create_train_dataset(self) -> InputDataset:
        """nerfstudio's dataset of the training photographs."""
        self.train_dataparser_outputs.cameras = listed(self.train_dataparser_outputs.cameras)
        return super().create_train_dataset()

    def create_eval_dataset(self) -> InputDataset:
        """nerfstudio's dataset of the held-out photographs.

        Raises:
            UserError: there are none of a split that `ns-render dataset` is to render.
        """
        if any(not self.dataparser.get_dataparser_outputs(split).image_filenames for split in rendered_splits()):
            raise UserError(
                f"data: {self._data} holds no view out, so there is nothing to render; render those of the training "
                "with --split train."
            )
        dataset = super().create_eval_dataset()
        dataset.cameras, parsed = listed(dataset.cameras), dataset._dataparser_outputs
        parsed.cameras = listed(parsed.cameras)
        return dataset

    def get_datapath(self) -> Path:
        """The dataset's folder, below which nerfstudio's viewer writes camera paths under names that clients type."""
        return ConfinedFolder(super().get_datapath())

    def setup_train(self) -> None:
        """Set up nerfstudio's training data; a run that trains also reads the masks and tells the model their number.

        Raises:
            UserError: photographs are missing or broken; masks are, or are of another shape; or no training image has a
                mask.
        """
        self._check_photos()
        if self._fits_in_bytes():
            self.train_pixel_sampler = self._get_pixel_sampler(self.train_dataset, self.config.train_num_rays_per_batch)
            self._draws = RayDraws(self._photos_in_bytes(), self._cameras)
        else:
            self._limit_photos()
            with photos_named(self.train_dataparser_outputs.image_filenames):
                super().setup_train()
        if self.test_mode != "val":
            return
        parser = self.config.dataparser
        warnings = said_of_changed(self.store, self._data), frame_unsaid(parser), said_to_lean(parser, self._cameras)
        for sentence in warnings:
            if sentence:
                CONSOLE.log(sentence)
        most = max(len(masks) for masks in self.masks)
        if most == 0:
            raise UserError(
                f"masks: {self.store.root} holds no mask for any training image; make masks with another proposer or "
                "other parameters, see `disconerf masks --help`."
            )
        self.train_dataset.metadata["most_masks"] = most + self.config.background_mask
        self.train_dataset.metadata["slots"] = 2 * self.train_dataset.metadata["most_masks"]

    def setup_eval(self) -> None:
        """Set up nerfstudio's loaders of held-out photographs.

        Raises:
            UserError: one of them is missing or broken.
        """
        with photos_named(self.eval_dataset._dataparser_outputs.image_filenames):
            super().setup_eval()

    def _check_photos(self) -> None:
        """Refuse photographs and masks of which nerfstudio would see something else than they show.

        Raises:
            UserError: names the file.
        """
        parsed = self.train_dataparser_outputs
        every = parsed, self.eval_dataset._dataparser_outputs
        headers = headers_of(image for outputs in every for image in outputs.image_filenames)
        if sentence := misread_sentence(misread_modes(headers)):
            raise UserError(f"images: {sentence}")
        for outputs in every:
            check_poses(outputs.cameras, outputs.image_filenames, self._data)
            check_sizes(outputs.cameras, outputs.image_filenames, headers)
        if parsed.mask_filenames is not None:
            check_masks(parsed.mask_filenames, parsed.image_filenames)

    def _fits_in_bytes(self) -> bool:
        """Whether `Photos` can stand in for nerfstudio's loader, and all photographs fit into `image_memory_gb`.

        Datasets with data of their own, patches and samplers that a user chose stay nerfstudio's.
        """
        config, dataset = self.config, self.train_dataset
        ordinary = (
            type(dataset) is InputDataset
            and not dataset.mask_color
            and config.train_num_images_to_sample_from == -1
            and config.patch_size == 1
            and config.pixel_sampler._target is PixelSampler
            and not config.pixel_sampler.keep_full_image
            and not (dataset.cameras.camera_type == CameraType.EQUIRECTANGULAR.value).any()
        )
        return ordinary and self._bytes <= config.image_memory_gb * 2**30

    @property
    def _bytes(self) -> int:
        """Largest size of the training photographs as bytes."""
        return 4 * int((self.train_dataset.cameras.height * self.train_dataset.cameras.width).sum())

    def _photos_in_bytes(self) -> Photos:
        """The photographs on the device that trains, if they take a quarter of its free memory at most."""
        dataset, parsed = self.train_dataset, self.train_dataparser_outputs
        device = torch.device(self.device)
        if device.type == "cuda" and self._bytes > torch.cuda.mem_get_info(device)[0] / 4:
            device = torch.device("cpu")
        taught = None
        if self._crop_radius(dataset.cameras) is not None or parsed.mask_filenames is not None:
            taught = [self.taught_at(index, *self._image_size(index)) for index in range(len(dataset))]
        with photos_named(parsed.image_filenames):
            images = read_photos(dataset.get_numpy_image, len(dataset))
        return Photos(images, device, parsed.alpha_color, taught)

    def _limit_photos(self) -> None:
        """Let nerfstudio hold as many photos as fit into `image_memory_gb`, unless the user set their number."""
        config, cameras = self.config, self.train_dataset.cameras
        if config.train_num_images_to_sample_from != -1:
            return
        largest = PHOTO_BYTES * int((cameras.height * cameras.width).max())
        fit = max(int(config.image_memory_gb * 2**30 / largest), 1)
        if fit < len(self.train_dataset):
            CONSOLE.log(f"photos: {fit} of {len(self.train_dataset)} in memory, redrawn every {REDRAWN} iterations")
            config.train_num_images_to_sample_from, config.train_num_times_to_repeat_images = fit, REDRAWN

    @cached_property
    def store(self) -> MaskStore:
        """The set of masks of this run."""
        if self.config.masks is not None:
            return MaskStore.open(self.config.masks)
        store = MaskStore.find(self._data)
        CONSOLE.log(store.note)
        return store

    @property
    def _data(self) -> Path:
        return Path(self.config.dataparser.data)

    @cached_property
    def train_keys(self) -> list[str]:
        """Relative paths of the training images without suffix, which are the keys of their masks."""
        return [image_key(name, self._data) for name in self.train_dataset.image_filenames]

    @cached_property
    def masks(self) -> list[ImageMasks]:
        """Masks of every training image, run-length encoded.

        Raises:
            UserError: an image has no masks, its masks have another shape, or two images would share them.
        """
        images = self.train_dataset.image_filenames
        sizes = map(self._image_size, range(len(images)))
        photographs = [Photograph(*each) for each in zip(images, self.train_keys, sizes)]
        held_out = [image_key(name, self._data) for name in self.eval_dataset.image_filenames]
        return masks_of_each(self.store, photographs, held_out, self._data, self.config.allow_missing_masks)

    def _image_size(self, index: int) -> tuple[int, int]:
        cameras = self.train_dataset.cameras
        return int(cameras.height[index]), int(cameras.width[index])

    def view_size(self, index: int) -> tuple[int, int]:
        """Height and width of a training view in the object stage, in pixels."""
        height, width = self._image_size(index)
        pixels = self.config.view_pixels
        if self.limits_rays:
            pixels = min(pixels, self.config.surface_rays / len(self.train_dataset))
        scale = min(1.0, math.sqrt(pixels / (height * width)))
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def view_rays(self, index: int) -> RayBundle:
        """Rays through the pixels of a training view at the object stage's resolution, row by row."""
        return sampled_rays(self._cameras, index, *self.view_size(index)).flatten()

    @cached_property
    def _cameras(self) -> Cameras:
        return self.train_dataset.cameras.to(self.device)

    def view_masks(self, index: int) -> MaskedView:
        """Masks of a training view at the pixels of `view_rays`; decoded masks are kept while they fit into memory."""
        if index in self._kept:
            return self._kept[index]
        view = self._decoded(index)
        if self._kept_bytes + view.nbytes <= self.config.mask_memory_gb * 2**30:
            self._kept[index] = view
            self._kept_bytes += view.nbytes
        return view

    def _decoded(self, index: int) -> MaskedView:
        masks, (height, width) = self.masks[index], self.view_size(index)
        valid = torch.from_numpy(masks.decode_looked_at(height, width)).flatten() & self.taught(index)
        return MaskedView(index, torch.from_numpy(masks.packed(height, width)), valid)

    def taught(self, index: int) -> Bool[Tensor, "pixels"]:
        """True for pixels of `view_rays` that have a ray which teaches nerfstudio's radiance field."""
        taught = self.taught_at(index, *self.view_size(index)).flatten()
        if self._may_lack_rays:
            taught &= self.view_rays(index).directions.isfinite().all(-1).cpu()
        return taught

    def taught_at(self, index: int, rows: int, columns: int) -> Bool[Tensor, "rows columns"]:
        """True for pixels of a view of this size inside nerfstudio's mask and fisheye radius."""
        taught = np.ones((rows, columns), dtype=bool)
        files = self.train_dataparser_outputs.mask_filenames
        if files is not None and not self.config.pixel_sampler.ignore_mask:
            taught &= inside_mask(files[index], rows, columns)
        if (radius := self._crop_radius(self.train_dataset.cameras)) is not None:
            taught &= inside_radius(*self._image_size(index), radius, rows, columns)
        return torch.from_numpy(taught)

    def _crop_radius(self, cameras: Cameras) -> float | None:
        """nerfstudio's `fisheye_crop_radius` in pixels of the images as they are used; None if rays lie anywhere."""
        radius = (cameras.metadata or {}).get("fisheye_crop_radius")
        downscale = getattr(self.dataparser, "downscale_factor", None) or 1
        return None if radius is None else float(radius) * self.config.camera_res_scale_factor / downscale

    def _get_pixel_sampler(self, dataset: InputDataset, num_rays_per_batch: int) -> PixelSampler:
        """nerfstudio's ray sampler with its fisheye radius in pixels of the downscaled images, not of the full size."""
        rays = num_rays_per_batch if dataset is self.eval_dataset else self.devices.portion(num_rays_per_batch)
        sampler = super()._get_pixel_sampler(dataset, rays)
        sampler.config.fisheye_crop_radius = self._crop_radius(dataset.cameras)
        return sampler

    def get_train_rays_per_batch(self) -> int:
        """Number of rays of a batch on this device."""
        return self.devices.portion(self.config.train_num_rays_per_batch)

    def next_train(self, step: int) -> tuple[RayBundle, dict]:
        """The next rays; another one stands in for the middle ray of a fisheye, if that is not a number.

        nerfstudio divides 0 by 0 where a pixel lies exactly at a fisheye camera's principal point.
        """
        if self._draws is None:
            with photos_named(self.train_dataparser_outputs.image_filenames):
                rays, batch = super().next_train(step)
        else:
            self.train_count += 1
            rays, batch = self._draws.take(self.get_train_rays_per_batch())
        if not self._may_lack_rays:
            return rays, batch
        finite = rays.directions.isfinite().all(-1)
        kept = torch.where(finite, torch.arange(len(rays), device=finite.device), finite.int().argmax())
        return rays[kept], {name: value[kept.to(value.device)] for name, value in batch.items()}

    @cached_property
    def _may_lack_rays(self) -> bool:
        return bool((self.train_dataset.cameras.camera_type == CameraType.FISHEYE.value).any())

    def to_go_on(self) -> dict[str, Any]:
        """State with which `go_on` draws the same next rays and views, and the photographs and masks to compare."""
        return {
            "images": self.train_keys,
            "files": files_of(self.train_dataset.cameras, self.train_dataset.image_filenames),
            "masks": str(self.store.root.resolve()),
            "masks_identity": self.store.identity(),
            "order": self.shuffled,
            "draws": None if self._draws is None else self._draws.to_go_on(),
        }

    def go_on(self, stored: dict[str, Any]) -> None:
        """Draw what a run of the same photographs and options would draw next; nerfstudio's own loader starts over."""
        self.shuffled = list(stored["order"])
        if self._draws is not None and stored["draws"] is not None:
            self._draws.go_on(stored["draws"])

    @cached_property
    def views(self) -> range:
        """Indices of the training views that this device learns from in the object stage."""
        return self.devices.views(len(self.train_dataset))

    def draw_views(self) -> tuple[int, ...]:
        """Indices of the device's next views in the object stage: each once in random order, then again."""
        count = min(self.devices.portion(self.config.views_per_batch), len(self.views))
        if len(self.shuffled) < count:
            self.shuffled = self.shuffled + [self.views[place] for place in torch.randperm(len(self.views)).tolist()]
        drawn, self.shuffled = self.shuffled[:count], self.shuffled[count:]
        return tuple(drawn)

    @property
    def following_views(self) -> tuple[int, ...] | None:
        """Indices that `draw_views` returns next; None if they are not shuffled yet."""
        count = min(self.devices.portion(self.config.views_per_batch), len(self.views))
        return tuple(self.shuffled[:count]) if len(self.shuffled) >= count else None

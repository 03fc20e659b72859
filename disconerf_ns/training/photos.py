"""The training photographs as bytes on one device, and random rays of them.

nerfstudio keeps photographs as float32 in host memory, and copies the indices of every batch there and its colours
back. Here a pixel takes 3 or 4 bytes, and many batches are drawn at once, so that the host waits for nerfstudio's
cameras once in a while and not in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

RAYS_AT_ONCE = 2**18
"""Number of rays that are drawn together, if a batch is not larger."""
READERS = 8
"""Threads that read photographs."""


class Photos:
    """Photographs as bytes, one after the other.

    Args:
        images: of each photograph, (height, width, 3 or 4).
        device: device that keeps them.
        alpha_color: colour in [0, 1] behind photographs with an alpha channel; None keeps the channel.
        taught: of each photograph, True for the pixels that are drawn; None draws all.
    """

    def __init__(
        self,
        images: Sequence[UInt8[np.ndarray, "height width channels"]],
        device: torch.device | str,
        alpha_color: Float[Tensor, "3"] | None = None,
        taught: Sequence[Bool[Tensor, "height width"]] | None = None,
    ):
        sizes = torch.tensor([image.shape[:2] for image in images])
        ends = sizes.prod(1).cumsum(0)
        self.device = torch.device(device)
        channels = max(image.shape[2] for image in images)
        pixels = [torch.from_numpy(opaque(image, channels)).flatten(0, 1) for image in images]
        self._bytes = torch.cat([part.to(device) for part in pixels])
        self._ends, self._first = ends.to(device), (ends - sizes.prod(1)).to(device)
        self._widths = sizes[:, 1].to(device)
        self._alpha_color = None if alpha_color is None else alpha_color.to(device)
        self._taught = None
        if taught is not None:
            self._taught = torch.cat([each.flatten() for each in taught]).nonzero()[:, 0].to(device)

    def draw(self, count: int) -> tuple[Int[Tensor, "count 3"], Float[Tensor, "count _"]]:
        """Random pixels, all equally likely: photograph, row and column, and their colours in [0, 1]."""
        last = len(self._bytes if self._taught is None else self._taught)
        pixel = torch.randint(last, (count,), device=self.device)
        if self._taught is not None:
            pixel = self._taught[pixel]
        photo = torch.searchsorted(self._ends, pixel, right=True)
        inside, width = pixel - self._first[photo], self._widths[photo]
        return torch.stack([photo, inside // width, inside % width], -1), self._blended(self._bytes[pixel])

    def _blended(self, colours: UInt8[Tensor, "count channels"]) -> Float[Tensor, "count _"]:
        colours = colours.float() / 255
        if self._alpha_color is None or colours.shape[-1] == 3:
            return colours
        return self._alpha_color.lerp(colours[:, :3], colours[:, 3:])


def opaque(image: UInt8[np.ndarray, "height width channels"], channels: int) -> UInt8[np.ndarray, "height width more"]:
    """An image with this number of channels, 3 or 4; where it has no alpha channel, it gets one of 255."""
    if image.shape[2] == channels:
        return image
    return np.concatenate([image, np.full_like(image[..., :1], 255)], -1)


class RayDraws:
    """Random rays of photographs, drawn many batches at a time.

    Args:
        photos: the photographs.
        cameras: their cameras, on the device that trains.
    """

    def __init__(self, photos: Photos, cameras: Cameras):
        self._photos, self._cameras = photos, cameras
        self._drawn: tuple[RayBundle, dict[str, Tensor]] | None = None
        self._before: Tensor | None = None
        self._next = 0

    def to_go_on(self) -> dict[str, Any]:
        """What `go_on` needs to take the same rays from here: how the batches were drawn, and which is next."""
        count = 0 if self._drawn is None else len(self._drawn[0])
        return {"generator": self._before, "count": count, "next": self._next}

    def go_on(self, state: dict[str, Any]) -> None:
        """Draw the same batches again, and go on where they were left; torch's generators stay as they are."""
        if state["generator"] is not None:
            with torch.random.fork_rng():
                self._set_generator(state["generator"])
                self._drawn, self._next = self._draw(state["count"]), state["next"]

    def take(self, count: int) -> tuple[RayBundle, dict[str, Tensor]]:
        """The next rays, and their pixels' `indices` (photograph, row, column) and colours `image`."""
        if self._drawn is None or self._next + count > len(self._drawn[0]):
            self._drawn, self._next = self._draw(max(count, RAYS_AT_ONCE // count * count)), 0
        rays, batch = self._drawn
        chosen = slice(self._next, self._next + count)
        self._next += count
        return rays[chosen], {name: values[chosen] for name, values in batch.items()}

    def _set_generator(self, state: Tensor) -> None:
        if self._photos.device.type == "cuda":
            torch.cuda.set_rng_state(state, self._photos.device)
        else:
            torch.set_rng_state(state)

    def _draw(self, count: int) -> tuple[RayBundle, dict[str, Tensor]]:
        device, drawn_on = self._cameras.device, self._photos.device
        self._before = torch.cuda.get_rng_state(drawn_on) if drawn_on.type == "cuda" else torch.get_rng_state()
        indices, colours = (drawn.to(device) for drawn in self._photos.draw(count))
        rays = self._cameras.generate_rays(indices[:, :1], coords=indices[:, 1:] + 0.5)
        return rays, {"indices": indices, "image": colours}


def read_photos(
    read: Callable[[int], UInt8[np.ndarray, "height width channels"]], count: int
) -> list[UInt8[np.ndarray, "height width channels"]]:
    """Read photographs in several threads; decoders release Python's lock."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, range(count)))

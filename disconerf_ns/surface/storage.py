"""Where the surface samples of the training views are kept: on the device, in host memory, in a file, by budget.

A view is in one place as a whole and is the same in each, bit for bit: a budget changes time and nothing else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from disconerf_ns.errors import UserError
from disconerf_ns.surface.samples import SurfaceSamples

GIB = 2**30


class Place(Enum):
    """Where the samples of a view are."""

    GPU = "on the GPU"
    HOST = "in host memory"
    FILE = "in a file"


def sample_sizes(rays: int, points: int) -> tuple[int, int]:
    """Bytes of a view's positions, three numbers of 16 bits a point, and of its accumulation, one a ray."""
    return 6 * points * rays, 2 * rays


def pinned_size(size: int) -> int:
    """Bytes of host memory that torch pins, for a GPU to read, for a tensor of so many: the next power of two."""
    return 1 << max(size - 1, 0).bit_length()


def place(sizes: Sequence[tuple[int, int]], gpu_bytes: int | None, host_bytes: int) -> list[Place]:
    """Fill the GPU, then the host's memory; what is left goes to a file.

    Views are drawn equally often, so it makes no difference which ones are near.

    Args:
        sizes: bytes of the tensors of each view.
        gpu_bytes, host_bytes: most bytes there; None where there is no GPU, for which host memory is pinned.
    """
    left = {Place.GPU: gpu_bytes or 0, Place.HOST: host_bytes}
    on_host = sum if gpu_bytes is None else lambda tensors: sum(map(pinned_size, tensors))
    places = []
    for tensors in sizes:
        needed = {Place.GPU: sum(tensors), Place.HOST: on_host(tensors)}
        chosen = next((where for where, size in needed.items() if size <= left[where]), Place.FILE)
        if chosen in left:
            left[chosen] -= needed[chosen]
        places.append(chosen)
    return places


class Spill:
    """A file for what memory has no room for. It has no name, so that it is gone when the run is.

    Args:
        folder: where the file is.
        size: bytes that it is going to hold.
    Raises:
        UserError: the disk has no room for them.
    """

    def __init__(self, folder: Path, size: int):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if size > free:
            raise UserError(
                f"surface: {folder} has {free / GIB:.1f} GiB left and {size / GIB:.1f} are needed; raise "
                "--pipeline.surface-memory-gb or --pipeline.surface-host-memory-gb, or lower "
                "--pipeline.datamanager.view-pixels."
            )
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (open as long as it is mapped)

    def keep(self, tensor: Tensor) -> Tensor:
        """The same values, read from the file when they are looked at; the system drops them when memory is short."""
        array, start = tensor.cpu().contiguous().numpy(), self._file.seek(0, 2)
        self._file.write(memoryview(array).cast("B"))
        self._file.flush()
        return torch.from_numpy(np.memmap(self._file, array.dtype, "c", start, array.shape))


class SurfaceStorage:
    """Puts the samples of one view after the other where there is room.

    Args:
        rays: rays of each view.
        points: points of a ray.
        device: what computes with them.
        gpu_gb, host_gb: most memory in GiB of a GPU, where that is the device, and of the host.
        folder: where there is a disk for the rest.
    Raises:
        UserError: the disk has no room for it.
    """

    def __init__(
        self,
        rays: Sequence[int],
        points: int,
        device: torch.device | str,
        gpu_gb: float,
        host_gb: float,
        folder: Path,
    ):
        self._device = torch.device(device)
        sizes = [sample_sizes(count, points) for count in rays]
        gpu_bytes = None if self._device.type == "cpu" else round(gpu_gb * GIB)
        places = place(sizes, gpu_bytes, round(host_gb * GIB))
        self.bytes = Counter()
        for size, chosen in zip(sizes, places):
            self.bytes[chosen] += sum(size)
        self._places = iter(places)
        self._spill = Spill(folder, self.bytes[Place.FILE]) if self.bytes[Place.FILE] else None

    def __str__(self) -> str:
        return ", ".join(f"{size / 2**20:,.0f} MiB {chosen.value}" for chosen, size in self.bytes.items() if size)

    def keep(self, samples: SurfaceSamples) -> SurfaceSamples:
        """The samples of the next view, in their place."""
        chosen = next(self._places)
        if chosen is Place.GPU:
            return samples.to(self._device)
        put = {Place.HOST: self._near, Place.FILE: self._spill and self._spill.keep}[chosen]
        return SurfaceSamples(put(samples.packed), put(samples.accumulation))

    def _near(self, tensor: Tensor) -> Tensor:
        return tensor if self._device.type == "cpu" else tensor.cpu().pin_memory()

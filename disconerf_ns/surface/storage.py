"""Storage of the training views' surface samples on the GPU, in host memory or in a file, by memory budget.

Each view lies in one place as a whole, with values that are the same in every place, bit for bit: budgets change only
the speed.
"""

from __future__ import annotations

import errno
import os
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


class Tier(Enum):
    """Storage place of a view's samples."""

    GPU = "on the GPU"
    HOST = "in host memory"
    FILE = "in a file"


def sample_sizes(rays: int, points: int) -> tuple[int, int]:
    """Bytes of a view's positions, three 16-bit numbers per point, and of its accumulation, one per ray."""
    return 6 * points * rays, 2 * rays


def pinned_size(size: int) -> int:
    """Bytes of host memory that torch pins for a tensor of `size` bytes: the next power of two."""
    return 1 << max(size - 1, 0).bit_length()


def assign_tiers(sizes: Sequence[tuple[int, int]], gpu_bytes: int | None, host_bytes: int) -> list[Tier]:
    """Tier of each view: views fill the GPU first, then host memory, and the rest goes to a file.

    Training draws all views equally often, so it does not matter which ones are near.

    Args:
        sizes: bytes of the tensors of each view.
        gpu_bytes: budget of the GPU; None if there is no GPU, so that host memory need not be pinned.
        host_bytes: budget of host memory.
    """
    left = {Tier.GPU: gpu_bytes or 0, Tier.HOST: host_bytes}
    host_size = sum if gpu_bytes is None else lambda tensors: sum(map(pinned_size, tensors))
    places = []
    for tensors in sizes:
        needed = {Tier.GPU: sum(tensors), Tier.HOST: host_size(tensors)}
        chosen = next((candidate for candidate, size in needed.items() if size <= left[candidate]), Tier.FILE)
        if chosen in left:
            left[chosen] -= needed[chosen]
        places.append(chosen)
    return places


class Spill:
    """A file for samples that do not fit into memory; it has no name, so it vanishes when the process ends.

    Args:
        folder: folder of the file.
        size: bytes that the file is going to hold.
    Raises:
        UserError: the disk has less than `size` bytes left.
    """

    def __init__(self, folder: Path, size: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (stays open while it is mapped)
        self._end, free = 0, shutil.disk_usage(folder).free
        try:
            _take(self._file.fileno(), size, free)
        except OSError as error:
            self._file.close()
            raise UserError(
                f"surface: the samples that do not fit into memory have no room in {folder} ({error.strerror}), which "
                f"has {free / GIB:.1f} GiB left and {size / GIB:.1f} are needed; raise --pipeline.surface-memory-gb or "
                "--pipeline.surface-host-memory-gb, or lower --pipeline.datamanager.view-pixels."
            ) from error

    def keep(self, tensor: Tensor) -> Tensor:
        """Write a tensor to the file; the returned one reads it from there on access, so it need not stay in memory."""
        array, start = tensor.cpu().contiguous().numpy(), self._file.seek(self._end)
        self._end += self._file.write(array.data.cast("B"))
        self._file.flush()
        return torch.from_numpy(np.memmap(self._file, array.dtype, "c", start, array.shape))


def _take(file: int, size: int, free: int) -> None:
    """Take room on the disk for all that a file is going to hold, where the system can do it.

    Args:
        file: descriptor of the empty file.
        size: bytes that it is going to hold.
        free: bytes that the disk has left.
    Raises:
        OSError: there is less room.
    """
    if size > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        os.posix_fallocate(file, 0, size)
    except AttributeError:  # macOS cannot
        return
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


class SurfaceStorage:
    """Stores the samples of one view after the other within the budgets.

    Args:
        rays: number of rays of each view.
        points: number of points per ray.
        device: device that computes with the samples.
        gpu_gb: budget of GPU memory in GiB; unused if the device is the CPU.
        host_gb: budget of host memory in GiB.
        folder: folder on a disk for the rest.
    Raises:
        UserError: the disk has no room for the rest.
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
        places = assign_tiers(sizes, gpu_bytes, round(host_gb * GIB))
        self.bytes = Counter()
        for size, chosen in zip(sizes, places):
            self.bytes[chosen] += sum(size)
        self._places = iter(places)
        self._spill = Spill(folder, self.bytes[Tier.FILE]) if self.bytes[Tier.FILE] else None

    def __str__(self) -> str:
        return ", ".join(f"{size / 2**20:,.0f} MiB {chosen.value}" for chosen, size in self.bytes.items() if size)

    def keep(self, samples: SurfaceSamples) -> SurfaceSamples:
        """Store the samples of the next view; the returned ones lie in its place."""
        chosen = next(self._places)
        if chosen is Tier.GPU:
            return samples.to(self._device)
        put = {Tier.HOST: self._in_host_memory, Tier.FILE: self._spill and self._spill.keep}[chosen]
        return SurfaceSamples(put(samples.packed), put(samples.accumulation))

    def _in_host_memory(self, tensor: Tensor) -> Tensor:
        return tensor if self._device.type == "cpu" else tensor.cpu().pin_memory()

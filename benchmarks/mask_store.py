"""Time, memory and disk of `disconerf masks` against the number of images: making, resuming and loading masks.

    python -m benchmarks.mask_store

Images are small and the proposer cheap, so that what grows with their number is seen and not the proposer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from disconerf_ns.evaluation.provenance import machine, versions
from disconerf_ns.files import write_whole
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.store import MaskStore

MEASURED = """
import resource, sys, time
start = time.perf_counter()
{code}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
MAKE = "from disconerf_ns.cli import main; main(['masks', '--data', sys.argv[1], 'graph', '--min-area', '0.02'])"
LOAD = """
import tracemalloc
from disconerf_ns.masks.store import MaskStore
store = MaskStore.open(sys.argv[1])
tracemalloc.start()
start = time.perf_counter()
kept = [store.load(key) for key in store.keys()]
print(tracemalloc.get_traced_memory()[0] / 2**20)
"""


@dataclass
class Store:
    """Measure how `disconerf masks` scales."""

    images: tuple[int, ...] = (100, 1000, 10_000)
    """Numbers of images."""
    megapixel_images: int = 100
    """Images of one megapixel, with 40 masks each, whose masks are loaded."""
    output: Path = Path("benchmarks/results/mask_store.json")
    """File of the figures."""


def measured(code: str, *arguments: object) -> tuple[list[str], float, float]:
    """Prints of code in a process of its own, its seconds, and the most memory it had, in MiB."""
    command = [sys.executable, "-c", MEASURED.format(code=code), *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    seconds, memory = map(float, output[-1].split())
    return output[:-1], seconds, memory


def write_images(folder: Path, count: int) -> None:
    """Small pictures of patches of colour."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        patches = rng.integers(0, 255, (3, 4, 3))
        Image.fromarray(np.kron(patches, np.ones((12, 12, 1))).astype(np.uint8)).save(folder / f"{number:05d}.png")


def ragged_masks(rng: np.random.Generator, count: int, side: int) -> ImageMasks:
    """Round masks with ragged borders, about as long to encode as those of photographs."""
    y, x = np.mgrid[:side, :side]
    masks = []
    for _ in range(count):
        middle, radius = rng.uniform(0, side, 2), rng.uniform(0.03, 0.25) * side
        around = np.linspace(-np.pi, np.pi, 2000)
        border = radius * (1 + 0.15 * sum(np.sin(k * around + rng.uniform(0, 6)) / k for k in range(2, 40)))
        angle = np.arctan2(y - middle[0], x - middle[1])
        masks.append(np.hypot(y - middle[0], x - middle[1]) < np.interp(angle, around, border))
    return ImageMasks.from_arrays(np.stack(masks), [0.9] * count, [0.9] * count)


def main(trial: Store) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in trial.images:
            data = Path(folder) / str(count)
            write_images(data / "images", count)
            _, make_seconds, make_memory = measured(MAKE, data)
            _, resume_seconds, resume_memory = measured(MAKE, data)
            found = len(MaskStore.open(data / "masks/graph").keys())
            rows.append({"images": count, "stored": found, "make_s": make_seconds, "make_mib": make_memory})
            rows[-1] |= {"resume_s": resume_seconds, "resume_mib": resume_memory}
            print(rows[-1], flush=True)
        store, rng = MaskStore(Path(folder) / "megapixel"), np.random.default_rng(0)
        for number in range(trial.megapixel_images):
            store.save(f"{number:03d}", ragged_masks(rng, 40, 1000))
        (memory,), seconds, _ = measured(LOAD, store.root)
        disk = sum(path.stat().st_size for path in store.root.iterdir()) / 2**20
        loaded = {"images": trial.megapixel_images, "masks_each": 40, "megapixels": 1, "load_s": seconds}
        loaded |= {"memory_mib": float(memory), "disk_mib": disk}
        print(loaded)
    facts = {"machine": machine(), "versions": versions(), "cores": os.cpu_count()}
    write_whole(trial.output, json.dumps({**facts, "rows": rows, "loaded": loaded}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Store))

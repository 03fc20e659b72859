"""Masks of your own: boolean arrays, one per object and image, kept beside the photographs.

python examples/00_masks_from_arrays.py DATA        makes DATA/masks/bright; then ns-train disconerf --data DATA
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import label

from disconerf_ns import ImageMasks, MaskStore

data = Path(sys.argv[1])
store = MaskStore.create(data / "masks" / "bright", {"generator": "bright regions"})
for photograph in sorted((data / "images").iterdir()):
    bright = np.array(Image.open(photograph).convert("L")) > 128
    regions, count = label(bright)
    masks = [regions == number for number in range(1, count + 1)]
    large = [mask for mask in masks if mask.mean() > 0.002] or [bright]
    store.save(photograph.stem, ImageMasks.from_arrays(np.stack(large)))  # (masks, height, width), bool
    print(f"{photograph.name}: {len(large)} masks")

"""Label images: a whole number per pixel, in one channel of 8 or 16 bit."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from disconerf_ns.files import write_whole


def read_label_image(path: Path) -> Int[np.ndarray, "h w"]:
    """Labels of an image with one channel of 8 or 16 bit."""
    with Image.open(path) as image:
        return np.asarray(image).astype(np.int64)


def write_label_image(labels: Int[np.ndarray, "h w"], path: Path) -> None:
    """Write labels in [0, 65535] as a 16-bit PNG; a failure leaves no half-written file."""
    content = BytesIO()
    Image.fromarray(labels.astype(np.uint16)).save(content, format="PNG")
    write_whole(path, content.getvalue())

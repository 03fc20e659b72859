"""Procedural textures: (H, W, 3) sRGB images in [0, 1] that repeat without a seam."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import fourier_gaussian


def rgb(code: str) -> np.ndarray:
    """(3,) colour in [0, 1] from "#rrggbb"."""
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0


def noise(shape: tuple[int, int], grain: tuple[float, float], seed: int) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1.

    Args:
        shape: rows and columns.
        grain: size of the features along rows and columns, in pixels.
    """
    spectrum = np.fft.fft2(np.random.default_rng(seed).standard_normal(shape))
    field = np.fft.ifft2(fourier_gaussian(spectrum, grain)).real
    return (field - field.mean()) / field.std()


def cloud(shape: tuple[int, int], grain: float, seed: int, octaves: int = 4) -> np.ndarray:
    """Fractal noise of standard deviation about 1: every octave half as large and half as strong."""
    layers = [noise(shape, (grain / 2**i, grain / 2**i), seed + i) / 2**i for i in range(octaves)]
    return sum(layers) / np.sqrt(sum(0.25**i for i in range(octaves)))


def mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`first` where the weight is 0, `second` where it is 1."""
    weight = np.clip(weight, 0.0, 1.0)[..., None]
    return first * (1 - weight) + second * weight


def step(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 for negative distances, 1 for positive ones, with a smooth edge."""
    t = np.clip(distance / softness + 0.5, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def grid(size: int | tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """u to the right and v upwards in [0, 1] at pixel centres; row 0 is v = 1."""
    rows, columns = (size, size) if isinstance(size, int) else size
    return np.meshgrid((np.arange(columns) + 0.5) / columns, 1 - (np.arange(rows) + 0.5) / rows)


def plain(color: str, size: int = 256, variation: float = 0.02, seed: int = 0) -> np.ndarray:
    """One colour with a faint cloud on it."""
    return np.clip(rgb(color) * (1 + variation * cloud((size, size), size / 10, seed))[..., None], 0, 1)


def wood(size: int, planks: int, light: str, dark: str, seed: int) -> np.ndarray:
    """Planks side by side, grain along u."""
    u, v = grid(size)
    plank = np.floor(v * planks).astype(int)
    within = v * planks - plank
    random = np.random.default_rng(seed)
    tint, shift = random.uniform(-0.22, 0.22, planks)[plank], random.uniform(0, 40, planks)[plank]
    bow = noise((size, size), (size / 30, size / 5), seed)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (within * 5 + shift) + 2.6 * bow + 6 * (u - 0.5) ** 2)
    fibre = noise((size, size), (0.7, size / 25), seed + 1)
    pores = np.clip(noise((size, size), (0.8, size / 60), seed + 2) - 1.4, 0, None)
    weight = (
        0.30 + tint + 0.34 * rings**2 + 0.07 * fibre + 0.25 * pores + 0.06 * cloud((size, size), size / 8, seed + 3)
    )
    gap = 1 - step(np.minimum(within, 1 - within) - 0.012, 0.02)
    return mix(mix(rgb(light), rgb(dark), weight), rgb(dark) * 0.35, 0.8 * gap)


def speckled(base: np.ndarray, color: str, count: int, radius: tuple[float, float], seed: int) -> np.ndarray:
    """Round specks with soft edges on a texture.

    Args:
        base: (H, W, 3) texture.
        count: number of specks.
        radius: smallest and largest speck in pixels; small ones are more frequent.
    """
    rows, columns = base.shape[:2]
    random = np.random.default_rng(seed)
    cover = np.zeros((rows, columns))
    for row, column, size in zip(
        random.integers(rows, size=count),
        random.integers(columns, size=count),
        radius[0] + (radius[1] - radius[0]) * random.random(count) ** 3,
        strict=True,
    ):
        reach = int(np.ceil(size + 1))
        offset = np.arange(-reach, reach + 1)
        disc = step(size - np.hypot(offset[:, None], offset[None]), 1.5)
        window = np.ix_((row + offset) % rows, (column + offset) % columns)
        cover[window] = np.maximum(cover[window], disc)
    return mix(base, rgb(color), 0.85 * cover)


def bands(size: tuple[int, int], colors: list[str], borders: list[float], waviness: float, seed: int) -> np.ndarray:
    """Horizontal bands, from v = 0 upwards; `borders` are the heights between them, wavy as on a hand-dipped glaze."""
    _, v = grid(size)
    wave = noise((1, size[1]), (0.1, size[1] / 14), seed)
    image = np.broadcast_to(rgb(colors[0]), (*size, 3))
    for color, border in zip(colors[1:], borders, strict=True):
        image = mix(image, rgb(color), step(v - border - waviness * wave, 0.008))
    return np.clip(image * (1 + 0.025 * cloud(size, size[0] / 8, seed + 1))[..., None], 0, 1)


def segments(size: int, colors: list[str], poles: str) -> np.ndarray:
    """Sectors around the axis of a ball, with a cap on both poles."""
    u, v = grid(size)
    position = u * len(colors)
    index = position.astype(int)
    palette = np.array([rgb(color) for color in colors])
    image = palette[index % len(colors)]
    seam = np.abs(position - np.round(position)) * np.sin(np.pi * v)
    image = mix(image, rgb(poles), 1 - step(seam - 0.025, 0.02))
    return mix(image, rgb(poles), step(np.abs(v - 0.5) - 0.43, 0.006))


def peel(size: int, color: str, blush: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An orange's skin: colour and height."""
    pits = noise((size, size), (size / 170, size / 170), seed)
    tone = 0.35 + 0.25 * cloud((size, size), size / 6, seed + 1) + 0.10 * np.clip(-pits, 0, 2)
    return mix(rgb(color), rgb(blush), tone), pits


def apple_skin(size: int, color: str, blush: str, seed: int) -> np.ndarray:
    """An apple's skin: streaks from pole to pole, a blush on one side, small dots."""
    u, v = grid(size)
    streak = noise((size, size), (size / 6, size / 90), seed)
    side = 0.5 + 0.5 * np.cos(2 * np.pi * (u - 0.3))
    image = mix(rgb(color), rgb(blush), side**1.5 * (0.85 + 0.13 * streak) + 0.06 * streak)
    image = mix(image, rgb("#8a7a3a"), 0.7 * step(np.abs(v - 0.5) - 0.46, 0.06))
    return speckled(image, "#f3e7a8", 260, (size / 500, size / 200), seed + 1)


def sunrise_cover(size: tuple[int, int], ground: str, ink: str, accent: str) -> np.ndarray:
    """A book cover: a sun with rays over waves, inside a double frame."""
    u, v = grid(size)
    aspect = size[1] / size[0]
    x, y = (u - 0.5) * aspect, v - 0.52
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    image = np.broadcast_to(rgb(ground), (*size, 3))
    rays = step(np.sin(14 * angle) - 0.15, 0.2) * step(radius - 0.22, 0.01) * step(0.36 - radius, 0.01) * step(y, 0.01)
    image = mix(image, rgb(ink), rays)
    image = mix(image, rgb(accent), step(0.18 - radius, 0.008) * step(y, 0.01))
    for level in range(3):
        wave = -0.03 - 0.085 * level + 0.02 * np.sin(2 * np.pi * 4 * u + level * 1.9)
        inside = step(0.36 - np.abs(x), 0.01)
        image = mix(image, rgb(ink if level % 2 == 0 else accent), step(0.022 - np.abs(y - wave), 0.008) * inside)
    border = np.minimum(np.minimum(u, 1 - u) * aspect, np.minimum(v, 1 - v))
    frame = step(0.012 - np.abs(border - 0.06), 0.006) + step(0.005 - np.abs(border - 0.09), 0.005)
    return cloth(mix(image, rgb(ink), frame), seed=5)


def striped_cover(size: tuple[int, int], ground: str, ink: str, accent: str) -> np.ndarray:
    """A book cover: broad stripes and a title plate."""
    u, v = grid(size)
    aspect = size[1] / size[0]
    image = np.broadcast_to(rgb(ground), (*size, 3))
    image = mix(image, rgb(ink), step(np.sin(2 * np.pi * (u * aspect + v) * 4) - 0.35, 0.12))
    x, y = np.abs(u - 0.5) * aspect, np.abs(v - 0.5)
    plate = np.minimum(0.36 - x, 0.17 - y)
    image = mix(image, rgb(accent), step(plate, 0.008))
    image = mix(image, rgb(ground), step(0.006 - np.abs(plate - 0.03), 0.005))
    for line, length in ((0.05, 0.24), (-0.02, 0.18), (-0.08, 0.10)):
        word = np.minimum(0.018 - np.abs(v - 0.5 - line), length - x)
        image = mix(image, rgb(ground), step(word, 0.006))
    return cloth(image, seed=6)


def cloth(image: np.ndarray, seed: int) -> np.ndarray:
    """A fine weave over an image."""
    shape = image.shape[:2]
    weave = noise(shape, (0.6, 4), seed) + noise(shape, (4, 0.6), seed + 1)
    return np.clip(image * (1 + 0.03 * weave + 0.03 * cloud(shape, 60, seed + 2))[..., None], 0, 1)


def pages(size: int, seed: int) -> np.ndarray:
    """The edges of a book's pages, lines along u."""
    lines = noise((size, size), (1.2, size / 6), seed)
    return np.clip(rgb("#efe4cb") * (1 + 0.07 * lines)[..., None], 0, 1)


def toy_block(size: int, paint: str, wood_image: np.ndarray, sign: str) -> np.ndarray:
    """A side of a toy block: a painted frame and a painted sign ("star", "ring" or "heart") on bare wood."""
    u, v = grid(size)
    x, y = 2 * u - 1, 2 * v - 1
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    shape = {
        "star": 0.40 + 0.13 * np.cos(5 * (angle - np.pi / 2)) - radius,
        "ring": 0.13 - np.abs(radius - 0.38),
        "heart": -((1.7 * x) ** 2 + (1.8 * y + 0.15 - np.sqrt(np.abs(1.7 * x)) * 0.8) ** 2 - 0.62),
    }[sign]
    frame = np.maximum(np.abs(x), np.abs(y)) - 0.74
    worn = 1 - 0.06 * np.clip(cloud((size, size), size / 12, 3), 0, 2)
    return mix(wood_image, rgb(paint), np.maximum(step(shape, 0.03), step(frame, 0.03)) * worn)


def tiles(size: int, colors: list[str], joint: str, count: int, seed: int) -> np.ndarray:
    """A floor of square tiles set on the diagonal, in close shades, with soft joints."""
    u, v = grid(size)
    a, b = (u + v) * count, (u - v) * count
    i, j = np.floor(a).astype(int) % count, np.floor(b).astype(int) % count
    shade = np.random.default_rng(seed).integers(len(colors), size=(count, count))
    image = np.array([rgb(color) for color in colors])[shade[i, j]]
    edge = np.minimum.reduce([a % 1, 1 - a % 1, b % 1, 1 - b % 1])
    image = mix(image, rgb(joint), 0.8 * (1 - step(edge - 0.03, 0.03)))
    return np.clip(image * (1 + 0.04 * cloud((size, size), size / 12, seed))[..., None], 0, 1)


def wash(size: int, low: str, high: str, seed: int) -> np.ndarray:
    """A painted wall: a gradient along v with broad brush clouds."""
    _, v = grid(size)
    return mix(rgb(low), rgb(high), v + 0.10 * cloud((size, size), size / 7, seed))

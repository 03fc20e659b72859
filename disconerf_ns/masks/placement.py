"""Photographs with an EXIF orientation: whether masks or labels were drawn on the upright picture or the stored pixels.

The size says so where the upright picture has another shape. Otherwise the whole set is compared with the photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from disconerf_ns.errors import MaskError, UserError
from disconerf_ns.masks.alignment import clearly_best, edges, fit, label_borders, mask_borders
from disconerf_ns.masks.formats.files import image_size
from disconerf_ns.masks.image_masks import ImageMasks, same_shape
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.orientation import STORED, TRANSPOSING, orientation_of, stored, stored_masks, stored_size
from disconerf_ns.spacing import evenly_spaced

Reading = Literal["upright", "stored"]
Orientation = Literal["auto", "upright", "stored"]
READINGS: tuple[Reading, Reading] = ("upright", "stored")
PICTURES = {"upright": "the upright picture", "stored": "the stored pixels"}
SAMPLED = 32
"""Largest number of views that are looked at to decide for all."""


@dataclass(frozen=True)
class Drawn:
    """Masks or labels of one image, in the pixels of the picture that they were drawn on."""

    height: int
    width: int
    borders: Callable[[int, int], Int[np.ndarray, "height width"]]
    """Their borders at another size."""
    empty: bool = False
    """Whether nothing is drawn, so that even the size says nothing."""

    @classmethod
    def masks(cls, masks: ImageMasks) -> Drawn:
        """The masks of one image."""
        return cls(masks.height, masks.width, partial(mask_borders, masks), not len(masks))

    @classmethod
    def labels(cls, labels: Int[np.ndarray, "height width"]) -> Drawn:
        """A label map."""
        height, width = labels.shape
        return cls(height, width, partial(label_borders, labels))

    def stored_borders(self, orientation: int, height: int, width: int) -> Int[np.ndarray, "height width"]:
        """Their borders on stored pixels of this size, if they were drawn on the picture of this orientation."""
        return stored(self.borders(*stored_size(height, width, orientation)), orientation)


@dataclass(frozen=True)
class DrawnOn:
    """Which picture of each photograph its masks or labels were drawn on: the upright one, or its stored pixels."""

    orientations: Mapping[str, int]
    """EXIF orientations by key, of photographs that are not stored upright."""
    reading: Reading | None = "stored"
    """Picture that they were drawn on; None if the sizes of each have to say so."""
    why: str = ""
    """What the reading rests on."""
    asked: bool = False
    """Whether the user named the reading, so that sizes have no say."""
    about: str = "masks"
    """First words of messages."""

    def orientation(self, key: str, drawn: tuple[int, int], photograph: tuple[int, int]) -> int:
        """The orientation of the picture that an image's masks or labels were drawn on; 1 is that of the stored pixels.

        Args:
            drawn: height and width of the masks or labels.
            photograph: height and width of the photograph as it is stored.
        Raises:
            MaskError: the sizes should say so, but fit both pictures.
        """
        orientation = self.orientations.get(key, STORED)
        if orientation == STORED or (self.asked and self.reading == "stored"):
            return STORED
        allowed = allowed_by_size(drawn, photograph, orientation)
        if self.asked or allowed == {"upright"}:
            return orientation
        if allowed != set(READINGS):
            return STORED
        if self.reading is None:
            raise MaskError(
                f"{self.about}: {key} has EXIF orientation {orientation}, and what is drawn on it fits the upright "
                "picture and the stored pixels; say which with --orientation upright or --orientation stored."
            )
        return orientation if self.reading == "upright" else STORED

    def masks(self, key: str, masks: ImageMasks, photograph: tuple[int, int]) -> ImageMasks:
        """The masks of an image on its stored pixels; no masks are none of either picture."""
        if not len(masks) and masks.looked_at is None and key in self.orientations:
            return ImageMasks(*photograph, ())
        return stored_masks(masks, self.orientation(key, (masks.height, masks.width), photograph))

    def note(self, key: str) -> str:
        """What a message adds about an image's shape; empty if the photograph is stored upright."""
        if key not in self.orientations:
            return ""
        value = self.orientations[key]
        sides = " with its sides exchanged" if value in TRANSPOSING else ""
        return f" (its EXIF orientation is {value}: most programs show it turned{sides}; see --orientation)"

    def sentence(self, source: object, images: int) -> str:
        """What was decided, in one sentence; empty if no photograph has an EXIF orientation."""
        if not self.orientations:
            return ""
        picture = PICTURES[self.reading] if self.reading else "the picture that has the size of each"
        turned = "" if self.reading == "stored" else ", and turned to the stored pixels, which nerfstudio uses"
        return (
            f"{len(self.orientations)} of {images} photographs have an EXIF orientation; {source} was read as drawn on "
            f"{picture} ({self.why}){turned}."
        )


def allowed_by_size(drawn: tuple[int, int], photograph: tuple[int, int], orientation: int) -> set[Reading]:
    """The pictures of a photograph that have the shape of its masks or labels; the shape of both may be the same."""
    pictures = {"upright": stored_size(*photograph, orientation), "stored": photograph}
    return {reading for reading in READINGS if same_shape(drawn, pictures[reading])}


def decide_picture(
    photographs: Mapping[str, Path],
    load: Callable[[str], Drawn],
    source: object,
    orientation: Orientation = "auto",
    otherwise: Reading | None = None,
    about: str = "masks",
) -> DrawnOn:
    """Decide which picture the masks or labels of a set were drawn on, over all photographs with EXIF orientation.

    Args:
        photographs: the images that have masks or labels, by key.
        load: gives those of one image.
        source: their file or folder, for the message.
        orientation: what the user says; "auto" decides by sizes, and by the photographs' edges where these do not say.
        otherwise: the reading if nothing is clear; None refuses.
        about: first words of messages.
    Raises:
        MaskError: it is not clear.
    """
    turned = {key: value for key, path in photographs.items() if (value := _orientation(path)) != STORED}
    drawn_on = DrawnOn(turned, about=about)
    if not turned:
        return drawn_on
    if orientation != "auto":
        return replace(drawn_on, reading=orientation, why="as --orientation says", asked=True)
    readings, fits = _look(photographs, turned, load)
    if len(readings) == 1:
        return replace(drawn_on, reading=readings.pop(), why="by its sizes")
    if not len(fits):
        return replace(
            drawn_on, reading=None if readings else "stored", why="by sizes" if readings else "nothing says otherwise"
        )
    table: dict[str, np.ndarray] = dict(zip(READINGS, fits.T))
    means = ", ".join(f"{table[reading].mean():.2f} on {PICTURES[reading]}" for reading in READINGS)
    why = f"borders to edges of {len(fits)} photographs: {means}, by chance 1"
    best = clearly_best(table)
    for reading in READINGS:
        if reading == (best or otherwise):
            return replace(drawn_on, reading=reading, why=why)
    raise MaskError(
        f"{about}: {len(turned)} of {len(photographs)} photographs have an EXIF orientation, and it is not clear "
        f"whether {source} was drawn on the upright picture or on the stored pixels ({why}); say which with "
        "--orientation upright or --orientation stored."
    )


def _look(
    photographs: Mapping[str, Path], turned: Mapping[str, int], load: Callable[[str], Drawn]
) -> tuple[set[Reading], np.ndarray]:
    """The readings that sizes of a sample prove, and the fit of each reading where sizes allow both, (views, 2).

    Views without masks or borders, or whose files are broken, say nothing.
    """
    proven: set[Reading] = set()
    fits = []
    for key in sample(turned):
        try:
            drawn, size = load(key), image_size(photographs[key])
            allowed = set() if drawn.empty else allowed_by_size((drawn.height, drawn.width), size, turned[key])
            if len(allowed) == 1:
                proven |= allowed
            elif allowed:
                strength = edges(read_image(photographs[key]))
                borders = (drawn.stored_borders(_of(reading, turned[key]), *strength.shape) for reading in READINGS)
                fits.append([fit(strength, each) for each in borders])
        except UserError:
            continue
    table = np.array(fits).reshape(-1, len(READINGS))
    return proven, table[np.isfinite(table).all(1)]


def _of(reading: Reading, orientation: int) -> int:
    return orientation if reading == "upright" else STORED


def _orientation(photograph: Path) -> int:
    try:
        return orientation_of(photograph)
    except UserError:
        return STORED


def sample(keys: Iterable[str]) -> list[str]:
    """At most SAMPLED keys, evenly spaced."""
    keys = list(keys)
    return [keys[i] for i in evenly_spaced(len(keys), SAMPLED)]

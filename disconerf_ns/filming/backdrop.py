"""What is behind an object in a film: nothing, a colour, or the edited scene."""

from __future__ import annotations

from typing import Literal

from PIL import ImageColor

from disconerf_ns.errors import UserError
from disconerf_ns.filming.writers import Alpha, Format

RGB = tuple[float, float, float]
Backdrop = RGB | Literal["transparent", "scene"] | None
"""A colour in [0, 1]; None leaves it to the format."""

WHITE: RGB = (1.0, 1.0, 1.0)


def parse_backdrop(text: str | None) -> Backdrop:
    """The backdrop of an option's value.

    Raises:
        UserError: there is no such colour.
    """
    if text is None or text == "transparent" or text == "scene":
        return text
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise UserError(
            f"render: --background is {text}; it has to be transparent, scene, or a colour such as white or #20242c."
        ) from None
    return red / 255, green / 255, blue / 255


def color_behind(backdrop: Backdrop, format: Format) -> RGB | None:
    """The colour that a format's frames are laid on; None if they stay transparent.

    Raises:
        UserError: the film is to be transparent, and the format cannot.
    """
    if backdrop == "transparent" and format.alpha is Alpha.NONE:
        raise UserError("render: mp4 cannot be transparent; choose --format webm, mov, png, webp or gif.")
    if isinstance(backdrop, tuple):
        return backdrop
    return None if backdrop == "transparent" or format.alpha is Alpha.SMOOTH else WHITE

"""Ways in which programs change an image's name, undone one after another; all take and return a name without suffix.

Numbers are never changed: `0002` is not `0001` counted from one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from unicodedata import category, normalize
from urllib.parse import unquote

SUFFIX = re.compile(
    r"(?<=[^/])\.(jpe?g|jfif|png|webp|tiff?|bmp|gif|hei[cf]|avif|jp2|exr|p[gp]m|json|np[yz]|pth?)$", re.IGNORECASE
)
"""Suffixes of image and mask files; anything else after a dot belongs to the name (`frame.0001`)."""
ADDRESS = re.compile(r"^.*[?&]d=(?=[^/])")
"""What precedes the path in an address of Label Studio's local files."""
ENDING = re.compile(
    r"""(?<=[^/])(?:
        [_.\- ](?:cp_masks|masks?(?:[_-]?\d+)?|labels?|seg|segm|segmentations?|instances?|semantic|panoptic|annotations?
        |gt(?:fine|coarse)?|ground_?truth|labelids|instanceids|labeltrainids)
        |_(?:jpe?g|png|webp|tiff?|bmp)\.rf\.[0-9a-z]+
    )+$""",
    re.IGNORECASE | re.VERBOSE,
)
"""Endings of mask files; the last one is Roboflow's, which holds the image's suffix and a hash."""
PREFIX = re.compile(
    r"""(?<![^/])(?:
        [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}[_-]+
        |[0-9a-f]{8}-
        |(?:masks?|labels?|seg|segmentation|instances?|annotations?|gt)[_-]
    )(?=[^/]+$)""",
    re.IGNORECASE | re.VERBOSE,
)
"""Prefixes of mask files; the one of eight digits is Label Studio's."""
PHOTO = re.compile(
    r"(?<![^/])(?:rgb|colou?r|image|img|photo|frame)[_.-](?=[^/]+$)"
    r"|(?<=[^/])[_.-](?:rgb|colou?r|image|img|photo|leftimg8bit)$",
    re.IGNORECASE,
)
"""Words in the names of photographs that have depth, normals or masks beside them, and of frames: trackers such as
SAM 2 ask for frames that are called by their numbers alone."""
KIND = re.compile(
    r"^(?:images?|imgs?|input|rgb|colou?r|frames?|photos?|masks?|labels?|annotations?|segmentation(?:object|class)?)"
    r"(?:_\d+)?/",
    re.IGNORECASE,
)
"""Folders whose name says only what is in them, such as `input` and its smaller copy `input_2`."""


def without_suffix(name: str) -> str:
    """A name without the suffix of an image or mask file: `frame.0001.png` is `frame.0001`."""
    return SUFFIX.sub("", name)


def with_slashes(name: str) -> str:
    """`C:\\images\\1` and `/data/local-files/?d=images/1` are `images/1` at their ends."""
    return ADDRESS.sub("", name.replace("\\", "/"))


def composed(name: str) -> str:
    """An accent that is a character of its own, as macOS writes it, is one with its letter."""
    return normalize("NFC", name)


def unescaped(name: str) -> str:
    """`a%20b` is `a b`."""
    return unquote(name)


def without_ending(name: str) -> str:
    """`1_cp_masks`, `1.png_mask` and `1_jpg.rf.5f3a` are `1`."""
    return without_suffix(ENDING.sub("", name))


def without_prefix(name: str) -> str:
    """`mask_1` and `1a2b3c4d-1` are `1`."""
    return PREFIX.sub("", name)


def without_kind(name: str) -> str:
    """`input_2/a/1` and `labels/a/1` are `a/1`."""
    return KIND.sub("", name)


def without_photo_word(name: str) -> str:
    """`rgb_1`, `frame_1` and `1_leftImg8bit` are `1`."""
    return PHOTO.sub("", name)


def with_plain_signs(name: str) -> str:
    """`a b (1)` and `a-b.1` are `a_b_1`."""
    return "/".join(re.sub(r"[\W_]+", "_", part).strip("_") or part for part in name.split("/"))


WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("with / for \\", with_slashes),
    ("without a second suffix", without_suffix),
    ("with accents as one character", composed),
    ("with %20 and the like as characters", unescaped),
    ("in lower case", str.casefold),
    ("without endings such as _mask", without_ending),
    ("without prefixes such as mask_ or a hash", without_prefix),
    ("without folders such as images_2 or labels", without_kind),
    ("without words such as rgb_, frame_ or _color", without_photo_word),
    ("with all signs alike", with_plain_signs),
)
"""Simplifications and what they do, in the order in which they are tried; each is tried together with those before."""
AFFIXES = (without_ending, without_prefix, without_photo_word)
"""Ways that remove a part of the name, so either all names or none have to have it."""


def skeleton(name: str) -> str:
    """What is left for the eye: letters and digits, without accents, invisible characters, signs and case."""
    letters = normalize("NFKD", name).casefold()
    return "".join(letter for letter in letters if category(letter)[0] in "LN")

"""SA-1B's JSON record of an image's masks: `image`, `annotations`, and, in addition to SA-1B, `looked_at`."""

from __future__ import annotations

from typing import Any

from disconerf_ns.masks import rle as run_length
from disconerf_ns.masks.image_masks import ImageMasks, Mask
from disconerf_ns.masks.opening import check_pixels
from disconerf_ns.masks.rle import Rle


def record(masks: ImageMasks, image: dict[str, Any]) -> dict[str, Any]:
    """The record of an image's masks.

    Args:
        masks: the masks of the image.
        image: facts about the image besides its size, such as `file_name`.
    """
    content = {
        "image": {**image, "height": masks.height, "width": masks.width},
        "annotations": [_annotation(mask) for mask in masks.annotations],
    }
    if masks.looked_at is not None:
        content["looked_at"] = masks.looked_at
    return content


def parse(content: dict[str, Any]) -> ImageMasks:
    """The masks in a record. Areas and boxes are computed from the RLE, whatever the record says.

    Raises:
        ValueError: an entry is missing or broken, RLE is not safe to decode, or a mask's size is not the image's; names
            the entry and the fault.
    """
    image, annotations = content.get("image"), content.get("annotations")
    if not isinstance(image, dict) or not isinstance(annotations, list):
        raise ValueError("it lacks an `image` object or an `annotations` list")
    height, width = (run_length.length(image.get(side)) for side in ("height", "width"))
    if height is None or width is None:
        raise ValueError("`image` lacks `height` and `width` in pixels")
    check_pixels(height, width)

    masks = []
    for number, annotation in enumerate(annotations):
        try:
            masks.append(_parse_annotation(annotation, [height, width]))
        except ValueError as error:
            known = isinstance(annotation, dict) and type(annotation.get("id")) is int
            name = f"annotation {number}" + (f" (id {annotation['id']})" if known else "")
            raise ValueError(f"{name}: {error}") from error
    looked_at = content.get("looked_at")
    if looked_at is not None:
        looked_at = sized(looked_at, [height, width])
    return ImageMasks(height, width, tuple(masks), looked_at)


def _annotation(mask: Mask) -> dict[str, Any]:
    scores = {name: getattr(mask, name) for name in ("predicted_iou", "stability_score", "level")}
    known = {name: value for name, value in scores.items() if value is not None}
    return {"segmentation": mask.rle, "area": mask.area, "bbox": list(mask.bbox), **known}


def _parse_annotation(annotation: Any, size: list[int]) -> Mask:
    if not isinstance(annotation, dict) or "segmentation" not in annotation:
        raise ValueError("it lacks a `segmentation`")
    rle = sized(annotation["segmentation"], size)
    level = annotation.get("level")
    if level is not None and type(level) is not int:
        raise ValueError("`level` is not a whole number")
    return Mask.from_rle(rle, _score(annotation, "predicted_iou"), _score(annotation, "stability_score"), level)


def sized(segmentation: Any, size: list[int]) -> Rle:
    """A checked RLE that has the image's [height, width]."""
    rle = run_length.checked(segmentation)
    if rle["size"] != size:
        raise ValueError(
            f"the mask is {rle['size'][0]} x {rle['size'][1]}, the image {size[0]} x {size[1]} (rows x columns)"
        )
    return rle


def _score(annotation: dict[str, Any], name: str) -> float | None:
    value = annotation.get(name)
    if value is None:
        return None
    score = run_length.number(value)
    if score is None:
        raise ValueError(f"`{name}` is not a number")
    return score

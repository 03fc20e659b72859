"""JSON as labelling programs and people write it: what is read, what is left out and counted, what is refused."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_files import coco_file, images_of
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import rle
from disconerf_ns.masks.formats import format_of, recognise
from disconerf_ns.masks.formats.format import Loaded
from disconerf_ns.masks.image_masks import ImageMasks

SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]
"""2 x 2 pixels from (1, 1) on."""
OTHER = [5, 2, 7, 2, 7, 4, 5, 4]
"""2 x 2 pixels from (5, 2) on."""


def points(polygon: list[float]) -> list[list[float]]:
    return [list(point) for point in zip(polygon[::2], polygon[1::2])]


def json_file(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    return images_of(tmp_path / "data", 6, 8)


def load(path: Path, images: dict[str, Path], key: str = "a/1") -> Loaded:
    return format_of(recognise(path)).read(path, images).loaders[key]()


def areas(loaded: Loaded) -> list[int]:
    return [mask.area for mask in loaded.masks.annotations]


# ---------------------------------------------------------------- labelme and ISAT


def shape(coordinates: list[float], kind: str = "polygon", **more: object) -> dict[str, Any]:
    return {"label": "cup", "points": points(coordinates), "group_id": None, "shape_type": kind, **more}


def labelme(shapes: list[dict], photograph: str | None = "1.png", **more: object) -> dict[str, Any]:
    return {"version": "5.5.0", "shapes": shapes, "imagePath": photograph, "imageHeight": 6, "imageWidth": 8} | more


def png(mask: np.ndarray) -> str:
    content = BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(content, format="PNG")
    return b64encode(content.getvalue()).decode()


def test_labelmes_shapes(tmp_path: Path, images: dict[str, Path]) -> None:
    """Areas by hand: 4; 3 x 2; a circle of radius 2, about pi 2^2 = 12.6; an L of 3 pixels at (6, 4)."""
    corner = np.array([[1, 1], [1, 0]])
    shapes = [
        shape(SQUARE),
        shape([4, 3, 1, 1], "rectangle"),
        shape([4, 3, 6, 3], "circle"),
        shape([6, 4, 7, 5], "mask", mask=png(corner)),
        shape([1, 1, 2, 2, 3, 3], "linestrip"),
        shape([1, 1], "point"),
        shape([1, 1, 2, 2]),
        shape(SQUARE, label="__ignore__"),
    ]
    loaded = load(json_file(tmp_path / "l/1.json", labelme(shapes)).parent, images)
    square, rectangle, circle, mask = loaded.masks.decode()
    assert (square.sum(), rectangle.sum()) == (4, 6) and 11 <= circle.sum() <= 14
    assert np.argwhere(mask).tolist() == [[4, 6], [4, 7], [5, 6]]
    assert loaded.left_out == {
        "shapes that are points or lines": 2,
        "polygons of fewer than three points": 1,
        "shapes labelled __ignore__": 1,
    }


def test_a_group_joins_parts_of_one_label(tmp_path: Path, images: dict[str, Path]) -> None:
    shapes = [shape(SQUARE, group_id=3), shape(OTHER, group_id=3), shape(OTHER, group_id=3, label="pot"), shape(SQUARE)]
    assert areas(load(json_file(tmp_path / "l/1.json", labelme(shapes)), images)) == [8, 4, 4]


@pytest.mark.parametrize("photograph", ["..\\images\\a\\1.png", "/home/me/a/1.png", "1.png", None, "IMG_7.heic"])
def test_labelmes_file_names_its_photograph(tmp_path: Path, images: dict[str, Path], photograph: str | None) -> None:
    name = "1" if photograph in (None, "IMG_7.heic") else "annotation_x"
    folder = json_file(tmp_path / f"l/{name}.json", labelme([shape(SQUARE)], photograph)).parent
    json_file(folder / "zzz.json", labelme([], "none.png"))
    contents = format_of("labelme").read(folder, images)
    assert list(contents.loaders) == ["a/1"] and contents.left_out == {"files that fit no image": 1}


def test_copies_of_a_file_go_by_their_names_and_contradictions_are_said(
    tmp_path: Path, images: dict[str, Path]
) -> None:
    for name in ("1", "2"):
        json_file(tmp_path / f"l/{name}.json", labelme([shape(SQUARE)], "1.png"))
    assert list(format_of("labelme").read(tmp_path / "l", images).loaders) == ["a/1", "a/2"]
    (tmp_path / "l/1.json").unlink()
    with pytest.raises(MaskError, match=r"2\.json says that it is of '1\.png', but it is called like image 2"):
        format_of("labelme").read(tmp_path / "l", images)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (labelme([shape([1, 1, 12, 1, 12, 5])]), "shape 0: polygons reach beyond the image, to 12 of 8"),
        (labelme([shape([1, 1], "circle")]), "shape 0: a circle is not two points"),
        (labelme([shape([1, 1, 3, 3], "mask", mask="AAAA")]), "cannot identify image"),
        (
            labelme([shape([1, 1, 7, 5], "mask", mask=png(np.ones((2, 2))))]),
            "a mask is 2 x 2, its `points` 6 x 4 apart",
        ),
        (labelme([shape([1, 1, 3, 3], "mask")]), "a mask is not a PNG"),
        (
            labelme([], imageHeight=99999, imageWidth=99999) | {"shapes": [shape(SQUARE)]},
            "not the size of a photograph",
        ),
    ],
)
def test_what_is_wrong_in_labelmes_file_is_said(
    tmp_path: Path, images: dict[str, Path], content: dict, reason: str
) -> None:
    with pytest.raises(MaskError, match=rf"1\.json is broken \(.*{reason}"):
        load(json_file(tmp_path / "1.json", content), images)


def isat(objects: list[dict], photograph: str = "1.png") -> dict[str, Any]:
    return {
        "info": {"description": "ISAT", "name": photograph, "width": 8, "height": 6, "depth": 3},
        "objects": objects,
    }


def test_isat(tmp_path: Path, images: dict[str, Path]) -> None:
    """Two parts of group 1; a rectangle of 12 pixels with a hole of 4, which lies above it and below the last."""
    whole = [1, 1, 5, 1, 5, 4, 1, 4]
    objects = [
        {"category": "cup", "group": 1, "segmentation": points(SQUARE), "layer": 1.0},
        {"category": "cup", "group": 1, "segmentation": points(OTHER), "layer": 1.0},
        {"category": "pot", "group": 2, "segmentation": points(whole), "layer": 2.0},
        {"category": "__background__", "group": 3, "segmentation": points(SQUARE), "layer": 3.0},
        {"category": "lid", "group": "", "segmentation": points(SQUARE), "layer": 4.0},
    ]
    folder = json_file(tmp_path / "i/x.json", isat(objects)).parent
    assert recognise(folder) == "isat"
    assert areas(load(folder, images)) == [4, 8, 4]


# ---------------------------------------------------------------- COCO


@pytest.mark.parametrize(
    ("segmentation", "area", "left_out"),
    [
        ([SQUARE, [1, 1, 2, 2]], 4, {"polygons of fewer than three points": 1}),
        (SQUARE, 4, {}),
        (points(SQUARE), 4, {}),
        ([points(SQUARE), points(OTHER)], 8, {}),
        ([[str(value) for value in SQUARE]], 4, {}),
        ([[0, 0, 9, 0, 9, 6.5, -1.5, 6.5]], 45, {}),
        ({"size": ["6", 8.0], "counts": [6, 6, 36]}, 6, {}),
        ((np.arange(48).reshape(6, 8) < 5).tolist(), 5, {}),
    ],
)
def test_spellings_of_a_segmentation(
    tmp_path: Path, images: dict[str, Path], segmentation: object, area: int, left_out: dict
) -> None:
    file = coco_file(tmp_path / "c.json", ["1.png"], [{"image_id": 0, "segmentation": segmentation}])
    loaded = load(file, images)
    assert abs(areas(loaded)[0] - area) <= (3 if area == 45 else 0)
    assert loaded.left_out == left_out


@pytest.mark.parametrize("spell", [str, float, lambda number: f"00{number}"])
def test_ids_and_sizes_that_are_written_in_other_ways(
    tmp_path: Path, images: dict[str, Path], spell: Callable[[int], object]
) -> None:
    entry = {"id": spell(7), "file_name": "1.png", "height": "6.0", "width": 8.0}
    annotations = [{"image_id": number, "segmentation": [SQUARE]} for number in (7, 8, None)]
    file = json_file(tmp_path / "c.json", {"images": [entry], "annotations": annotations})
    assert areas(load(file, images)) == [4]
    left_out = format_of("coco").read(file, images).left_out
    assert left_out == {"annotations whose `image_id` is that of no image": 2}


def test_polygons_for_images_of_another_size_are_refused(tmp_path: Path, images: dict[str, Path]) -> None:
    """At 1.5 times the size one object of two lies in the image; both images are in doubt, though one would pass."""
    annotations = [
        {"image_id": 0, "segmentation": [SQUARE]},
        {"image_id": 1, "segmentation": [[1.5 * value for value in OTHER]]},
    ]
    file = coco_file(tmp_path / "c.json", ["1.png", "2.png"], annotations)
    with pytest.raises(MaskError, match=r"polygons of 1 of 2 images in .* reach beyond them, to 10\.5 of 8 in a/2"):
        format_of("coco").read(file, images)


def test_one_image_of_many_whose_polygons_reach_beyond_is_left_out_alone(tmp_path: Path) -> None:
    names = [f"{i:02}" for i in range(20)]
    images = {name: Path(f"{name}.png") for name in names}
    far = [[30, 0, 33, 0, 33, 3]]
    annotations = [{"image_id": i, "segmentation": [SQUARE] if i else far} for i in range(20)]
    loaders = format_of("coco").read(coco_file(tmp_path / "c.json", names, annotations), images).loaders
    assert areas(loaders["01"]()) == [4]
    with pytest.raises(MaskError, match="image 00: annotation 0: polygons reach beyond the image, to 33 of 8"):
        loaders["00"]()


@pytest.mark.parametrize("content", [{"bbox": [1, 1, 2, 2]}, {"keypoints": [1, 1, 2]}, {"segmentation": []}])
def test_boxes_alone_are_no_masks(tmp_path: Path, images: dict[str, Path], content: dict) -> None:
    file = coco_file(tmp_path / "c.json", ["1.png"], [{"image_id": 0, **content}])
    with pytest.raises(MaskError, match="none of the 1 annotations in .* has a `segmentation`"):
        load(file, images)


def test_files_of_roboflow_and_of_single_objects_are_read_together(
    tmp_path: Path, images: dict[str, Path], capsys: pytest.CaptureFixture
) -> None:
    """The first image is in two files, with one mask in common; the second in one; x.png is not in the dataset."""
    one, two = {"image_id": 0, "segmentation": [SQUARE]}, {"image_id": 0, "segmentation": [OTHER]}
    coco_file(tmp_path / "c/train/_annotations.coco.json", ["1.png", "x.png"], [one])
    coco_file(tmp_path / "c/valid/_annotations.coco.json", ["1.png"], [one, two])
    coco_file(tmp_path / "c/test/_annotations.coco.json", ["2.png"], [two])
    contents = format_of("coco").read(tmp_path / "c", images)
    assert "1 images are in several files, such as a/1" in capsys.readouterr().out
    first = contents.loaders["a/1"]()
    assert areas(first) == [4, 4] and first.left_out == {"annotations that are there twice": 1}
    assert areas(contents.loaders["a/2"]()) == [4]
    assert contents.left_out == {"images that are not in the dataset": 1}


def test_files_of_folders_with_the_same_names(tmp_path: Path) -> None:
    images = {name: Path(f"{name}.png") for name in ("left/1", "right/1")}
    for folder, polygon in (("left", SQUARE), ("right", [1, 1, 4, 1, 4, 3, 1, 3])):
        coco_file(tmp_path / f"c/{folder}/c.json", ["1.png"], [{"image_id": 0, "segmentation": [polygon]}])
    loaders = format_of("coco").read(tmp_path / "c", images).loaders
    assert {key: areas(load()) for key, load in loaders.items()} == {"left/1": [4], "right/1": [6]}


def test_files_that_contradict_each_other(tmp_path: Path, images: dict[str, Path]) -> None:
    annotation = {"image_id": 0, "segmentation": [SQUARE]}
    coco_file(tmp_path / "c/a.json", ["1.png"], [annotation])
    entry = {"id": 0, "file_name": "1.png", "height": 12, "width": 16}
    json_file(tmp_path / "c/b.json", {"images": [entry], "annotations": [annotation]})
    with pytest.raises(MaskError, match=r"a\.json is broken .*1\.png: it is 8 x 6 here, but 16 x 12 in .*b\.json"):
        load(tmp_path / "c", images)


def test_entries_of_one_name(tmp_path: Path, images: dict[str, Path]) -> None:
    one, two = ({"image_id": number, "segmentation": [SQUARE]} for number in (0, 1))
    names = ["1.png", "1.png", "2.png"]
    contents = format_of("coco").read(coco_file(tmp_path / "c.json", names, [one]), images)
    assert areas(contents.loaders["a/1"]()) == [4]
    assert contents.left_out == {"image entries without annotations that repeat a name": 1}
    contents = format_of("coco").read(coco_file(tmp_path / "c.json", names, [one, two]), images)
    with pytest.raises(
        MaskError, match="two entries of `images` with annotations have this `file_name`, with the ids 0"
    ):
        contents.loaders["a/1"]()
    assert areas(contents.loaders["a/2"]()) == []


def test_lists_of_results(tmp_path: Path, images: dict[str, Path], capsys: pytest.CaptureFixture) -> None:
    """Ids that are names; ids that a list of images beside the file has; and ids that are neither."""
    runs = {"size": [6, 8], "counts": [6, 6, 36]}
    names = [{"image_id": "a/1", "segmentation": runs, "score": 0.9}]
    assert areas(load(json_file(tmp_path / "n/r.json", names), images)) == [6]
    assert "its ids are taken for the images' names" in capsys.readouterr().out
    numbers = json_file(tmp_path / "r/r.json", [{"image_id": 40, "segmentation": runs, "score": 0.9}])
    with pytest.raises(
        MaskError, match=r"r\.json is a list of results without a list of images, and its ids, such as 40"
    ):
        load(numbers, images)
    entry = {"id": 40, "file_name": "2.png", "height": 6, "width": 8}
    json_file(tmp_path / "r/info.json", {"images": [entry], "annotations": []})
    for path in (numbers, numbers.parent):
        assert areas(load(path, images, "a/2")) == [6]
        said = capsys.readouterr().out
        assert "it takes that of info.json" in said and "in several files" not in said


# ---------------------------------------------------------------- segment-anything, DEVA


ROW = np.arange(48).reshape(6, 8) < 5


@pytest.mark.parametrize(
    "segmentation",
    [
        ROW.tolist(),
        ROW.astype(int).tolist(),
        {"size": [6, 8], "counts": str(rle.encode(ROW)["counts"].encode())},
        {"size": [6, 8], "counts": [0, 1, 5, 1, 5, 1, 5, 1, 5, 1, 23]},
    ],
)
@pytest.mark.parametrize("name", ["annotations", "masks", None])
def test_masks_as_people_dump_them(
    tmp_path: Path, images: dict[str, Path], segmentation: object, name: str | None
) -> None:
    content: Any = [{"segmentation": segmentation, "predicted_iou": "0.98", "stability_score": 0.9}]
    json_file(tmp_path / "s/1.json", {name: content} if name else content)
    json_file(tmp_path / "s/2.json", [])
    assert recognise(tmp_path / "s") == "amg"
    masks = load(tmp_path / "s", images).masks
    assert np.array_equal(masks.decode()[0], ROW) and masks.annotations[0].predicted_iou == 0.98
    assert len(load(tmp_path / "s", images, "a/2").masks) == 0


def test_printed_bytes_with_backslashes() -> None:
    """A backslash is one of COCO's characters, and Python prints it twice."""
    mask = np.isin(np.arange(3600), range(44, 90)).reshape(60, 60).T
    counts = str(rle.encode(mask)["counts"].encode())
    assert "\\\\" in counts and rle.checked({"size": [60, 60], "counts": counts}) == rle.encode(mask)


def test_grounded_sam_2(tmp_path: Path, images: dict[str, Path]) -> None:
    annotations = [{"class_name": "cup", "bbox": [0, 0, 4, 1], "segmentation": rle.encode(ROW), "score": [0.9]}]
    content = {"image_path": "photos/a/1.png", "annotations": annotations, "img_width": 8, "img_height": 6}
    assert areas(load(json_file(tmp_path / "g/results.json", content).parent, images)) == [5]


def test_deva_lists_photographs(tmp_path: Path) -> None:
    images = {"1": Path("1.jpg")}
    colors = np.zeros((6, 8, 3), np.uint8)
    colors[ROW] = 9, 80, 7
    for folder, suffix in (("Annotations", "png"), ("Visualizations", "jpg")):
        (tmp_path / f"deva/{folder}").mkdir(parents=True)
        Image.fromarray(colors).save(tmp_path / f"deva/{folder}/1.{suffix}")
    annotation = {"file_name": "1.jpg", "segments_info": [{"id": 1, "area": 5}]}
    file = json_file(tmp_path / "deva/pred.json", {"annotations": [annotation]})
    assert recognise(tmp_path / "deva") == "color"
    assert areas(load(tmp_path / "deva", images, "1")) == [5]
    with pytest.raises(MaskError, match=r"pred\.json names 1\.jpg, but no PNG of ids .* such as DEVA's Annotations"):
        load(file, images, "1")


def test_panoptic_pngs_elsewhere_and_ids_without_pixels(tmp_path: Path, images: dict[str, Path]) -> None:
    colors = np.zeros((6, 8, 3), np.uint8)
    colors[ROW], colors[5] = (7, 0, 0), (8, 0, 0)
    (tmp_path / "p/pngs").mkdir(parents=True)
    Image.fromarray(colors).save(tmp_path / "p/pngs/1.png")
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 7}, {"id": 9}]}
    file = json_file(tmp_path / "p/predictions.json", {"annotations": [annotation]})
    loaded = load(file, images)
    assert areas(loaded) == [5]
    assert loaded.left_out == {"segments without a pixel": 1, "colours of no segment": 1}
    annotation["segments_info"] = [{"id": 1}]
    json_file(file, {"annotations": [annotation]})
    with pytest.raises(MaskError, match=r"1\.png is broken \(none of its 1 segments' ids is a colour of the PNG"):
        load(file, images)


def test_panoptic_boxes_are_those_of_the_pixels(tmp_path: Path, images: dict[str, Path]) -> None:
    """A mask of 6 x 3 pixels whose right half a smaller one hides: its box is that of the rest, 3 x 3."""
    stack = np.zeros((2, 6, 8), bool)
    stack[0, 1:4, 1:7] = stack[1, 1:4, 4:7] = True
    format_of("panoptic").write(tmp_path / "p", images, iter([("a/1", ImageMasks.from_arrays(stack))]))
    segments = json.loads((tmp_path / "p/panoptic.json").read_text())["annotations"][0]["segments_info"]
    with Image.open(tmp_path / "p/panoptic/a/1.png") as image:
        numbers = np.asarray(image).astype(int) @ (1, 256, 65536)
    for segment in segments:
        rows, columns = np.nonzero(numbers == segment["id"])
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert (segment["bbox"], segment["area"]) == (box, len(rows))
    assert [segment["bbox"] for segment in segments] == [[1, 1, 3, 3], [4, 1, 3, 3]]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("v.json", "export COCO"), ("m.pkl", "numpy.savez"), ("1.txt", "YOLO"), ("1.webp", "PNG"), ("a.zip", "unpack it")],
)
def test_what_is_not_read_has_a_way_out(tmp_path: Path, name: str, remedy: str) -> None:
    file = json_file(tmp_path / "x" / name, {"regions": []})
    for path in (tmp_path / "x", file):
        with pytest.raises(MaskError, match=remedy):
            recognise(path)
    Image.new("RGB", (8, 6)).save(tmp_path / "x/1.jpg")
    with pytest.raises(MaskError, match=remedy):
        recognise(tmp_path / "x")


def test_photographs_beside_json_are_no_masks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """labelme saves its JSON beside the photographs, which may be PNGs; PNGs with few colours remain in doubt."""
    json_file(tmp_path / "x/1.json", {"shapes": []})
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x/1.png")
    assert recognise(tmp_path / "x") == "labelme"
    assert "PNGs in" in (said := capsys.readouterr().out) and "are taken for photographs" in said
    Image.fromarray(noise // 128 * 255).save(tmp_path / "x/1.png")
    with pytest.raises(MaskError, match="might be labelme or color"):
        recognise(tmp_path / "x")


def test_json_that_breaks_off_is_called_broken(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/c.json").write_text('{"images": [], "annotations": [')
    for path in (tmp_path / "x", tmp_path / "x/c.json"):
        with pytest.raises(MaskError, match=r"c\.json is broken"):
            recognise(path)


# ---------------------------------------------------------------- segment-anything's tables


@pytest.mark.parametrize("score", ["nan", "inf", "1e999", "high"])
def test_a_score_that_is_no_number_is_named(tmp_path: Path, images: dict[str, Path], score: str) -> None:
    """NaN was taken, and whatever compared masks by their scores went wrong without a word."""
    folder = tmp_path / "x/a/1"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((6, 8), 255, np.uint8)).save(folder / "0.png")
    (folder / "metadata.csv").write_text(f"id,area,predicted_iou,stability_score\n0,48,0.9,{score}\n")
    with pytest.raises(MaskError, match=rf"a/1 is broken \(the score '{score}' in metadata.csv is not a finite number"):
        load(tmp_path / "x", images)

"""Formats of other programs: round trips of random masks, files as those programs write them, and every damage."""

from __future__ import annotations

import json
import random
import tracemalloc
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from format_files import coco_file, images_of, label_image, read_masks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import rle
from disconerf_ns.masks.formats import FORMATS, TARGETS, coco, format_of, labelme, recognise
from disconerf_ns.masks.formats.files import reading
from disconerf_ns.masks.formats.garfield import training_keys
from disconerf_ns.masks.formats.partition import flatten
from disconerf_ns.masks.image_masks import ImageMasks

OVERLAPPING = ("sa1b", "amg", "amg_folder", "coco", "arrays")
DISJOINT = ("labels", "object_mask", "color", "panoptic")

shapes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
stacks = st.integers(0, 4).flatmap(lambda n: shapes.flatmap(lambda shape: arrays(bool, (n, *shape))))
label_maps = shapes.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(0, 5)))
anywhere = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def there_and_back(tmp_path: Path, name: str, masks: ImageMasks) -> ImageMasks:
    target = tmp_path / f"{name}{random.getrandbits(64)}"
    images = images_of(target, masks.height, masks.width)
    where = target / "out"
    format_of(name).write(where, images, iter([("a/1", masks), ("a/2", masks)]))
    assert recognise(where) == ("labels" if name == "object_mask" else name)
    loaders = format_of(name).read(where, images).loaders
    assert sorted(loaders) == ["a/1", "a/2"]
    loaders["a/2"]()
    return loaders["a/1"]().masks


@pytest.mark.parametrize("name", OVERLAPPING)
@given(stacks)
@anywhere
def test_any_masks_come_back(tmp_path: Path, name: str, stack: np.ndarray) -> None:
    found = there_and_back(tmp_path, name, ImageMasks.from_arrays(stack))
    assert np.array_equal(found.decode(), stack)


@pytest.mark.parametrize("name", DISJOINT)
@given(label_maps)
@anywhere
def test_masks_without_overlap_come_back(tmp_path: Path, name: str, labels: np.ndarray) -> None:
    stack = np.stack([labels == value for value in range(1, 6)])
    stack = stack[stack.any((1, 2))]
    found = there_and_back(tmp_path, name, ImageMasks.from_arrays(stack)).decode()
    assert {mask.tobytes() for mask in found} == {mask.tobytes() for mask in stack}
    assert len(found) == len(stack)


@pytest.mark.parametrize("name", ["sa1b", "amg", "amg_folder", "coco"])
def test_scores_come_back(tmp_path: Path, name: str) -> None:
    masks = ImageMasks.from_arrays(np.ones((2, 3, 4), bool), [0.5, 0.75], [0.25, 1.0])
    found = there_and_back(tmp_path, name, masks).annotations
    assert [(m.predicted_iou, m.stability_score) for m in found] == [(0.5, 0.25), (0.75, 1.0)]


@pytest.mark.parametrize("name", DISJOINT)
def test_the_smallest_mask_shows_where_masks_overlap(tmp_path: Path, name: str) -> None:
    stack = np.zeros((2, 2, 3), bool)
    stack[0, 0, 0] = stack[1] = True
    found = there_and_back(tmp_path, name, ImageMasks.from_arrays(stack)).decode()
    assert sorted(mask.sum() for mask in found) == [1, 5]


NOT_LOOKED = "regions that were not looked at"
SCORES, LEVELS = "scores of masks", "levels of masks"
HIDE, CUT, EMPTY = "masks hidden by smaller ones", "masks cut by smaller ones", "empty masks"
FLAT = {HIDE: 1, CUT: 1, EMPTY: 1, NOT_LOOKED: 1, SCORES: 4, LEVELS: 4}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sa1b", {}),
        ("coco", {}),
        ("amg", {NOT_LOOKED: 1}),
        ("amg_folder", {NOT_LOOKED: 1, LEVELS: 4}),
        ("arrays", {SCORES: 4, LEVELS: 4}),
        *((name, FLAT) for name in DISJOINT),
    ],
)
def test_what_formats_do_not_hold_is_counted(tmp_path: Path, name: str, expected: dict[str, int]) -> None:
    """The first mask is hidden by the second, which cuts the third; the last is empty."""
    stack = np.zeros((4, 2, 4), bool)
    stack[0, 0, 0] = stack[1, 0, 0] = stack[2, 0] = True
    looked_at = np.arange(8).reshape(2, 4) < 6
    masks = ImageMasks.from_arrays(stack, [0.5] * 4, [0.5] * 4, 1, looked_at)
    images = images_of(tmp_path, 2, 4)
    assert format_of(name).write(tmp_path / "out", images, iter([("a/1", masks)])) == expected
    found = read_masks(name, tmp_path / "out", images)
    assert (found.looked_at == masks.looked_at) == (NOT_LOOKED not in expected)
    assert (len(found) == 4) == (HIDE not in expected)


def test_more_masks_than_8_bits_can_number(tmp_path: Path) -> None:
    images = images_of(tmp_path, 20, 20)
    masks = ImageMasks.from_arrays(np.arange(400).reshape(20, 20) == np.arange(300)[:, None, None])
    with pytest.raises(MaskError, match=r"image a/1 has 300 masks, but an 8-bit label image holds 255"):
        format_of("object_mask").write(tmp_path / "out", images, iter([("a/1", masks)]))
    assert len(there_and_back(tmp_path, "labels", masks)) == 300
    assert len(there_and_back(tmp_path, "color", masks)) == 300


# ---------------------------------------------------------------- files as others write them


def test_coco_polygons_of_several_parts(tmp_path: Path) -> None:
    """Two squares of one mask, each of 2 x 2 pixels, and uncompressed RLE beside it."""
    images = images_of(tmp_path, 6, 8)
    polygons = [[1, 1, 3, 1, 3, 3, 1, 3], [5, 2, 7, 2, 7, 4, 5, 4]]
    annotations = [
        {"id": 1, "image_id": 9, "segmentation": polygons, "category_id": 3, "iscrowd": 0},
        {"id": 2, "image_id": 9, "segmentation": {"size": [6, 8], "counts": [6, 6, 36]}, "iscrowd": 1},
    ]
    entries = [{"id": 9, "file_name": "1.png", "height": 6, "width": 8}]
    (tmp_path / "instances.json").write_text(json.dumps({"images": entries, "annotations": annotations}))
    assert recognise(tmp_path / "instances.json") == "coco"
    found = read_masks("coco", tmp_path / "instances.json", images).decode()
    expected = np.zeros((2, 6, 8), bool)
    expected[0, 1:3, 1:3] = expected[0, 2:4, 5:7] = expected[1, :, 1] = True
    assert np.array_equal(found, expected)


def test_panoptic_ids_are_colours(tmp_path: Path) -> None:
    images = images_of(tmp_path, 1, 3)
    (tmp_path / "p/val").mkdir(parents=True)
    Image.fromarray(np.array([[[3, 2, 1], [0, 0, 0], [9, 9, 9]]], np.uint8)).save(tmp_path / "p/val/1.png")
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 3 + 2 * 256 + 65536, "category_id": 1}]}
    (tmp_path / "p/val.json").write_text(json.dumps({"annotations": [annotation]}))
    for path in (tmp_path / "p", tmp_path / "p/val.json", tmp_path / "p/windows.JSON"):
        if path.name == "windows.JSON":
            Path(tmp_path / "p/val.json").unlink()
            (tmp_path / "p/val/a").mkdir()
            (tmp_path / "p/val/1.png").rename(tmp_path / "p/val/a/1.png")
            (tmp_path / "p/val").rename(tmp_path / "p/windows")
            path.write_text(json.dumps({"annotations": [{**annotation, "file_name": "a\\1.png"}]}))
        assert recognise(path) == "panoptic"
        masks = read_masks("panoptic", path, images)
        assert masks.decode().tolist() == [[[True, False, False]]]


def test_label_images_with_a_palette(tmp_path: Path) -> None:
    images = images_of(tmp_path, 1, 3)
    (tmp_path / "object_mask").mkdir()
    image = Image.fromarray(np.array([[0, 7, 7]], np.uint8), mode="P")
    image.putpalette([5] * 768)
    image.save(tmp_path / "object_mask/1.png")
    assert recognise(tmp_path / "object_mask") == "labels"
    assert read_masks("labels", tmp_path / "object_mask", images).decode().tolist() == [[[False, True, True]]]


@pytest.mark.parametrize("kind", ["npy", "255.npy", "npz", "pt", "list.pt", "channel.npy"])
def test_stacks_and_label_maps(tmp_path: Path, kind: str) -> None:
    images = images_of(tmp_path, 2, 3)
    stack = np.array([[[1, 1, 0], [0, 0, 0]], [[1, 0, 0], [1, 0, 0]]], bool)
    path = tmp_path / "out" / f"1.{kind.split('.')[-1]}"
    path.parent.mkdir()
    if kind == "255.npy":
        np.save(path, 255 * stack.astype(np.uint8))
    elif kind == "npy":
        np.save(path, stack.astype(np.float32))
    elif kind == "npz":
        np.savez(path, stack)
    elif kind == "pt":
        torch.save(torch.from_numpy(stack), path)
    elif kind == "list.pt":
        torch.save(list(torch.from_numpy(stack)), path)
    else:
        np.save(path, stack[:, None])
    assert recognise(tmp_path / "out") == "arrays"
    assert np.array_equal(read_masks("arrays", tmp_path / "out", images).decode(), stack)
    np.save(path.with_suffix(".npy"), 0.5 * stack)
    if path.suffix != ".npy":
        with pytest.raises(MaskError, match=rf"2 candidates for image a/1 \(1\.npy, 1{path.suffix}\)"):
            format_of("arrays").read(tmp_path / "out", images)
        path.unlink()
    with pytest.raises(MaskError, match=r"1\.npy is broken \(its array of shape \(2, 2, 3\) and type float64"):
        read_masks("arrays", tmp_path / "out", images)
    np.save(tmp_path / "out/2.npy", np.array([[-1, 0, 4], [4, 300, 300]]))
    masks = read_masks("arrays", tmp_path / "out", images, "a/2").decode()
    assert masks.astype(int).tolist() == [[[0, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 1]]]


LABELS = np.array([[0, 5, 5], [5, 0, 7]])
TWO = np.array([[[0, 1, 1], [1, 0, 0]], [[0, 0, 0], [0, 0, 1]]], bool)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1.npy", LABELS[None]),
        ("1.npy", LABELS[..., None]),
        ("1.npy", LABELS.astype(np.float32)),
        ("1.npy", LABELS[None].astype(np.float64)),
        ("1.NPY", TWO[None]),
        ("1.npy", TWO[:, None].astype(float)),
        ("1.pt", {"masks": torch.from_numpy(TWO), "scores": [0.5, 0.5]}),
        ("1.pth", torch.from_numpy(TWO).float().requires_grad_()),
        ("1.pt", torch.from_numpy(TWO).bfloat16()),
    ],
)
def test_shapes_and_types_of_arrays(tmp_path: Path, name: str, content: object) -> None:
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / name).open("wb") as file:
        np.save(file, content) if isinstance(content, np.ndarray) else torch.save(content, file)
    assert recognise(tmp_path / "out") == "arrays"
    found = read_masks("arrays", tmp_path / "out", images_of(tmp_path, 2, 3))
    assert np.array_equal(found.decode(), TWO)


def test_one_row_is_a_mask_still(tmp_path: Path) -> None:
    torch.save([torch.tensor([[True, False, True]]), torch.tensor([[[False, True, True]]])], tmp_path / "1.pt")
    found = read_masks("arrays", tmp_path, images_of(tmp_path, 1, 3))
    assert found.decode().astype(int).tolist() == [[[1, 0, 1]], [[0, 1, 1]]]


def test_parts_of_numbers_are_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", LABELS / 2)
    with pytest.raises(MaskError, match=r"numbers that are not whole, such as 2\.5"):
        read_masks("arrays", tmp_path, images_of(tmp_path, 2, 3))


def test_several_arrays(tmp_path: Path) -> None:
    images = images_of(tmp_path, 2, 3)
    np.savez(tmp_path / "1.npz", masks=TWO, names=np.array([{}, {}], dtype=object))
    np.savez(tmp_path / "2.npz", one=TWO, other=TWO)
    loaders = format_of("arrays").read(tmp_path, images).loaders
    assert np.array_equal(loaders["a/1"]().masks.decode(), TWO)
    with pytest.raises(MaskError, match=r"2\.npz is broken \(it holds 2 arrays \(one, other\), none of them called"):
        loaders["a/2"]()


@pytest.mark.parametrize("content", [[], torch.zeros(0, 2, 3), torch.zeros(0, 0, 0), {"masks": []}])
def test_arrays_without_masks(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "1.pt")
    found = read_masks("arrays", tmp_path, images_of(tmp_path, 2, 3))
    assert (len(found), found.height, found.width) == (0, 2, 3)


def test_a_pickled_program_is_refused_in_a_sentence(tmp_path: Path) -> None:
    torch.save({"masks": Path("x")}, tmp_path / "1.pt")
    with pytest.raises(
        MaskError, match=r"1\.pt is broken \(it is not what torch\.save writes, or holds more than tensors"
    ):
        read_masks("arrays", tmp_path, images_of(tmp_path, 2, 3))


def test_transparent_is_no_mask(tmp_path: Path) -> None:
    images = images_of(tmp_path, 1, 3)
    for name, pixels in (
        ("labels", [[[0, 255], [7, 255], [7, 0]]]),
        ("color", [[[0, 0, 0, 255], [9, 8, 7, 255], [255, 255, 255, 0]]]),
    ):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / name / "1.png")
        assert recognise(tmp_path / name) == name
        assert read_masks(name, tmp_path / name, images).decode().tolist() == [[[False, True, False]]]


@pytest.mark.parametrize("name", ["1.tif", "1.bmp", "1.TIFF", "1.PNG"])
def test_suffixes_of_label_images(tmp_path: Path, name: str) -> None:
    label_image(tmp_path / "l" / name, [0, 7, 7])
    assert recognise(tmp_path / "l") == "labels"
    assert [m.area for m in read_masks("labels", tmp_path / "l", images_of(tmp_path, 4, 3)).annotations] == [8]


def test_a_photograph_is_no_image_of_masks(tmp_path: Path) -> None:
    photograph = np.arange(3 * 128 * 128, dtype=np.uint32).view(np.uint8).reshape(4, -1, 4)[..., :3].copy()
    (tmp_path / "c").mkdir()
    Image.fromarray(photograph).save(tmp_path / "c/1.png")
    images = images_of(tmp_path, *photograph.shape[:2])
    with pytest.raises(
        MaskError, match=r"1\.png is broken \(it has \d{5} different values, like a photograph and unlike masks"
    ):
        read_masks("color", tmp_path / "c", images)


def test_masks_of_values_take_memory_one_by_one(tmp_path: Path) -> None:
    """200 masks of 400 x 400: less than a tenth of what all would take at once."""
    labels = np.arange(400 * 400).reshape(400, 400) // 800
    np.savez(tmp_path / "1.npz", labels)
    load = format_of("arrays").read(tmp_path, images_of(tmp_path, 400, 400)).loaders["a/1"]
    tracemalloc.start()
    masks = load().masks
    labels, _ = flatten(masks, 1000, "", "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(masks) == 199 and peak < 200 * 400 * 400 / 2


def test_too_little_memory_is_not_called_damage(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="does not fit in memory"), reading(tmp_path):
        raise MemoryError


def test_garfield(tmp_path: Path) -> None:
    """Pixels that lie in several masks, and -1 where there is none, as GARField stores them."""
    images = images_of(tmp_path, 1, 3)
    with h5py.File(tmp_path / "sam_data.hdf5", "w") as file:
        file["sam_fb/pixel_level_keys/0"] = np.array([[[0, -1], [1, 0], [-1, -1]]])
        file["sam_fb/pixel_level_keys/1"] = np.full((1, 3, 1), -1)
        file["sam_fb/scale_3d/0"] = np.zeros((2, 1))
    assert recognise(tmp_path / "sam_data.hdf5") == "garfield"
    loaders = format_of("garfield").read(tmp_path / "sam_data.hdf5", images).loaders
    assert loaders["a/1"]().masks.decode().astype(int).tolist() == [[[1, 1, 0]], [[0, 1, 0]]]
    assert len(loaders["a/2"]().masks) == 0
    with pytest.raises(MaskError, match="3D"):
        format_of("garfield").write(tmp_path, images, iter([]))
    with h5py.File(tmp_path / "sam_data.hdf5", "a") as file:
        file.move("sam_fb/pixel_level_keys/1", "sam_fb/pixel_level_keys/7")
    with pytest.raises(
        MaskError, match="2 images, but none with the number 1; they can be identified only if they are numbered 0 to 1"
    ):
        format_of("garfield").read(tmp_path / "sam_data.hdf5", images)


def test_garfields_images_are_nerfstudios_training_images(tmp_path: Path) -> None:
    """With a split of 0.9, nerfstudio trains on 9 of 10 images, evenly spaced by rounding down."""
    images = {f"{i:02d}": Path(f"images/{i:02d}.jpg") for i in range(10)}
    assert training_keys(images, 9, tmp_path) == ["00", "01", "02", "03", "04", "05", "06", "07", "09"]
    assert training_keys(images, 10, tmp_path) == sorted(images)
    with pytest.raises(MaskError, match="for 11 images, but the dataset has 10"):
        training_keys(images, 11, tmp_path)


SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]


@pytest.mark.parametrize("name", ["C:\\images\\a\\1.jpg", "1", "a/1", "/data/a/1.PNG"])
def test_names_in_coco(tmp_path: Path, name: str) -> None:
    file = coco_file(tmp_path / "c.JSON", [name], [{"image_id": 0, "segmentation": SQUARE}])
    assert recognise(file) == "coco"
    assert list(coco.read(file, images_of(tmp_path, 6, 8)).loaders) == ["a/1"]


def test_coco_with_two_entries_for_one_image(tmp_path: Path) -> None:
    file = coco_file(tmp_path / "c.json", ["a/1.png", "1.jpg"], [])
    with pytest.raises(MaskError, match="2 candidates for image a/1"):
        coco.read(file, images_of(tmp_path, 6, 8))


def test_boxes_of_coco_are_left_out_and_counted(tmp_path: Path) -> None:
    bare = [{"image_id": 0, "bbox": [0, 0, 2, 2]}, {"image_id": 0, "segmentation": []}]
    file = coco_file(tmp_path / "c.json", ["a/1.png"], [*bare, {"image_id": 0, "segmentation": SQUARE}])
    assert recognise(file) == "coco"
    loaded = coco.read(file, images_of(tmp_path, 6, 8)).loaders["a/1"]()
    assert [mask.area for mask in loaded.masks.annotations] == [4]
    assert loaded.left_out == {"annotations without a segmentation": 2}


@pytest.mark.parametrize(
    ("segmentation", "reason"), [([[1, 2, 3]], "a polygon is not"), ({"size": [6, 8], "counts": [3]}, "do not add up")]
)
def test_coco_names_the_image_and_the_annotation(tmp_path: Path, segmentation: object, reason: str) -> None:
    file = coco_file(tmp_path / "c.json", ["a/1.png"], [{"id": 31, "image_id": 0, "segmentation": segmentation}])
    with pytest.raises(MaskError, match=rf"image a/1\.png: annotation .*31.*: .*{reason}"):
        read_masks("coco", file, images_of(tmp_path, 6, 8))


@pytest.mark.parametrize("name", TARGETS)
def test_no_format_gives_one_mask_to_two_images_or_two_to_one(tmp_path: Path, name: str) -> None:
    masks = ImageMasks.from_arrays(np.ones((1, 2, 3), bool))
    flat, deep = {"1": Path("1.jpg")}, {"left/1": Path("left/1.jpg"), "right/1": Path("right/1.jpg")}
    form = format_of(name)
    form.write(tmp_path / "flat", flat, iter([("1", masks)]))
    form.write(tmp_path / "deep", deep, iter([("left/1", masks), ("right/1", masks)]))
    assert sorted(form.read(tmp_path / "deep", deep).loaders) == ["left/1", "right/1"]
    assert list(form.read(tmp_path / "deep", {"right/1": Path()}).loaders) == ["right/1"]
    with pytest.raises(MaskError, match="fits two images, left/1 and right/1"):
        form.read(tmp_path / "flat", deep)
    with pytest.raises(MaskError, match="2 candidates for image 1"):
        form.read(tmp_path / "deep", flat)


@pytest.mark.parametrize("name", TARGETS)
def test_suffixes_in_capitals(tmp_path: Path, name: str) -> None:
    images = images_of(tmp_path, 2, 3)
    form, out = format_of(name), tmp_path / "out"
    form.write(out, images, iter([("a/1", ImageMasks.from_arrays(np.ones((1, 2, 3), bool)))]))
    for file in [path for path in out.rglob("*.*") if name not in ("amg_folder", "panoptic") or path.suffix == ".json"]:
        file.rename(file.with_suffix(file.suffix.upper()))
    assert recognise(out) == ("labels" if name == "object_mask" else name)
    assert read_masks(name, out, images).decode().all()


# ---------------------------------------------------------------- damage


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled, or numbers replaced."""
    text = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        where = rng.randrange(max(len(text), 1))
        kind = rng.randrange(5)
        if kind == 0 and text:
            text[where] = rng.randrange(256)
        elif kind == 1:
            del text[where : where + rng.randint(1, 8)]
        elif kind == 2:
            text[where:where] = text[where : where + rng.randint(1, 8)]
        elif kind == 3:
            text[where:where] = rng.choice([b"-", b"9" * 9, b"1e308", b"null", b"[]", b"{}", b'"', b"NaN", b"0"])
        else:
            text[where : where + 1] = rng.choice([b"0", b"6", b"[", b"]", b",", b":", b"\\u0000"])
    return bytes(text)


def labelled(name: str) -> dict:
    """A file of labelme or ISAT of one image of 5 x 7."""
    points = [[1, 1], [6, 1], [6, 3.5], [1, 3]]
    if name == "isat":
        entry = {"category": "a", "group": 1, "layer": 1.0, "segmentation": points}
        objects = [entry, {**entry, "layer": 2.0, "category": "__background__"}]
        return {"info": {"name": "1.png", "height": 5, "width": 7}, "objects": objects}
    content = BytesIO()
    Image.new("L", (2, 3), 1).save(content, format="PNG")
    mask = {"shape_type": "mask", "points": [[1, 1], [2, 3]], "mask": b64encode(content.getvalue()).decode()}
    shapes = [{"shape_type": "polygon", "points": points}, {"shape_type": "circle", "points": [[3, 2], [4, 3]]}, mask]
    shapes = [{"label": "a", "group_id": 1, **shape} for shape in shapes]
    return {"shapes": shapes, "imagePath": "1.png", "imageHeight": 5, "imageWidth": 7}


def test_a_pasted_mask_just_below_its_image_is_empty() -> None:
    """Within the margin that polygons have, too: the whole file counted as broken."""
    content = BytesIO()
    Image.new("L", (8, 8), 1).save(content, format="PNG")
    shape = {"points": [[10, 1001], [17, 1008]], "mask": b64encode(content.getvalue()).decode()}
    assert rle.area(labelme._pasted(shape, 1000, 1000)) == 0


@pytest.mark.parametrize("name", ["sa1b", "amg", "coco", "polygons", "results", "panoptic", "labelme", "isat"])
def test_two_thousand_mutations_give_a_sentence_or_masks(tmp_path: Path, name: str) -> None:
    stack = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    images = images_of(tmp_path / "data", 5, 7)
    out = tmp_path / "out"
    module = format_of("coco" if name in ("polygons", "results") else name)
    if name in ("labelme", "isat"):
        file, content = out / "1.json", labelled(name)
        out.mkdir()
    else:
        module.write(out, images, iter([("a/1", ImageMasks.from_arrays(stack, [0.5] * 3, [0.5] * 3))]))
        file = next(out.rglob("*.json"))
        content = json.loads(file.read_text())
    if name == "results":
        content = [{**annotation, "image_id": "a/1"} for annotation in content["annotations"]]
    if name == "polygons":
        for annotation in content["annotations"]:
            annotation["segmentation"] = [[0, 0, 3, 0, 3.5, 4], [1, 1, 6, 1, 6, 3, 1, 3]]
    good = json.dumps(content).encode()
    rng, parsed = random.Random(0), 0
    for _ in range(2000):
        file.write_bytes(mutated(good, rng))
        said = None
        try:
            for load in module.read(out, images).loaders.values():
                masks = load().masks
                assert masks.decode().shape == (len(masks), masks.height, masks.width)
                parsed += 1
        except MaskError as error:
            said = str(error)
        assert said is None or (said.startswith("masks: ") and str(tmp_path) in said and "\n" not in said)
    assert 50 < parsed < 1990


def test_every_format_is_described() -> None:
    for name in FORMATS:
        for function in ("recognises", "read", "write"):
            assert callable(getattr(format_of(name), function))
    with pytest.raises(MaskError, match="there is no format bmp"):
        format_of("bmp")

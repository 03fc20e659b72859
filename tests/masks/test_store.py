"""The store: files found by path, SA-1B's own files read, and every kind of damage met with one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.keys import image_key
from disconerf_ns.masks.store import MaskStore


def two_masks() -> ImageMasks:
    masks = np.zeros((2, 4, 6), dtype=bool)
    masks[0, 1:3, 2:5] = True
    masks[1] = True
    looked_at = np.zeros((4, 6), dtype=bool)
    looked_at[:, 1:5] = True
    return ImageMasks.from_arrays(masks, [0.9, 0.8], [0.95, 0.85], [0, 1], looked_at)


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("images/0001.jpg", "0001"),
        ("images_4/a/0001.jpg", "a/0001"),
        ("images/a/b/IMG.0001.JPG", "a/b/IMG.0001"),
        ("./train/r_0.png", "train/r_0"),
        ("images_left/0001.png", "images_left/0001"),
        ("images.png", "images"),
        ("a/../images/0001.png", "0001"),
        ("../elsewhere/x/0001.png", "0001"),
    ],
)
def test_keys(tmp_path: Path, image: str, key: str) -> None:
    data = tmp_path / "data"
    assert image_key(data / image, data) == key
    assert image_key(data / image, data / "transforms.json") == key


def test_key_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real/images/a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert image_key(tmp_path / "real/images/a/1.jpg", tmp_path / "link") == "a/1"


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_saved_masks_come_back(tmp_path: Path, masks: np.ndarray) -> None:
    store = MaskStore(tmp_path)
    store.save("a/b.c", ImageMasks.from_arrays(masks))
    loaded = store.load("a/b.c")
    assert np.array_equal(loaded.decode(), masks)
    assert [mask.area for mask in loaded.annotations] == masks.sum((1, 2)).tolist()


def test_everything_else_comes_back(tmp_path: Path) -> None:
    store = MaskStore(tmp_path)
    store.save("x", two_masks(), {"file_name": "x.jpg"})
    assert store.load("x") == two_masks()
    assert json.loads((tmp_path / "x.json").read_text())["image"] == {"file_name": "x.jpg", "height": 4, "width": 6}
    assert os.listdir(tmp_path) == ["x.json"], "no temporary files are left"


def test_no_masks_at_all(tmp_path: Path) -> None:
    MaskStore(tmp_path).save("x", ImageMasks.from_arrays(np.zeros((0, 3, 5), dtype=bool)))
    loaded = MaskStore(tmp_path).load("x")
    assert len(loaded) == 0
    assert loaded.decode().shape == (0, 3, 5)
    assert loaded.decode(6, 10).shape == (0, 6, 10)
    assert loaded.decode_looked_at(2, 2).all()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MaskStore(tmp_path)
    store.save("x", two_masks())

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        store.save("x", ImageMasks.from_arrays(np.zeros((0, 1, 1), dtype=bool)))
    assert store.load("x") == two_masks()
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("array", [np.array([[[0, 1, 2, 2, 1, 0]]]), np.array([[[0.0, 0.4, 0.9]]])])
def test_labels_and_probabilities_are_no_masks(array: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the labels, a mask of the two 1 was stored; of the probabilities, an empty one."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=f"masks are of type {array.dtype}, expected bool"):
        ImageMasks.from_arrays(array)
    with pytest.raises(ValueError, match="looked_at are of type"):
        ImageMasks.from_arrays(array > 0, looked_at=array[0])


def test_resampling_takes_the_pixel_under_each_new_centre() -> None:
    # 6 columns to 4: centres at 0.75, 2.25, 3.75, 5.25, so columns 0, 2, 3, 5.  4 rows to 2: centres at 1 and 3.
    mask = np.random.default_rng(0).random((1, 4, 6)) < 0.5
    small = ImageMasks.from_arrays(mask).decode(2, 4)
    assert np.array_equal(small, mask[:, [1, 3]][:, :, [0, 2, 3, 5]])
    assert np.array_equal(ImageMasks.from_arrays(mask).decode(8, 12), mask.repeat(2, 1).repeat(2, 2))
    # 6 columns to 3: centres at 1, 3, 5; column 5 was not looked at.
    assert two_masks().decode_looked_at(4, 3).tolist() == [[True, True, False]] * 4


@pytest.mark.parametrize("arguments", [{"predicted_iou": [0.5]}, {"level": [0, 1, 2]}])
def test_arguments_that_disagree(arguments: dict) -> None:
    with pytest.raises(ValueError, match="2 masks with"):
        ImageMasks.from_arrays(np.zeros((2, 4, 6), dtype=bool), **arguments)


def test_a_file_of_sa1b(tmp_path: Path) -> None:
    content = {
        "image": {"image_id": 7, "width": 3, "height": 2, "file_name": "sa_7.jpg"},
        "annotations": [
            {
                "bbox": [1.0, 0.0, 0.0, 1.0],
                "area": 2,
                "segmentation": {"size": [2, 3], "counts": "222"},
                "predicted_iou": 0.92,
                "point_coords": [[1.5, 0.5]],
                "crop_box": [0.0, 0.0, 3.0, 2.0],
                "id": 531,
                "stability_score": 0.97,
            },
            {"segmentation": {"size": [2, 3], "counts": [0, 1, 5]}},
        ],
    }
    (tmp_path / "sa_7.json").write_text(json.dumps(content))
    masks = MaskStore.open(tmp_path).load("sa_7")
    assert masks.decode().astype(int).tolist() == [[[0, 1, 0], [0, 1, 0]], [[1, 0, 0], [0, 0, 0]]]
    assert masks.annotations[0].bbox == (1, 0, 1, 2)
    assert (masks.annotations[0].predicted_iou, masks.annotations[0].stability_score) == (0.92, 0.97)
    assert masks.annotations[1].predicted_iou is masks.annotations[1].level is None


def store_with(root: Path, *keys: str) -> MaskStore:
    store = MaskStore.create(root, {"generator": "test"})
    for key in keys:
        store.save(key, two_masks())
    return store


def test_resolving_images_whose_subfolders_were_dropped(tmp_path: Path) -> None:
    store = store_with(tmp_path, "left/1", "left/2", "right/2", "flat", "train/r_0")
    assert store.resolve("left/1") == "left/1"
    assert store.resolve("1") == "left/1"
    assert store.resolve("any/flat") == "flat"
    assert store.resolve("val/r_0") is None
    with pytest.raises(MaskError, match=r"2 candidates for image 2 \(left/2.json, right/2.json\)"):
        store.resolve("2")
    assert store.missing(["1", "left/2", "3", "right/1"]) == ["3", "right/1"]
    store.save("3", two_masks())
    assert store.missing(["elsewhere/3"]) == []


def test_one_flat_file_is_not_given_to_several_images(tmp_path: Path) -> None:
    store = store_with(tmp_path, "1")
    assert store.files_for(["left/1"]) == {"left/1": "1"}
    assert store.files_for(["left/1", "1"]) == {"1": "1"}
    for look in (store.files_for, store.missing):
        with pytest.raises(MaskError, match=r"1\.json in .* fits two images, left/1 and right/1; give each image its "):
            look(["left/1", "right/1"])


def test_the_manifest_is_no_image(tmp_path: Path) -> None:
    store = store_with(tmp_path, "a/manifest")
    assert store.keys() == ["a/manifest"]
    assert store.manifest["generator"] == "test"
    with pytest.raises(MaskError, match="rename the image"):
        store.save("manifest", two_masks())


def test_finding_the_newest_set(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"disconerf masks --data"):
        MaskStore.find(tmp_path)
    root = tmp_path / "masks"
    MaskStore.create(root / "old", {"created": "2024-01-01T00:00:00+00:00"}).save("1", two_masks())
    assert MaskStore.find(tmp_path).note == f"masks: taking {root / 'old'}."
    MaskStore.create(root / "new", {"created": "2025-01-01T00:00:00+00:00"}).save("1", two_masks())
    MaskStore.create(root / "empty", {})
    (root / "of_nerfstudio").mkdir()
    found = MaskStore.find(tmp_path / "transforms.json")
    assert found.root == root / "new"
    assert "newest" in found.note
    assert "old" in found.note


def test_masks_right_in_the_folder(tmp_path: Path) -> None:
    MaskStore(tmp_path / "masks").save("1", two_masks())
    assert MaskStore.find(tmp_path).root == tmp_path / "masks"
    store_with(tmp_path / "told" / "masks", "train/1")
    assert MaskStore.find(tmp_path / "told").keys() == ["train/1"]


def test_replace(tmp_path: Path) -> None:
    store = MaskStore.create(tmp_path, {"generator": "one"})
    store.save("a/1", two_masks())
    replaced = MaskStore.replace(tmp_path, {"generator": "two"})
    assert replaced.keys() == [] and replaced.manifest["generator"] == "two"
    assert store.identity() != "" and MaskStore(tmp_path).missing(["a/1"]) == ["a/1"]


def test_a_stop_while_a_set_is_replaced_mixes_no_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks that were left counted as made in the new way."""
    store = MaskStore.create(tmp_path, {"generator": "one"})
    for key in "ab":
        store.save(key, two_masks())

    def stop(path: Path, **_: bool) -> None:
        if len(store.keys()) == 1:
            raise KeyboardInterrupt
        os.unlink(path)

    monkeypatch.setattr(Path, "unlink", stop)
    with pytest.raises(KeyboardInterrupt):
        MaskStore.replace(tmp_path, {"generator": "two"})
    assert len(store.keys()) == 1 and MaskStore(tmp_path).manifest["generator"] == "one"


def test_of_two_that_start_a_set_the_first_decides(tmp_path: Path) -> None:
    recipe = {"generator": "test", "parameters": {"sizes": (1, 2), "few": 3}}
    first = MaskStore.create(tmp_path, recipe)
    created = first.manifest["created"]
    assert MaskStore.create(tmp_path, recipe).manifest["created"] == created
    with pytest.raises(MaskError, match="few 3 instead of 4"):
        MaskStore.create(tmp_path, {"generator": "test", "parameters": {"sizes": (1, 2), "few": 4}})
    first.save("1", two_masks())
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(MaskError, match=r"has no manifest\.json, so its JSON files, such as 1\.json, may not be masks"):
        MaskStore.create(tmp_path, recipe)


def test_opening_what_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="there is no folder"):
        MaskStore.open(tmp_path / "nowhere")
    with pytest.raises(MaskError, match="has no masks"):
        MaskStore.open(tmp_path)
    with pytest.raises(MaskError, match="there is no file"):
        MaskStore(tmp_path).load("x")


GOOD = {"image": {"height": 2, "width": 3}, "annotations": [{"segmentation": {"size": [2, 3], "counts": [0, 1, 5]}}]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"image": {}, "image": {}}', "it has 'image' twice"),
        ("[]", "does not hold a JSON object"),
        (json.dumps({"annotations": []}), "lacks an `image`"),
        (json.dumps({**GOOD, "image": {"height": 2}}), "`height` and `width`"),
        (json.dumps({**GOOD, "image": {"height": 2, "width": 0}}), "`height` and `width`"),
        (json.dumps({**GOOD, "image": {"height": 3, "width": 2}}), "annotation 0: the mask is 2 x 3, the image 3 x 2"),
        (json.dumps({**GOOD, "annotations": [{}]}), "annotation 0: it lacks a `segmentation`"),
        (json.dumps({**GOOD, "annotations": [{**GOOD["annotations"][0], "level": "whole"}]}), "`level` is not a whole"),
        (json.dumps({**GOOD, "annotations": [{**GOOD["annotations"][0], "predicted_iou": 1e999}]}), "`predicted_iou`"),
        (json.dumps({**GOOD, "looked_at": {"size": [2, 2], "counts": [4]}}), "2 x 2, the image 2 x 3"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(MaskError, match=reason) as error:
        MaskStore(tmp_path).load("x")
    assert str(tmp_path / "x.json") in str(error.value)
    assert "disconerf masks" in str(error.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_raises_anything_but_a_mask_error(tmp_path: Path, data: st.DataObject) -> None:
    """A good file with one value replaced by anything loads and decodes, or is refused."""
    content = json.loads(json.dumps({**GOOD, "looked_at": {"size": [2, 3], "counts": "222"}}))
    here = content
    while True:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        if not isinstance(here[key], (dict, list)) or not here[key] or data.draw(st.booleans()):
            here[key] = data.draw(anything)
            break
        here = here[key]
    (tmp_path / "x.json").write_text(json.dumps(content))
    try:
        masks = MaskStore(tmp_path).load("x")
    except MaskError:
        return
    assert masks.decode().shape == (len(masks), 2, 3)
    assert masks.decode_looked_at().shape == (2, 3)


@given(st.binary(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(MaskError):
        MaskStore(tmp_path).load("x")


def test_loaded_masks_take_little_memory(tmp_path: Path) -> None:
    """40 masks of a megapixel with ragged borders: below 100 KiB, 10 MiB for 100 images."""
    import tracemalloc

    from benchmarks.mask_store import ragged_masks

    store = MaskStore(tmp_path)
    store.save("x", ragged_masks(np.random.default_rng(0), 40, 1000))
    store.load("x")
    tracemalloc.start()
    kept = store.load("x")
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(kept) == 40
    assert 20 * 1024 < size < 100 * 1024

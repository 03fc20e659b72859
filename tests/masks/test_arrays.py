"""Arrays as programs save them: masks in the first or last axis, an array per mask, probabilities, Python objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from format_files import images_of

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.formats import format_of
from disconerf_ns.masks.image_masks import ImageMasks

SIZE = (4, 6)
STACK = np.random.default_rng(0).random((3, *SIZE)) < 0.5
LAST = np.moveaxis(STACK, 0, -1)


def read_set(root: Path, size: tuple[int, int] = SIZE) -> dict[str, ImageMasks]:
    contents = format_of("arrays").read(root, images_of(root / "data", *size))
    return {key: load().masks for key, load in contents.loaders.items()}


@pytest.mark.parametrize(
    "array",
    [
        LAST,
        LAST[None],
        LAST * 255,
        LAST.astype(float),
        LAST[..., None, :],
        STACK[:, None],
        STACK[None, :, None],
        STACK[..., None],
        STACK * np.array([1, 2, 3])[:, None, None],
    ],
)
def test_masks_in_any_axis(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "1.npy", array)
    assert np.array_equal(read_set(tmp_path)["a/1"].decode(), STACK)


def test_masks_at_half_size_may_be_last_too(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).random((3, 40, 60)) < 0.5
    np.save(tmp_path / "1.npy", np.moveaxis(stack, 0, -1))
    assert np.array_equal(read_set(tmp_path, (80, 120))["a/1"].decode(), stack)


def test_the_set_tells_where_masks_are_if_all_sides_are_alike(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Six masks of an image of 6 x 6 fit both ways; the other image has three."""
    cube, other = (np.random.default_rng(1).random((6, 6, n)) < 0.5 for n in (6, 3))
    np.save(tmp_path / "1.npy", cube)
    assert np.array_equal(read_set(tmp_path, (6, 6))["a/1"].decode(), cube)
    said = capsys.readouterr().out
    assert "1 stacks in" in said and "the first is taken. If it is the second, move the last axis" in said
    np.save(tmp_path / "2.npy", other)
    found = read_set(tmp_path, (6, 6))
    assert np.array_equal(found["a/1"].decode(), np.moveaxis(cube, -1, 0))
    assert np.array_equal(found["a/2"].decode(), np.moveaxis(other, -1, 0))
    said = capsys.readouterr().out
    assert "are (height, width, masks), by the images' sizes" in said and "is taken" not in said


def test_as_many_masks_as_rows(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Four masks of 4 x 6 are no four rows of 6 x 4, although a photograph may be turned."""
    stack = np.random.default_rng(1).random((4, *SIZE)) < 0.5
    np.save(tmp_path / "1.npy", stack)
    assert np.array_equal(read_set(tmp_path)["a/1"].decode(), stack)
    assert "is taken" not in capsys.readouterr().out


@pytest.mark.parametrize("names", ["123", ["mask_0", "mask_1", "mask_2"], ["arr_0", "arr_1", "arr_2"]])
@pytest.mark.parametrize("suffix", ["npz", "pt"])
def test_an_array_for_each_mask(tmp_path: Path, names: list[str], suffix: str) -> None:
    masks = {name: mask[None] for name, mask in zip(names, STACK)}
    if suffix == "npz":
        np.savez(tmp_path / "1.npz", **masks)
    else:
        tensors = {int(name) if name.isdigit() else name: torch.from_numpy(mask) for name, mask in masks.items()}
        torch.save(tensors, tmp_path / "1.pt")
    assert np.array_equal(read_set(tmp_path)["a/1"].decode(), STACK)


@pytest.mark.parametrize(
    ("other", "name"), [(np.ones(3), "arr_1"), (np.ones((2, 2)), "arr_1"), (5 * STACK[0], "arr_1"), (STACK[0], "valid")]
)
def test_arrays_that_are_not_one_mask_each(tmp_path: Path, other: np.ndarray, name: str) -> None:
    np.savez(tmp_path / "1.npz", **{"arr_0": STACK[0], name: other})
    with pytest.raises(MaskError, match=rf"it holds 2 arrays \(arr_0, {name}\), .* called by its number"):
        read_set(tmp_path)


RAMP = np.linspace(0, 1, STACK.size).reshape(STACK.shape)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (RAMP, "look like probabilities; write binary masks, > 0.5"),
        (np.moveaxis(RAMP, 0, -1), "look like probabilities"),
        (RAMP.astype(np.float16)[:, None], "look like probabilities"),
        (20 * RAMP - 10, "look like logits; write binary masks, > 0"),
        (RAMP[0], "not whole, such as .*threshold"),
        (np.stack([STACK] * 3, 1), r"shape \(3, 3, 4, 6\) .*keep the best"),
        (np.random.default_rng(0).integers(0, 9, (3, *SIZE)), "not a stack of masks"),
        (STACK.astype(complex), "complex128, not numbers"),
        (np.array([{"masks": 1}], object), "Python objects, which may run a program"),
        (STACK.astype(str), "not numbers"),
    ],
)
def test_what_is_no_mask_is_said(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "1.npy", array)
    with pytest.raises(MaskError, match=reason):
        read_set(tmp_path)


def test_a_border_is_not_looked_at_beside_what_was_not(tmp_path: Path) -> None:
    labels, looked_at = np.array([[0, 1, 1, 255, 2, 2]] * 4), np.ones(SIZE, bool)
    looked_at[:, 0] = False
    np.savez(tmp_path / "1.npz", masks=labels, looked_at=looked_at)
    assert read_set(tmp_path)["a/1"].decode_looked_at()[0].tolist() == [False, True, True, False, True, True]

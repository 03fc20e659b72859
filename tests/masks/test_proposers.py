"""Proposers: SAM's real classes with random weights, and graph segmentation of images whose regions are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.proposers import PROPOSERS, config_class
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.sam import SamConfig, SamProposer, by_level, load_sam, shrink


def tiny_sam() -> Sam:
    """SAM as it is, but small and never trained."""
    torch.manual_seed(0)
    dim, side, patch = 32, 64, 8
    grid = side // patch
    encoder = ImageEncoderViT(
        img_size=side, patch_size=patch, embed_dim=32, depth=1, num_heads=2, out_chans=dim, use_rel_pos=True
    )
    prompts = PromptEncoder(dim, (grid, grid), (side, side), mask_in_chans=4)
    transformer = TwoWayTransformer(depth=1, embedding_dim=dim, mlp_dim=32, num_heads=2)
    decoder = MaskDecoder(transformer_dim=dim, transformer=transformer, iou_head_hidden_dim=32)
    for mlp in decoder.output_hypernetworks_mlps:
        for parameter in mlp.parameters():
            parameter.data *= 4
    return Sam(encoder, prompts, decoder, [120.0] * 3, [60.0] * 3)


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 255, (5, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)


EVERYTHING = {
    "square_crop": False,
    "min_predicted_iou": -9.0,
    "min_stability": 0.0,
    "drop_contained": False,
    "min_area": 0.0,
    "dilate": 0,
    "points_per_side": 4,
    "points_per_batch": 5,
    "device": "cpu",
}


@pytest.mark.parametrize("box_iou", [0.7, 1.0])
def test_all_levels_are_what_sams_own_generator_finds(image: np.ndarray, box_iou: float) -> None:
    sam = tiny_sam()
    generator = SamAutomaticMaskGenerator(
        sam, points_per_side=4, pred_iou_thresh=-9.0, stability_score_thresh=0.0, box_nms_thresh=box_iou
    )
    theirs = generator.generate(image)
    ours = SamProposer(SamConfig(**EVERYTHING, max_box_iou=box_iou), sam)(image)
    assert len(ours) == len(theirs) >= (48 if box_iou == 1.0 else 1)
    order = np.argsort([-record["predicted_iou"] for record in theirs])
    for mask, annotation, record in zip(ours.decode(), ours.annotations, [theirs[i] for i in order], strict=True):
        assert annotation.predicted_iou == pytest.approx(record["predicted_iou"], abs=1e-5)
        assert annotation.stability_score == pytest.approx(record["stability_score"], abs=1e-5)
        assert np.array_equal(mask, record["segmentation"])


def test_a_level_keeps_one_mask_of_each_point(image: np.ndarray) -> None:
    sam = tiny_sam()
    for level in (0, 1, 2):
        proposer = SamProposer(SamConfig(**EVERYTHING, level=level, max_box_iou=1.0), sam)
        answers = proposer.ask(image)
        assert 0 < len(answers.masks) <= 16
        assert set(answers.level) == {level}


def test_levels_go_by_area() -> None:
    # Answers of areas 1, 3, 2 at the first point and 4, 0, 4 at the second; their quality is their number.
    signs = torch.tensor(
        [[[1, -1, -1, -1], [1, 1, 1, -1], [1, 1, -1, -1]], [[1, 1, 1, 1], [-1, -1, -1, -1], [2, 1, 1, 1]]]
    )
    logits = signs.float().reshape(2, 3, 2, 2)
    quality = torch.arange(6.0).reshape(2, 3)
    for level, expected in ((0, [1, 3]), (1, [2, 5]), (2, [0, 4])):
        masks, iou, levels = by_level(logits, quality, level)
        assert iou.tolist() == expected
        assert levels.tolist() == [level, level]
        assert torch.equal(masks, logits.flatten(0, 1)[expected])
    assert by_level(logits, quality, None)[1].tolist() == [1, 2, 0, 3, 5, 4]
    assert by_level(logits, quality, None)[2].tolist() == [0, 1, 2, 0, 1, 2]


def test_the_recipe_leaves_what_it_says(image: np.ndarray) -> None:
    config = SamConfig(**{**EVERYTHING, "square_crop": True, "min_area": 0.1, "drop_contained": True})
    masks = SamProposer(config, tiny_sam())(image)
    decoded, looked_at = masks.decode(), masks.decode_looked_at()
    assert (masks.height, masks.width) == (40, 48)
    assert np.array_equal(np.flatnonzero(looked_at.any(0)), np.arange(4, 44)), "the square in the middle"
    assert not decoded[:, ~looked_at].any()
    assert (decoded.sum((1, 2)) >= 0.1 * 40 * 40).all()
    share = (decoded[:, None] & decoded[None]).sum((2, 3)) / decoded.sum((1, 2))[:, None]
    assert (share[~np.eye(len(share), dtype=bool)] < 0.95).all(), "none lies in another"

    larger = SamProposer(SamConfig(**{**vars(config), "dilate": 3}), tiny_sam())(image).decode()
    assert larger.shape == decoded.shape
    assert (larger >= decoded).all()


@pytest.mark.parametrize("threshold", ["min_predicted_iou", "min_stability"])
def test_thresholds_no_mask_reaches(image: np.ndarray, threshold: str) -> None:
    masks = SamProposer(SamConfig(**{**EVERYTHING, threshold: 9.0}), tiny_sam())(image)
    assert masks.decode().shape == (0, 40, 48)


def test_very_large_images_shrink() -> None:
    image = np.zeros((40, 61, 3), dtype=np.uint8)
    assert shrink(image, 61, 0.25) is image
    assert shrink(image, 60, 0.25).shape == (10, 15, 3)


def test_sam_without_its_weights_says_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"sam_vit_h_4b8939\.pth.*--sam-checkpoint"):
        SamConfig().setup()
    with pytest.raises(MaskError, match=r"nowhere\.pth.*sam_vit_b_01ec64\.pth.*--sam-checkpoint"):
        load_sam(tmp_path / "nowhere.pth", "vit_b")
    (tmp_path / "broken.pth").write_text("<html>")
    with pytest.raises(MaskError, match=r"broken\.pth does not hold the weights of SAM vit_b"):
        load_sam(tmp_path / "broken.pth", "vit_b")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(MaskError, match=r"other\.pth does not hold the weights of SAM vit_b"):
        load_sam(tmp_path / "other.pth", "vit_b")


def quarters() -> np.ndarray:
    """Four even colours, a small speck in one of them, and faint noise."""
    image = np.zeros((120, 160, 3))
    image[:60, :80], image[:60, 80:] = (200, 40, 40), (40, 160, 40)
    image[60:, :80], image[60:, 80:] = (40, 40, 200), (220, 220, 60)
    image[20:26, 20:26] = (190, 60, 40)
    return (image + np.random.default_rng(0).normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)


def test_graph_finds_regions_of_even_colour() -> None:
    masks = GraphConfig().setup()(quarters()).decode()
    assert len(masks) == 4
    for rows in (slice(0, 60), slice(60, 120)):
        for columns in (slice(0, 80), slice(80, 160)):
            truth = np.zeros((120, 160), dtype=bool)
            truth[rows, columns] = True
            assert max((mask & truth).sum() / (mask | truth).sum() for mask in masks) > 0.9


def test_graph_levels_nest() -> None:
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    proposer = GraphConfig(differences=(9.0, 1.0, 4.0), min_region=5).setup()
    fine, middle, coarse = proposer.partitions(image)
    assert fine.max() > middle.max() > coarse.max()
    for inner, outer in ((fine, middle), (middle, coarse)):
        assert all(len(np.unique(outer[inner == region])) == 1 for region in range(inner.max() + 1))
        assert np.array_equal(np.unique(outer), np.arange(outer.max() + 1))
    levels = [mask.level for mask in proposer(image).annotations]
    assert levels == sorted(levels)
    assert set(levels) == {0, 1, 2}


def test_graph_on_images_without_any_structure() -> None:
    for size in ((1, 1), (2, 300), (50, 50)):
        masks = GraphConfig().setup()(np.full((*size, 3), 128, dtype=np.uint8))
        assert masks.decode().all()
        assert len(masks) == 1


def test_graph_works_on_a_smaller_image() -> None:
    masks = GraphConfig(longest_side=40).setup()(quarters())
    assert (masks.height, masks.width) == (30, 40)


def test_proposers_by_name() -> None:
    assert [config_class(name) for name in PROPOSERS] == [SamConfig, GraphConfig]
    with pytest.raises(MaskError, match="no proposer called yolo; the ones there are: sam, graph"):
        config_class("yolo")

"""Proposers: SAM's real classes with random weights, and graph segmentation of images whose regions are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from disconerf_ns.errors import MaskError
from disconerf_ns.masks.proposers import PROPOSERS, config_class
from disconerf_ns.masks.proposers import sam as sam_module
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.recipe import shrink
from disconerf_ns.masks.proposers.sam import SamConfig, SamProposer, by_level, cached_weights, load_sam
from disconerf_ns.masks.proposers.transformers import TransformersConfig


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
    "crops": "none",
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
    config = SamConfig(**{**EVERYTHING, "crops": "centre", "min_area": 0.1, "drop_contained": True})
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


def test_two_crops_look_at_both_ends(image: np.ndarray) -> None:
    """An image of 40 x 48 is seen whole by two squares of 40; one of 40 x 100 lacks its middle."""
    config = SamConfig(**{**EVERYTHING, "crops": "two", "drop_contained": True})
    masks = SamProposer(config, tiny_sam())(image)
    assert masks.looked_at is None
    columns = masks.decode().any(0).any(0)
    assert columns[:4].any() and columns[-4:].any()
    wide = np.concatenate([image, image, image[:, :4]], axis=1)
    looked_at = SamProposer(config, tiny_sam())(wide).decode_looked_at()
    assert np.array_equal(np.flatnonzero(~looked_at.any(0)), np.arange(40, 60))
    high = SamProposer(config, tiny_sam())(np.ascontiguousarray(wide.swapaxes(0, 1)))
    assert (high.height, high.width) == (100, 40)


def test_out_of_memory_asks_fewer_points_at_once(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    proposer = SamProposer(SamConfig(**EVERYTHING), tiny_sam())
    expected = proposer(image)
    answer = SamProposer._answer

    def scarce(self: SamProposer, points: torch.Tensor):
        if len(points) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answer(self, points)

    monkeypatch.setattr(SamProposer, "_answer", scarce)
    found = proposer(image)
    assert np.array_equal(found.decode(), expected.decode())
    ious = [[mask.predicted_iou for mask in masks.annotations] for masks in (found, expected)]
    assert ious[0] == pytest.approx(ious[1], abs=1e-5)
    assert proposer.at_once == 2
    monkeypatch.setattr(SamProposer, "_answer", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(MaskError, match="not enough memory for SAM vit_h"):
        proposer(image)


def test_the_granularity_of_a_scene(image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarsest level with 5 masks in every view, 2 where there is none."""
    for number in range(3):
        Image.fromarray(np.roll(image, number, 1)).save(tmp_path / f"{number}.png")
    views = sorted(tmp_path.glob("*.png"))
    config = SamConfig(**{**EVERYTHING, "level": "auto", "max_box_iou": 1.0})
    monkeypatch.setattr(SamConfig, "setup", lambda self: SamProposer(self, tiny_sam()))
    counts = {}
    for level in (0, 1):
        proposer = SamProposer(replace(config, level=level), tiny_sam())
        counts[level] = min(len(proposer(np.roll(image, number, 1))) for number in range(3))
    expected = next((level for level in (0, 1) if counts[level] >= 5), 2)
    assert config.decide(views) == {"level": expected}
    assert replace(config, min_area=1.1).decide(views) == {"level": 2}
    assert replace(config, level=None).decide(views) == {}


def test_weights_are_fetched_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()[:6]
    (tmp_path / "there").mkdir()
    (tmp_path / f"there/sam_vit_b_{digest}.pth").write_bytes(content)
    (tmp_path / "there/sam_vit_l_000000.pth").write_bytes(content)
    names = {"vit_b": f"sam_vit_b_{digest}.pth", "vit_l": "sam_vit_l_000000.pth"}
    monkeypatch.setattr(sam_module, "WEIGHTS", (tmp_path / "there").as_uri())
    monkeypatch.setattr(sam_module, "CHECKPOINTS", names)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert cached_weights("vit_b", download=False) is None
    found = cached_weights("vit_b", download=True)
    assert found.read_bytes() == content
    assert cached_weights("vit_b", download=False) == found
    with pytest.raises(MaskError, match=r"sam_vit_l_000000.pth cannot be fetched \(invalid hash"):
        cached_weights("vit_l", download=True)
    assert cached_weights("vit_l", download=False) is None


def test_a_small_model_of_transformers(image: np.ndarray, tmp_path: Path) -> None:
    """Its classes with random weights; more points answer more, and the recipe is that of SAM."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    vision = transformers.SamVisionConfig(
        hidden_size=16,
        output_channels=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        mlp_dim=16,
        num_pos_feats=8,
        global_attn_indexes=[0],
        window_size=0,
    )
    prompts = transformers.SamPromptEncoderConfig(
        hidden_size=16, image_size=64, patch_size=8, image_embedding_size=8, mask_input_channels=4
    )
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    sizes = {"vision_config": vision, "prompt_encoder_config": prompts, "mask_decoder_config": decoder}
    transformers.SamModel(transformers.SamConfig(**sizes)).save_pretrained(tmp_path / "tiny")
    processor = transformers.SamImageProcessor(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}, mask_size={"longest_edge": 16}
    )
    transformers.SamProcessor(processor).save_pretrained(tmp_path / "tiny")
    options = {**EVERYTHING, "checkpoint": str(tmp_path / "tiny"), "max_box_iou": 1.0}
    masks = TransformersConfig(**options).setup()(image)
    assert masks.decode().shape[1:] == image.shape[:2]
    assert len(masks) > 4
    assert all(mask.predicted_iou is not None and mask.level is None for mask in masks.annotations)
    centre = TransformersConfig(**{**options, "crops": "centre"}).setup()(image)
    assert not centre.decode()[:, ~centre.decode_looked_at()].any()
    with pytest.raises(MaskError, match=r"nowhere cannot be loaded as a mask generation model \(.*--checkpoint"):
        TransformersConfig(checkpoint=str(tmp_path / "nowhere")).setup()


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
    assert [config_class(name) for name in PROPOSERS] == [SamConfig, TransformersConfig, GraphConfig]
    with pytest.raises(MaskError, match="no proposer called yolo; choose one of sam, transformers, graph"):
        config_class("yolo")

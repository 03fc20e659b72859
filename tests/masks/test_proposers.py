"""Proposers: SAM's real classes with random weights, and graph segmentation of images whose regions are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from disconerf_ns.errors import MaskError
from disconerf_ns.masks import filters
from disconerf_ns.masks.prompts import Prompt
from disconerf_ns.masks.proposers import PROPOSERS, config_class, promptable
from disconerf_ns.masks.proposers import sam as sam_module
from disconerf_ns.masks.proposers.graph import GraphConfig
from disconerf_ns.masks.proposers.promptable import PromptableProposer, by_level
from disconerf_ns.masks.proposers.recipe import Answers, Recipe, follow, shrink
from disconerf_ns.masks.proposers.sam import SamConfig, SamNetwork, cached_weights, load_sam, weights_at
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


def sam_proposer(config: SamConfig, sam: Sam) -> PromptableProposer:
    return PromptableProposer(config, SamNetwork(sam, config))


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 255, (5, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)


EVERYTHING = {
    "level": None,
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
    ours = sam_proposer(SamConfig(**EVERYTHING, max_box_iou=box_iou), sam)(image)
    assert len(ours) == len(theirs) >= (48 if box_iou == 1.0 else 1)
    order = np.argsort([-record["predicted_iou"] for record in theirs])
    for mask, annotation, record in zip(ours.decode(), ours.annotations, [theirs[i] for i in order], strict=True):
        assert annotation.predicted_iou == pytest.approx(record["predicted_iou"], abs=1e-5)
        assert annotation.stability_score == pytest.approx(record["stability_score"], abs=1e-5)
        assert np.array_equal(mask, record["segmentation"])


def test_a_level_keeps_one_mask_of_each_point(image: np.ndarray) -> None:
    sam = tiny_sam()
    for level in (0, 1, 2):
        proposer = sam_proposer(SamConfig(**{**EVERYTHING, "level": level, "max_box_iou": 1.0}), sam)
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
    masks = sam_proposer(config, tiny_sam())(image)
    decoded, looked_at = masks.decode(), masks.decode_looked_at()
    assert (masks.height, masks.width) == (40, 48)
    assert np.array_equal(np.flatnonzero(looked_at.any(0)), np.arange(4, 44)), "the square in the middle"
    assert not decoded[:, ~looked_at].any()
    assert (decoded.sum((1, 2)) >= 0.1 * 40 * 40).all()
    share = (decoded[:, None] & decoded[None]).sum((2, 3)) / decoded.sum((1, 2))[:, None]
    assert (share[~np.eye(len(share), dtype=bool)] < 0.95).all(), "none lies in another"

    larger = sam_proposer(SamConfig(**{**vars(config), "dilate": 3}), tiny_sam())(image).decode()
    assert larger.shape == decoded.shape
    assert (larger >= decoded).all()


@pytest.mark.parametrize("threshold", ["min_predicted_iou", "min_stability"])
def test_thresholds_no_mask_reaches(image: np.ndarray, threshold: str) -> None:
    masks = sam_proposer(SamConfig(**{**EVERYTHING, threshold: 9.0}), tiny_sam())(image)
    assert masks.decode().shape == (0, 40, 48)


def test_very_large_images_shrink() -> None:
    image = np.zeros((40, 61, 3), dtype=np.uint8)
    assert shrink(image, 61, 0.25) is image
    assert shrink(image, 60, 0.25).shape == (10, 15, 3)


def test_two_crops_look_at_both_ends(image: np.ndarray) -> None:
    """An image of 40 x 48 is seen whole by two squares of 40; one of 40 x 100 lacks its middle."""
    config = SamConfig(**{**EVERYTHING, "crops": "two", "drop_contained": True})
    masks = sam_proposer(config, tiny_sam())(image)
    assert masks.looked_at is None
    columns = masks.decode().any(0).any(0)
    assert columns[:4].any() and columns[-4:].any()
    wide = np.concatenate([image, image, image[:, :4]], axis=1)
    looked_at = sam_proposer(config, tiny_sam())(wide).decode_looked_at()
    assert np.array_equal(np.flatnonzero(~looked_at.any(0)), np.arange(40, 60))
    high = sam_proposer(config, tiny_sam())(np.ascontiguousarray(wide.swapaxes(0, 1)))
    assert (high.height, high.width) == (100, 40)


def test_out_of_memory_asks_fewer_points_at_once(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    proposer = sam_proposer(SamConfig(**EVERYTHING), tiny_sam())
    expected = proposer(image)
    answer = PromptableProposer._answer

    def scarce(self: PromptableProposer, points: torch.Tensor):
        if len(points) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answer(self, points)

    monkeypatch.setattr(PromptableProposer, "_answer", scarce)
    found = proposer(image)
    assert np.array_equal(found.decode(), expected.decode())
    ious = [[mask.predicted_iou for mask in masks.annotations] for masks in (found, expected)]
    assert ious[0] == pytest.approx(ious[1], abs=1e-5)
    assert proposer.at_once == 2
    monkeypatch.setattr(PromptableProposer, "_answer", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(MaskError, match="not enough memory for SAM vit_h"):
        proposer(image)


def test_the_granularity_of_a_scene(image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coarsest level with 5 masks in every view, 2 where there is none."""
    for number in range(3):
        Image.fromarray(np.roll(image, number, 1)).save(tmp_path / f"{number}.png")
    views = sorted(tmp_path.glob("*.png"))
    config = SamConfig(**{**EVERYTHING, "level": "auto", "max_box_iou": 1.0})
    monkeypatch.setattr(SamConfig, "setup", lambda self: sam_proposer(self, tiny_sam()))
    counts = {}
    for level in (0, 1):
        proposer = sam_proposer(replace(config, level=level), tiny_sam())
        counts[level] = min(len(proposer(np.roll(image, number, 1))) for number in range(3))
    expected = next((level for level in (0, 1) if counts[level] >= 5), 2)
    assert config.decide(views) == {"level": expected}
    assert replace(config, min_area=1.1).decide(views) == {"level": 2}
    assert replace(config, level=None).decide(views) == {}


@pytest.mark.parametrize(("photographs", "seen"), [(1, 1), (9, 9), (10, 10), (11, 10), (21, 10), (400, 10)])
def test_ten_views_tell_the_granularity_if_there_are_as_many(
    photographs: int, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second of 11 photographs were 6 views, and every third of 21 were 7."""
    read: list[Path] = []
    monkeypatch.setattr(promptable, "read_image", read.append)
    config = SamConfig(**{**EVERYTHING, "level": "auto"})
    finds_five = MagicMock(return_value=range(5))
    monkeypatch.setattr(SamConfig, "setup", lambda self: finds_five)
    images = [Path(f"{number}.png") for number in range(photographs)]
    assert promptable.decide_level(config, images) == {"level": 0}
    assert len(set(read)) == len(read) == seen and {images[0], images[-1]} <= set(read)


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


def tiny_model(kind: str, folder: Path) -> Path:
    """A model of transformers and its processor with random weights, as `from_pretrained` reads them."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind in ("sam", "sam_hq"):
        of = lambda part: getattr(transformers, f"{'Sam' if kind == 'sam' else 'SamHQ'}{part}")
        vision = of("VisionConfig")(
            hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=8,
            mlp_dim=16, num_pos_feats=8, global_attn_indexes=[0], window_size=0,
        )  # fmt: skip
        prompts = of("PromptEncoderConfig")(
            hidden_size=16, image_size=64, patch_size=8, image_embedding_size=8, mask_input_channels=4
        )
        features = {} if kind == "sam" else {"vit_dim": 16}
        decoder = of("MaskDecoderConfig")(
            hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16, **features
        )
        sizes = {"vision_config": vision, "prompt_encoder_config": prompts, "mask_decoder_config": decoder}
        model = of("Model")(of("Config")(**sizes))
        image_processor = transformers.SamImageProcessor(
            size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}, mask_size={"longest_edge": 16}
        )
        processor = of("Processor")(image_processor)
    else:
        backbone = transformers.Sam2HieraDetConfig(
            hidden_size=8, num_attention_heads=1, image_size=[64, 64], blocks_per_stage=[1, 1, 1, 1],
            embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 1, 1],
            window_size_per_stage=[4, 2, 2, 2], global_attention_blocks=[], num_query_pool_stages=3,
            window_positional_embedding_background_size=[4, 4],
        )  # fmt: skip
        vision = transformers.Sam2VisionConfig(
            backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=16,
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        )  # fmt: skip
        prompts = transformers.Sam2PromptEncoderConfig(hidden_size=16, image_size=64, mask_input_channels=4)
        decoder = transformers.Sam2MaskDecoderConfig(
            hidden_size=16, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
        )
        sizes = {"vision_config": vision, "prompt_encoder_config": prompts, "mask_decoder_config": decoder}
        model = transformers.Sam2Model(transformers.Sam2Config(**sizes))
        processor = transformers.Sam2Processor(transformers.Sam2ImageProcessor(size={"height": 64, "width": 64}))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["sam", "sam_hq", "sam2"])
def test_a_small_model_of_transformers(kind: str, image: np.ndarray, tmp_path: Path) -> None:
    """Its classes with random weights: all masks are those of the library's own generator, and they have levels.

    The image is a square: of other images, the library's generator lets SAM 2 look at the points of another shape.
    """
    options = {**EVERYTHING, "checkpoint": str(tiny_model(kind, tmp_path / "tiny")), "max_box_iou": 1.0}
    from transformers import pipeline

    square = np.ascontiguousarray(image[:, :40])
    theirs = pipeline("mask-generation", model=options["checkpoint"], device="cpu")(
        Image.fromarray(square), points_per_crop=4, points_per_batch=5, pred_iou_thresh=-9.0,
        stability_score_thresh=0.0, crops_nms_thresh=1.0,
    )  # fmt: skip
    proposer = TransformersConfig(**options).setup()
    masks = proposer(square)
    expected = sorted((-float(score), np.asarray(mask).sum()) for score, mask in zip(theirs["scores"], theirs["masks"]))
    found = sorted((-mask.predicted_iou, mask.area) for mask in masks.annotations)
    assert len(found) == len(expected) > 4
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert {mask.level for mask in masks.annotations} == {0, 1, 2}
    assert all(0 <= mask.stability_score <= 1 for mask in masks.annotations)
    proposer.config = replace(proposer.config, crops="centre")
    centre = proposer(image)
    assert not centre.decode()[:, ~centre.decode_looked_at()].any()


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_boxes_and_points_lie_where_the_processor_of_transformers_puts_them(
    kind: str, image: np.ndarray, tmp_path: Path
) -> None:
    import transformers

    folder = tiny_model(kind, tmp_path / "tiny")
    proposer = TransformersConfig(**{**EVERYTHING, "checkpoint": str(folder)}).setup()
    prompt = Prompt(1, (0.25, 0.2, 0.75, 0.9), ((0.5, 0.5), (0.6, 0.8)), ((0.3, 0.25),), np.ones((1, 1), bool), 0.0)
    (answers,) = proposer.prompted(image, [prompt])
    processor = transformers.AutoProcessor.from_pretrained(folder)
    inputs = processor(
        images=Image.fromarray(image),
        input_points=[[[[24.0, 20.0], [28.8, 32.0], [14.4, 10.0]]]],
        input_labels=[[[1, 1, 0]]],
        input_boxes=[[[12.0, 8.0, 36.0, 36.0]]],
        return_tensors="pt",
    )
    sizes = {name: inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
    model = transformers.AutoModelForMaskGeneration.from_pretrained(folder)
    with torch.no_grad():
        output = model(
            **{name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
        )
    masks = processor.image_processor.post_process_masks(output.pred_masks, **sizes)[0][0]
    np.testing.assert_allclose(answers.predicted_iou, output.iou_scores[0, 0].numpy(), atol=1e-6)
    assert np.array_equal(answers.masks, masks.numpy())


def test_sam_answers_a_box_with_points_as_its_own_predictor_does(image: np.ndarray) -> None:
    proposer = sam_proposer(SamConfig(**EVERYTHING), tiny_sam())
    prompt = Prompt(1, (0.25, 0.2, 0.75, 0.9), ((0.5, 0.5), (0.6, 0.8)), ((0.3, 0.25),), np.ones((1, 1), bool), 0.0)
    (answers,) = proposer.prompted(image, [prompt])
    predictor = SamPredictor(tiny_sam().eval())
    predictor.set_image(image)
    points = np.array([[24.0, 20.0], [28.8, 32.0], [14.4, 10.0]])
    masks, predicted_iou, _ = predictor.predict(points, np.array([1, 1, 0]), np.array([12.0, 8.0, 36.0, 36.0]))
    np.testing.assert_allclose(answers.predicted_iou, predicted_iou, atol=1e-6)
    assert np.array_equal(answers.masks, masks)
    strict = sam_proposer(SamConfig(**{**EVERYTHING, "min_predicted_iou": 9.0}), tiny_sam())
    assert [answer.masks.shape for answer in strict.prompted(image, [prompt, prompt])] == [(0, 40, 48)] * 2


def rectangles(*sides: tuple[int, int, int, int]) -> np.ndarray:
    """Masks of 20 x 20 pixels: rows and columns from, to."""
    masks = np.zeros((len(sides), 20, 20), dtype=bool)
    for mask, (top, bottom, left, right) in zip(masks, sides, strict=True):
        mask[top:bottom, left:right] = True
    return masks


def test_with_all_levels_parts_stay_beside_their_wholes() -> None:
    """A whole, a part of it, a part of the part of 4 pixels, and a duplicate of the part; the third lies in all."""
    found = rectangles((0, 20, 0, 10), (0, 10, 0, 10), (0, 2, 0, 2), (0, 10, 0, 9))
    answers = Answers(found, np.array([0.9, 0.8, 0.75, 0.7]), np.full(4, 0.9), np.array([0, 1, 2, 1]))

    def ask(_: np.ndarray) -> Answers:
        return answers[filters.distinct(filters.packed(found), 0.7)]

    image = np.zeros((20, 20, 3), np.uint8)
    kept = follow(Recipe(level="all"), image, ask)
    assert np.array_equal(kept.decode(), found[:3])
    assert [mask.level for mask in kept.annotations] == [0, 1, 2]
    assert len(follow(Recipe(level=None, dilate=0), image, ask)) == 1
    assert len(follow(Recipe(level="all", min_area=0.1), image, ask)) == 2, "an option that is given counts"


def test_with_all_levels_two_crops_show_a_thing_once() -> None:
    """Both squares of an image of 10 x 15 see its middle."""
    image = np.zeros((10, 15, 3), np.uint8)
    image[:, 6:9] = 255
    recipe = Recipe(level="all", crops="two", min_area=0.0)

    def ask(crop: np.ndarray) -> Answers:
        return Answers((crop[..., 0] > 0)[None], np.array([0.9]), np.array([0.9]), np.array([0]))

    assert np.array_equal(follow(recipe, image, ask).decode(), (image[..., 0] > 0)[None])


def test_with_all_levels_sam_keeps_what_no_better_mask_is_like(image: np.ndarray) -> None:
    config = SamConfig(**{**EVERYTHING, "level": "all", "max_box_iou": 0.8})
    every = sam_proposer(replace(config, max_box_iou=1.0), tiny_sam())(image)
    some = sam_proposer(config, tiny_sam())(image)
    masks, kept = every.decode(), []
    for mask in masks:
        if all((mask & other).sum() <= 0.8 * (mask | other).sum() for other in kept):
            kept.append(mask)
    assert 1 < len(kept) < len(masks)
    assert np.array_equal(some.decode(), np.stack(kept))


def test_the_manifest_records_the_level_and_the_filters_that_come_of_it() -> None:
    shown = ("level", "drop_contained", "min_area", "dilate")
    for config in (SamConfig, TransformersConfig):
        assert [config(level=None).recipe()[name] for name in shown] == [None, True, 0.03, 5]
        assert [config(level="all").recipe()[name] for name in shown] == ["all", False, 0.001, 0]
        assert [config(level="all", dilate=2).recipe()[name] for name in shown] == ["all", False, 0.001, 2]


def test_no_model_of_transformers(tmp_path: Path) -> None:
    config = TransformersConfig(checkpoint=str(tmp_path / "nowhere"))
    for use in (config.setup, config.checked):
        with pytest.raises(MaskError, match=r"nowhere cannot be loaded as a mask generation model \(.*--checkpoint"):
            use()


def test_sam_without_its_weights_says_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"sam_vit_h_4b8939\.pth.*--sam-checkpoint"):
        SamConfig().setup()
    with pytest.raises(MaskError, match=r"nowhere\.pth.*sam_vit_b_01ec64\.pth.*--sam-checkpoint"):
        weights_at(tmp_path / "nowhere.pth", "vit_b")
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


def test_a_region_that_no_level_changes_has_one_mask() -> None:
    """The four quarters stay apart at both differences; only the speck joins."""
    masks = GraphConfig(differences=(1.0, 3.0)).setup()(quarters())
    assert len(masks) == 4
    assert {mask.level for mask in masks.annotations} == {0}


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

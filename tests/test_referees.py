"""Referees that others wrote: pycocotools reads the same masks, torchmetrics and the baselines' authors count alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from torch.nn.functional import interpolate
from torch.testing import assert_close
from torchmetrics.functional.classification import multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

from benchmarks.baselines import contrastive, panoptic_lifting
from disconerf_ns.cli import main
from disconerf_ns.evaluation.metrics import OverlapTable, labels_table
from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.masks.store import MaskStore

AUTHORS = json.loads((Path(__file__).parent / "data/authors_losses.json").read_text())
"""Losses and gradients that the authors' functions gave for random inputs; `source` names repository and commit."""
HEIGHT, WIDTH = 30, 41


# ---------------------------------------------------------------- masks, read by pycocotools


def blob(generator: np.random.Generator) -> list[int]:
    """Run lengths of a random mask, column by column, zeros first."""
    cuts = np.sort(generator.choice(HEIGHT * WIDTH, 12, replace=False))
    return np.diff(np.r_[0, cuts, HEIGHT * WIDTH]).tolist()


def star(generator: np.random.Generator) -> list[float]:
    """A polygon x, y, x, y, ... with corners between pixels."""
    angles = np.sort(generator.uniform(0, 2 * np.pi, 9))
    radii = generator.uniform(4, HEIGHT / 2, 9)
    corners = np.stack([WIDTH / 2 + radii * np.cos(angles), HEIGHT / 2 + radii * np.sin(angles)], -1)
    return corners.round(3).ravel().tolist()


@pytest.fixture
def coco_file(tmp_path: Path) -> Path:
    """Polygons, polygons in pieces and uncompressed RLE of two images, as annotators export them."""
    generator = np.random.default_rng(0)
    shapes = [
        [star(generator)],
        [star(generator), star(generator)],
        {"size": [HEIGHT, WIDTH], "counts": blob(generator)},
    ]
    images = [{"id": i + 1, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in range(2)]
    annotations = [
        {
            "id": i + 1,
            "image_id": 1 + i % 2,
            "category_id": 1,
            "iscrowd": int(isinstance(shape, dict)),
            "bbox": [0, 0, 1, 1],
        }
        | {"segmentation": shape, "area": 1}
        for i, shape in enumerate([*shapes, *shapes, *shapes[::-1]])
    ]
    (tmp_path / "data/images").mkdir(parents=True)
    for image in images:
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "data/images" / image["file_name"])
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}))
    return path


@pytest.mark.parametrize(("height", "width"), [(HEIGHT, WIDTH), (15, 20)])
def test_supervision_is_pixel_for_pixel_what_pycocotools_reads(coco_file: Path, height: int, width: int) -> None:
    assert main(["masks", "convert", str(coco_file), "--data", str(coco_file.parent / "data")]) == 0
    store, referee = MaskStore.find(coco_file.parent / "data"), COCO(str(coco_file))
    for image in referee.imgs.values():
        masks = [referee.annToMask(annotation) for annotation in referee.imgToAnns[image["id"]]]
        expected = interpolate(torch.from_numpy(np.stack(masks))[None].float(), (height, width), mode="nearest-exact")[
            0
        ]
        packed = torch.from_numpy(store.load(Path(image["file_name"]).stem).packed(height, width))
        view = MaskedView(0, packed, torch.ones(height * width, dtype=torch.bool))
        assert len(masks) >= 4 and 0 < expected.mean() < 1
        assert torch.equal(view.unpack(), expected.flatten(1).T)


# ---------------------------------------------------------------- scores, counted by torchmetrics


@pytest.fixture(params=range(5))
def labelled(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor, OverlapTable]:
    """Two label maps of five labels that mostly agree, and our table of them."""
    generator = torch.Generator().manual_seed(request.param)
    truth = torch.randint(5, (2, 8, 8), generator=generator).repeat_interleave(4, 1).repeat_interleave(3, 2)
    wrong = torch.rand(truth.shape, generator=generator) < 0.3
    predicted = torch.where(wrong, torch.randint(5, truth.shape, generator=generator), truth)
    return predicted, truth, labels_table(predicted.numpy(), truth.numpy())


def test_iou_of_a_pair_is_that_of_torchmetrics(labelled: tuple) -> None:
    predicted, truth, table = labelled
    reference = multiclass_jaccard_index(predicted, truth, num_classes=5, average="none")
    assert np.diag(table.iou()) == pytest.approx(reference.numpy())


def test_dice_of_a_pair_is_that_of_torchmetrics(labelled: tuple) -> None:
    predicted, truth, table = labelled
    maps = predicted.flatten()[None], truth.flatten()[None]
    reference = dice_score(*maps, num_classes=5, average="none", input_format="index")[0]
    assert np.diag(table.dice()) == pytest.approx(reference.numpy())


# ---------------------------------------------------------------- losses, computed by the baselines' authors


@pytest.mark.parametrize("case", AUTHORS["panoptic_lifting"]["cases"])
def test_instance_loss_is_that_of_panoptic_lifting(case: dict) -> None:
    logits, labels = torch.tensor(case["logits"], requires_grad=True), torch.tensor(case["labels"])
    loss = panoptic_lifting.instance_loss(logits.softmax(-1), labels, int(labels.max()) + 1)
    loss.backward()
    assert_close(float(loss.detach()), case["loss"], rtol=1e-5, atol=1e-6)
    assert_close(logits.grad, torch.tensor(case["gradient"]))


@pytest.mark.parametrize("case", AUTHORS["contrastive_lift"]["cases"])
def test_slow_fast_loss_is_that_of_contrastive_lift(case: dict) -> None:
    fast, slow = torch.tensor(case["fast"], requires_grad=True), torch.tensor(case["slow"])
    masks = torch.tensor(case["labels"]).split(len(fast))
    loss = contrastive.slow_fast_loss(fast, masks[0], slow, masks[1])
    loss.backward()
    assert_close(float(loss.detach()), case["loss"], rtol=1e-5, atol=1e-6)
    assert_close(fast.grad, torch.tensor(case["gradient"]))

"""The quality benchmark's baselines: their losses against loops, and each of them on a world that leaves no doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import assert_close, best_assignment
from timm.models.vision_transformer import VisionTransformer

from benchmarks.baselines import contrastive, dff, panoptic_lifting
from benchmarks.baselines.features import NearestCentroid, Rescaled, density_clusters, random_points
from benchmarks.baselines.training import TWICE, assign_some, next_views, slot_count, smallest_masks
from disconerf_ns.config import DiscoNerfDataManagerConfig, DiscoNerfModelConfig, DiscoNerfPipelineConfig
from disconerf_ns.datamanager import DiscoNerfDataManager
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.metrics import labels_table, weighted_iou
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.masks.masked_view import MaskedView
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.devices import Devices

SIDE = 12
"""Pixels per side of a view of the world."""
BLOBS = torch.tensor([[0.35, 0.5, 0.5], [0.6, 0.5, 0.5], [0.5, 0.7, 0.45]])
"""Centres of the world's objects, contracted."""
COLORS = torch.tensor([[1.0, 0.1, 0.1], [0.1, 0.9, 0.2], [0.1, 0.2, 1.0]])
"""Their colours."""
SMALL_VIT = {"patch_size": 14, "embed_dim": 24, "depth": 1, "num_heads": 2}


class Photographs:
    """Images of the world in its objects' colours."""

    def __init__(self, labels: list[torch.Tensor]):
        self.labels, self.metadata = labels, {"most_masks": 3}

    def __len__(self) -> int:
        return len(self.labels)

    def get_image_float32(self, view: int) -> torch.Tensor:
        return COLORS[self.labels[view]].view(SIDE, SIDE, 3)


class World:
    """A pipeline whose views see three blobs side by side, with perfect masks; one view has no mask at all."""

    device = torch.device("cpu")
    model = SimpleNamespace(consensus=range(2))
    """Its masks agree on two objects, if it is only their number that counts."""

    def __init__(self, views: int = 6):
        generator = torch.Generator().manual_seed(0)
        self.labels, surfaces = [], []
        for view in range(views):
            columns = (torch.arange(SIDE) * 3 // SIDE + view) % 3
            labels = columns.expand(SIDE, SIDE).flatten()
            points = BLOBS[labels][:, None] + 0.04 * torch.randn(SIDE**2, 2, 3, generator=generator)
            self.labels.append(labels)
            surfaces.append(SurfaceSamples.pack(points, torch.ones(SIDE**2)))
        self.object_stage = SimpleNamespace(surfaces=surfaces)
        grid = ObjectFieldConfig(levels=4, finest=64, log2_table=12)
        self.config = DiscoNerfPipelineConfig(
            datamanager=DiscoNerfDataManagerConfig(views_per_batch=3),
            model=DiscoNerfModelConfig(slots=6, object_field=grid, tv_cells=256),
        )
        self.datamanager = SimpleNamespace(
            config=self.config.datamanager,
            view_masks=self.view_masks,
            view_size=lambda view: (SIDE, SIDE),
            train_dataset=Photographs(self.labels),
            devices=Devices(),
            views=range(len(self.labels)),
            draw_views=lambda: DiscoNerfDataManager.draw_views(self.datamanager),
        )

    def view_masks(self, view: int) -> MaskedView:
        found = np.arange(3)[:, None] == self.labels[view].numpy() if view > 0 else np.zeros((0, SIDE**2), bool)
        return MaskedView(view, torch.from_numpy(np.packbits(found, axis=1)), torch.ones(SIDE**2, dtype=torch.bool))

    def iou(self, labels: torch.nn.Module) -> float:
        """Score of a module that tells the blobs of all views apart."""
        probabilities = labels(torch.cat([surface.positions[:, 0] for surface in self.object_stage.surfaces]))
        assert probabilities.shape[1] == labels.slots
        assert_close(probabilities.sum(1), torch.ones(len(probabilities)))
        return weighted_iou(labels_table(probabilities.argmax(1).numpy(), torch.cat(self.labels).numpy()))


@pytest.fixture
def world() -> World:
    return World()


def save_weights(path: Path, side: int, **size) -> VisionTransformer:
    """A random transformer for images of `side` pixels, and its file as DINOv2's are."""
    torch.manual_seed(1)
    vit = VisionTransformer(side, init_values=1e-5, num_classes=0, global_pool="", **{**SMALL_VIT, **size})
    torch.save({**vit.state_dict(), "mask_token": torch.zeros(1, 24)}, path)
    return vit.eval()


# ---------------------------------------------------------------- training


@pytest.mark.parametrize(("batch", "drawn_at_once"), [(2, 2), (4, 4), (9, 6)])
def test_every_view_is_drawn_once_before_any_is_drawn_again(world: World, batch: int, drawn_at_once: int) -> None:
    world.datamanager.shuffled, world.config.datamanager.views_per_batch = [], batch
    drawn = [[view.index for view in next_views(world)] for _ in range(6)]
    assert {len(views) for views in drawn} == {drawn_at_once}
    assert torch.tensor(drawn).view(-1, 6).sort(1).values.tolist() == [list(range(6))] * drawn_at_once


def test_a_pixel_belongs_to_the_smallest_of_its_masks() -> None:
    masks = torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]])
    assert smallest_masks(masks).tolist() == [0, 1, 2, -1]
    assert smallest_masks(torch.zeros(2, 0)).tolist() == [-1, -1]


def test_slots_are_counted_in_masks_or_in_objects_that_masks_agree_on(world: World) -> None:
    assert [slot_count(world, in_masks) for in_masks in (TWICE, 1.0, 4.0, None)] == [6, 3, 12, 2]


def test_masks_for_which_no_slot_is_left_get_none() -> None:
    """Two slots: masks 0 and 2 are worth 0.9 + 0.8, more than any other two."""
    worth = torch.tensor([[0.1, 0.9], [0.2, 0.7], [0.8, 0.3]])
    assert assign_some(worth).tolist() == [1, -1, 0]
    assert assign_some(worth.T).tolist() == [2, 0]
    assert assign_some(worth[:0]).tolist() == []


# ---------------------------------------------------------------- Panoptic Lifting


@pytest.mark.parametrize("seed", range(10))
def test_assignment_is_the_best_of_all_permutations(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    slots = torch.randn(30, 5, generator=generator).softmax(-1)
    labels = torch.randint(3 + seed % 2, (30,), generator=generator)
    means = torch.stack(
        [slots[labels == mask].mean(0) if (labels == mask).any() else slots[0] * 0 for mask in range(4)]
    )
    gamma = panoptic_lifting.assign(slots, labels, 4)
    assert len(set(gamma.tolist())) == 4
    best = sum(means[m, n] for m, n in enumerate(best_assignment(means)))
    assert_close(means[torch.arange(4), gamma].sum(), best)


def test_instance_loss_by_hand() -> None:
    slots = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.5, 0.5], [1.0, 0.0]], requires_grad=True)
    # mask 0 has slot 0 at 0.7 and slot 1 at 0.3, mask 1 both at 0.5: together slot 0 and slot 1 are worth more
    loss = panoptic_lifting.instance_loss(slots, torch.tensor([0, 0, 1, -1]), 2)
    assert float(loss.detach()) == pytest.approx(-np.log([0.8, 0.6, 0.5]).mean())
    loss.backward()
    assert_close(slots.grad, torch.tensor([[-1 / 2.4, 0], [-1 / 1.8, 0], [0, -1 / 1.5], [0, 0]]))


def test_pixels_of_masks_without_a_slot_take_no_part() -> None:
    """One slot, which mask 1 has more of: the loss is its two pixels' alone."""
    slots = torch.tensor([[0.5], [0.9], [0.7]], requires_grad=True)
    loss = panoptic_lifting.instance_loss(slots, torch.tensor([0, 1, 1]), 2)
    assert float(loss.detach()) == pytest.approx(-np.log([0.9, 0.7]).mean())
    loss.backward()
    assert_close(slots.grad, torch.tensor([[0.0], [-1 / 1.8], [-1 / 1.4]]))


def test_instance_loss_without_masks_is_nothing() -> None:
    slots = torch.rand(4, 3, requires_grad=True)
    loss = panoptic_lifting.instance_loss(slots, torch.full((4,), -1), 0)
    loss.backward()
    assert float(loss.detach()) == 0 and float(slots.grad.abs().max()) == 0


def test_panoptic_lifting_tells_blobs_apart(world: World) -> None:
    assert world.iou(panoptic_lifting.train(world, 60, seed=0)) > 0.9


def test_as_many_slots_as_the_masks_agree_on(world: World) -> None:
    assert panoptic_lifting.train(world, 1, seed=0, in_masks=None).slots == 2
    assert panoptic_lifting.train(world, 1, seed=0).slots == 6


def test_the_seed_decides_what_is_learned(world: World) -> None:
    first, again, other = (panoptic_lifting.train(world, 3, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


# ---------------------------------------------------------------- Contrastive Lift


def slow_fast_loss_by_loops(fast, fast_masks, slow, slow_masks):
    """Both losses, one pixel at a time."""
    contrastive_terms, near = [], {}
    for feature, mask in zip(fast, fast_masks.tolist()):
        own = slow[slow_masks == mask]
        if len(own) == 0:
            continue
        positive = sum(torch.exp(torch.exp(-(feature - other).norm())) for other in own)
        total = sum(torch.exp(torch.exp(-(feature - other).norm())) for other in slow)
        contrastive_terms.append(-torch.log(positive / total))
        near.setdefault(mask, []).append(torch.exp(-(feature - own.mean(0)).square().sum()))
    concentration = -torch.stack([torch.stack(terms).mean() for terms in near.values()]).mean()
    return torch.stack(contrastive_terms).mean() + concentration


@pytest.mark.parametrize("seed", range(5))
def test_slow_fast_loss_equals_loops(seed: int) -> None:
    torch.manual_seed(seed)
    fast, slow = torch.randn(12, 4, requires_grad=True), torch.randn(9, 4)
    masks = torch.randint(5, (12,)), torch.randint(4, (9,))
    loss, twin = (f(fast, masks[0], slow, masks[1]) for f in (contrastive.slow_fast_loss, slow_fast_loss_by_loops))
    assert_close(loss, twin)
    assert_close(*(torch.autograd.grad(value, fast)[0] for value in (loss, twin)))


def test_slow_fast_loss_without_common_masks_is_nothing() -> None:
    fast = torch.rand(3, 4, requires_grad=True)
    for slow in (torch.rand(2, 4), torch.rand(0, 4)):
        loss = contrastive.slow_fast_loss(fast, torch.zeros(3).long(), slow, torch.ones(len(slow)).long())
        loss.backward()
        assert float(loss) == 0 and float(fast.grad.abs().max()) == 0


def test_the_slow_field_follows_by_a_tenth() -> None:
    slow, fast = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    expected = 0.9 * slow.weight + 0.1 * fast.weight
    contrastive.follow(slow, fast)
    assert_close(slow.weight, expected)


def test_contrastive_lift_tells_blobs_apart_from_one_field(world: World) -> None:
    found = dict(contrastive.sweep(world, 120, seed=0, min_shares=(0.02, 0.1)))
    fields = {id(labels.field) for labels in found.values()}
    assert len(fields) == 1
    assert world.iou(found[0.1]) > 0.9 and found[0.1].slots == 3


def test_authors_settings_tell_blobs_apart(world: World) -> None:
    settings = replace(contrastive.AUTHORS, min_share=0.1)
    found = contrastive.train(world, 60, seed=0, clustering=settings)
    assert found.centroids.shape == (3, 3) and world.iou(found) > 0.9
    assert float(found.centroids.min()) >= 0 and float(found.centroids.max()) <= 1


# ---------------------------------------------------------------- clusters


def test_points_are_on_what_is_seen() -> None:
    seen = SurfaceSamples.pack(torch.full((5, 2, 3), 0.25), torch.ones(5))
    empty = SurfaceSamples.pack(torch.full((50, 2, 3), 0.75), torch.full((50,), 0.4))
    assert random_points([seen, empty], 7).shape == (7, 3)
    assert_close(random_points([seen, empty], 100), torch.full((10, 3), 0.25), 1e-4)


def test_density_clusters_are_as_large_as_asked() -> None:
    torch.manual_seed(0)
    features = torch.cat([torch.randn(200, 2), torch.randn(200, 2) + 20, torch.randn(20, 2) + 40])
    assert len(density_clusters(features, 0.04).clamp(min=0).unique()) == 3
    assert density_clusters(features, 0.2).max() == 1


def test_features_are_stretched_to_the_unit_cube_without_what_lies_far_off() -> None:
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    points = torch.cat([points, torch.full((1, 3), 50.0)])
    scaled = Rescaled(torch.nn.Linear(3, 3).requires_grad_(False), points)
    near = scaled(points[:-1])
    assert_close(near.amin(0), torch.zeros(3))
    assert_close(near.amax(0), torch.ones(3))
    assert float(scaled(points[-1:]).abs().max()) > 5


def test_nothing_but_noise_is_one_cluster() -> None:
    labels = NearestCentroid.of_clusters(
        torch.nn.Identity(), torch.rand(9, 3), lambda features: torch.full((len(features),), -1)
    )
    assert labels.slots == 1 and labels(torch.rand(4, 3)).tolist() == [[1.0]] * 4


def test_centroids_are_means_of_clusters_without_noise() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.2, 0, 0], [1.0, 1, 1], [0.5, 0.5, 0.5]])
    labels = NearestCentroid.of_clusters(torch.nn.Identity(), points, lambda features: torch.tensor([0, 0, 1, -1]))
    assert_close(labels.centroids, torch.tensor([[0.1, 0, 0], [1, 1, 1]]))
    assert labels(torch.tensor([[0.3, 0, 0], [0.9, 0.9, 0.9]])).tolist() == [[1, 0], [0, 1]]


# ---------------------------------------------------------------- Distilled Feature Fields


def test_distilled_features_tell_blobs_apart(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dff, "SHORT_SIDE", 14 * SIDE)
    save_weights(tmp_path / "vit.pth", side=56)
    ((count, labels),) = dff.sweep(world, 120, seed=0, weights=tmp_path / "vit.pth", counts=[3], model=SMALL_VIT)
    assert labels.slots == count == 3 and world.iou(labels) > 0.9


def test_backbone_has_the_weights_of_the_file(tmp_path: Path) -> None:
    vit, image = save_weights(tmp_path / "vit.pth", side=56), torch.rand(1, 3, 56, 56)
    loaded = dff.load_backbone(tmp_path / "vit.pth", (56, 56), SMALL_VIT)
    assert_close(loaded.forward_features(image), vit.forward_features(image), 1e-3)
    wide = dff.load_backbone(tmp_path / "vit.pth", (28, 84), SMALL_VIT)
    assert wide.patch_embed.grid_size == (2, 6)
    assert_close(wide.pos_embed[:, 0], vit.pos_embed[:, 0])


def test_a_patch_is_found_where_it_is_in_the_image(tmp_path: Path) -> None:
    save_weights(tmp_path / "vit.pth", side=56)
    vit = dff.load_backbone(tmp_path / "vit.pth", (28, 84), SMALL_VIT)
    image = torch.zeros(28, 84, 3)
    image[14:, 70:] = 1.0
    change = (dff.patch_features(vit, image) - dff.patch_features(vit, image * 0)).norm(dim=0)
    assert change.shape == (2, 6) and change.argmax() == 11


def test_principal_components_of_a_line_are_one() -> None:
    axis, places = torch.tensor([3.0, 4.0, 0.0]), torch.randn(5, 7)
    (found,) = dff.principal_components([axis[:, None, None] * places + 2], 2)
    standard = (places - places.mean()) / places.std()
    assert min(float((found[0] - sign * standard).abs().max()) for sign in (1, -1)) < 1e-4
    assert float(found[1].abs().max()) < 1e-3


@pytest.mark.parametrize(("height", "width"), [(100, 200), (480, 270)])
def test_input_is_whole_patches(height: int, width: int) -> None:
    size = dff.input_size(height, width, 14)
    assert min(size) == dff.SHORT_SIDE and all(side % 14 == 0 for side in size)
    assert size[0] / size[1] == pytest.approx(height / width, rel=0.03)


def test_missing_weights_are_asked_for(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights at None; give the path of DINOv2's dinov2_vits14_pretrain.pth"):
        dff.train(world, 1, seed=0)
    with pytest.raises(UserError, match=r"no weights at .*absent.pth"):
        dff.train(world, 1, seed=0, weights=tmp_path / "absent.pth")


@pytest.mark.parametrize("content", ["text", "nothing", "tensor", "other size"])
def test_other_weights_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.pth"
    if content == "other size":
        save_weights(path, side=56, depth=2)
    elif content == "tensor":
        torch.save(torch.zeros(3), path)
    else:
        path.write_text("hello" if content == "text" else "")
    with pytest.raises(UserError, match="other.pth does not hold"):
        dff.load_backbone(path, (56, 56), SMALL_VIT)

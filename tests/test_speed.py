"""The benchmarks of speed: figures worked by hand, every command at a tiny size, and the pages made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import assert_close
from tiny_run import Run

from benchmarks import ceilings, naive, object_stage, performance, scaling
from benchmarks.ceilings import Ceilings
from benchmarks.clock import MemoryPeak
from benchmarks.object_stage import ObjectStage, Part
from benchmarks.synthetic import Size, Synthetic
from benchmarks.table import BEGIN, END
from disconerf_ns.field import ObjectFieldConfig
from disconerf_ns.masks.masked_view import pack, unpack
from disconerf_ns.training import objective
from disconerf_ns.training.batch import stacked

TINY = Size(4, 6, 8, 3, 5, 2, 3, ObjectFieldConfig(levels=3, coarsest=4, finest=16, log2_table=9), 144)


def test_masks_are_packed_and_unpacked() -> None:
    masks = torch.rand(2, 3, 21) < 0.5
    assert pack(masks).shape == (2, 3, 3)
    assert torch.equal(unpack(pack(masks), 21).bool(), masks)
    assert pack(torch.tensor([[True, False, False, False, False, False, False, False, True]])).tolist() == [[128, 128]]


def test_tensors_of_different_sizes_are_filled_up_with_zeros() -> None:
    assert stacked([torch.ones(2, 1), torch.ones(1, 3)]).tolist() == [
        [[1, 0, 0], [1, 0, 0]],
        [[1, 1, 1], [0, 0, 0]],
    ]
    assert stacked([torch.ones(2), torch.zeros(2)]).tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(("by_scene", "rays"), [(True, 144), (True, 0), (False, 144)])
def test_the_synthesised_scene_has_exact_masks_and_is_learned(by_scene: bool, rays: int) -> None:
    torch.manual_seed(0)
    scene = Synthetic(replace(TINY, slots=4, rays_per_batch=rays), by_scene)
    batch = scene.next_batch()
    assert batch.masks.shape == ((4, 36, 3) if by_scene and rays else (3, 48, 3)) and bool(batch.real.all())
    assert batch.masks.sum(1).min() > 0
    positions = batch.surface.positions.flatten(0, 1)
    assert len(positions[batch.choose(100)]) == 100 and positions.min() > 0 and positions.max() < 1
    optimizer = torch.optim.Adam(scene.model.object_field.parameters(), lr=0.03)
    said = []
    for _ in range(40):
        outputs = scene.model(scene.next_batch())
        loss = sum(scene.model.get_loss_dict(outputs, {}).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        said.append(float(loss.detach()))
    assert (outputs.disagreement is not None) == by_scene
    assert sum(said[-5:]) < 0.5 * sum(said[:5])


def test_the_papers_formulas_are_the_products() -> None:
    """Affinity and losses of the yardstick equal those of the product's objective."""
    torch.manual_seed(1)
    slots, masks = torch.rand(30, 5).softmax(-1), (torch.rand(30, 3) < 0.4).float()
    alpha = objective.affinity(slots[None], masks[None])
    assert_close(naive.affinity(slots, masks), alpha[0])
    targets = objective.PendingMatching(alpha, torch.ones(1, 3, dtype=torch.bool)).result([3])
    found = objective.mask_losses(slots[None], masks[None], targets, torch.tensor([3]), torch.tensor([30]))
    for value, twin in zip(found, naive.losses(slots, masks, targets.sets[0].argmax(1))):
        assert_close(value, twin)


def test_a_floor_by_hand() -> None:
    best = Ceilings(copy_gb_s=100, gathered_g_s=2, scattered_g_s=1, gflop_s=1000)
    assert Part(print, moved=5e9).floor(best) == pytest.approx(0.05)
    assert Part(print, moved=5e9, gathered=4e9, scattered=1e9).floor(best) == pytest.approx(3)
    assert Part(print, moved=5e9, flop=7e11).floor(best) == pytest.approx(0.7)


def test_exponents_of_known_growth() -> None:
    factors = [1, 2, 4, 8]
    assert scaling.exponent([3.0] * 4, factors) == pytest.approx(0)
    assert scaling.exponent([5 * f**1.5 for f in factors], factors) == pytest.approx(1.5)
    rows = [{"axis": "views", "factor": f, "ms": 2.0 * f, "mib": 7.0} for f in factors]
    assert scaling.exponents(rows)["views"] == pytest.approx({"ms": 1, "mib": 0})


def test_only_one_number_grows() -> None:
    assert scaling.grown(TINY, "slots", 4) == replace(TINY, slots=20)
    assert scaling.grown(TINY, "pixels", 2) == replace(TINY, height=12)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_the_peak_of_memory_is_seen_after_it_was_freed() -> None:
    with MemoryPeak() as memory:
        if torch.cuda.is_available():
            torch.ones(2**24, device="cuda")
        else:
            torch.ones(2**24).sum()
    assert 60 < memory.mib < 90


def test_ceilings_are_rates() -> None:
    best = ceilings.measure(2**12, 1)
    assert min(best.copy_gb_s, best.gathered_g_s, best.scattered_g_s, best.gflop_s) > 0


@pytest.mark.parametrize("matching", ["scene", "view"])
def test_the_reference_command_scaled_down(matching: str, tmp_path: Path) -> None:
    trial = ObjectStage(
        reference=True, size=TINY, matching=matching, timed=2, repeats=1, cache_rays=64, output=tmp_path / "stage.json"
    )
    object_stage.main(trial)
    object_stage.main(trial)
    (facts,) = json.loads(trial.output.read_text())
    names = [row["part"] for row in facts["rows"]]
    assert names[:5] == ["views, masks", "encode", "MLP", "composite", "losses"]
    assert ("affinity, Hungarian" in names) == (matching == "view")
    assert all(row["ms"] > 0 and row["floor_ms"] > 0 for row in facts["rows"])
    assert facts["batch"] == {"rays": 144, "points": 288, "masks": 3} and facts["rays"] == 192
    whole = facts["iteration"]
    assert whole["samples_per_second"] == pytest.approx(288 / whole["ms"] * 1e3)
    assert facts["stage"]["iterations"] == pytest.approx(2000 * facts["mean_ms"] / 1e3)
    assert whole["ms"] == pytest.approx(sum(row["ms"] for row in facts["rows"]) + whole["rest_ms"])


def test_without_a_run_it_is_one_sentence() -> None:
    with pytest.raises(SystemExit, match="needs --run with a config.yml, or --reference"):
        object_stage.main(ObjectStage())


def test_scaling_scaled_down_and_the_page(tmp_path: Path) -> None:
    trial = scaling.Scaling(
        doublings=1,
        axes=("views", "points"),
        repeats=1,
        start=replace(TINY, views=12),
        output=tmp_path / "scaling.json",
    )
    scaling.main(trial)
    facts = json.loads(trial.output.read_text())
    assert [(row["axis"], row["value"]) for row in facts["rows"]] == [
        ("views", 12),
        ("views", 24),
        ("points", 2),
        ("points", 4),
    ]
    assert set(facts["exponents"]["views"]) == {"ms", "mib", "consensus_s"}
    assert facts["rows"][1]["kept_mib"] == pytest.approx(2 * facts["rows"][0]["kept_mib"])

    lap = {"seconds": 20.0, "cpu_seconds": 10.0}
    scores = {"objects": 13, "views": {"IoU": 0.9, "SBD": 0.8}, "scene": {"IoU": 0.7}}
    paper = {"seconds": 600.0, "cpu_seconds": 300.0, "timed": 5}
    facts = {"machine": "m", "versions": {"torch": "2"}, "scene": "table", "iterations": 400, "seed": 0, "naive": paper}
    facts |= {"product": lap | {"parts": {"surface": lap}}, "ratio": {"seconds": 30.0, "cpu_seconds": 30.0}}
    facts |= {"scores": {"naive": None, "product": scores}}
    (tmp_path / "naive.json").write_text(json.dumps([facts]))
    (tmp_path / "page.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    performance.main(performance.Performance(tmp_path, tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n") and page.endswith("after\n") and "old" not in page
    assert "| **object stage** | 10.0 s | 20.0 s | 90.0 | 80.0 | 70.0 | 13 |" in page
    assert "| the paper's way (from 5 iterations) | 300 s | 600 s |  |  |  |  |" in page
    assert "| ratio | **30.0** | 30.0 |" in page
    assert "| points | 2 | 4 |" in page
    assert (tmp_path / "scaling.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_papers_way_and_the_product_are_timed_and_scored(run: Run, scene: Path, tmp_path: Path, capsys) -> None:
    trial = naive.Naive(run.config, scene, iterations=6, to_the_end=True, downscale=4, output=tmp_path / "naive.json")
    naive.main(trial)
    (facts,) = json.loads(trial.output.read_text())
    assert facts["ratio"]["cpu_seconds"] == pytest.approx(
        facts["naive"]["cpu_seconds"] / facts["product"]["cpu_seconds"]
    )
    parts = facts["product"]["parts"]
    assert set(parts) == {"surface", "consensus", "iterations"}
    assert facts["product"]["seconds"] == pytest.approx(sum(lap["seconds"] for lap in parts.values()))
    assert {"objects", "views", "scene", "masks"} <= set(facts["scores"]["naive"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("ratio ")

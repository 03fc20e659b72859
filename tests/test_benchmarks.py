"""The benchmarks' harness: every kind of method on a tiny run, and the pages that are made of the figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from scene import camera_pose
from tiny_run import Run
from torch import Tensor

from benchmarks import (
    borders,
    continued,
    draws,
    exact,
    files,
    geometry,
    object_rays,
    performance,
    pictures,
    quality,
    rates,
    rendering,
    report,
    stacks,
    steadiness,
    surface,
    table,
    viewer,
)
from benchmarks.baselines import contrastive, panoptic_lifting
from benchmarks.edges import on_edges
from benchmarks.scoring import METRICS, Truth, outside
from benchmarks.variants import VARIANTS, VIEW_RATE, Variant, _matching, _widened
from disconerf_ns.config import DiscoNerfPipelineConfig
from disconerf_ns.discovery.consensus import Evidence, linkage
from disconerf_ns.discovery.explanation import Explanation
from disconerf_ns.evaluation.predictions import predict_labels
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.label_image import read_label_image
from disconerf_ns.scene.similarity import Similarity
from disconerf_ns.training import objective
from disconerf_ns.training.objective import PendingMatching


def row(
    method: str, seed: int, iou: float, masks: str = "middle", surface: str = "learned", scene: str = "room"
) -> dict:
    views = {"IoU": iou, "BD (truth)": iou, "SBD": iou}
    masks_alone = {"IoU": 0.5, "BD": 0.4, "BD (truth)": 0.6, "SBD": 0.7}
    scores = {"masks": masks_alone, "views": views, "scene": views | ({"BD": iou / 2} if seed == 0 else {})}
    about = {"scene": scene, "surface": surface, "masks": masks, "method": method, "seed": seed}
    return about | {"objects": 4, "seconds": 1.0, "scores": scores}


def sized(method: str, iou: float, seed: int = 0) -> dict:
    """A row that knows parts."""
    at = {name: {"scene": {"IoU": iou + more, "SBD": iou - more}} for name, more in KINDS.items()}
    figures = {"best": {"granularity": 0.6, "objects": 5, **at["best"]}, "parts": at["parts"]}
    figures["best parts"] = {"granularity": 0.9, "objects": 9, **at["best parts"]}
    return row(method, seed, iou, "mixed") | figures | {"outside": 0.025, "islands": 3}


KINDS = {"best": 0.01, "parts": 0.02, "best parts": 0.03}


def test_a_table_of_sizes_has_both_cuts_for_instances_and_parts() -> None:
    assert report.sizes([row("scene", 0, 0.9)]) == []
    lines = report.sizes([sized("scene", 0.8), sized("view", 0.6), row("scene", 0, 0.9)])
    assert lines[0].endswith(
        "| parts IoU | parts SBD | best cut parts IoU | best cut parts SBD | outside | islands | objects |"
    )
    figures = "80.0 | 80.0 | 81.0 | 79.0 | 82.0 | 78.0 | 83.0 | 77.0 | 2.5 | 3 | 4, 5, 9 |"
    assert lines[2] == f"| **as shipped** (matching by scene) | {figures}"
    assert len(lines) == 4 and lines[3].startswith(
        "| matching by view (the paper's), twice the most masks as slots | 60.0"
    )


def test_the_table_of_rates_marks_the_chosen_ones() -> None:
    rows = [tried("view", 0.03, 0.5), tried("view", 0.15, 0.7), tried("contrastive", 0.03, 0.6)]
    lines = report.rates({"rows": rows[:2], "winners": {"view": 0.15}})
    assert lines[0] == "| scene IoU / SBD by learning rate | 0.03 | 0.15 |"
    assert lines[2].endswith("| 50.0 / 50.0 | **70.0 / 70.0** |")
    assert rates.winners(rows) == {"view": 0.15, "contrastive": 0.03}


def tried(method: str, rate: float, iou: float, seed: int = 0) -> dict:
    return {"method": method, "rate": rate, "seed": seed, "scores": {"scene": {"IoU": iou, "SBD": iou}}}


def test_a_rate_wins_by_its_mean_over_seeds() -> None:
    rows = [
        tried("view", 0.03, 0.9),
        tried("view", 0.03, 0.5, 1),
        tried("view", 0.15, 0.8),
        tried("view", 0.15, 0.8, 1),
    ]
    assert rates.winners(rows) == {"view": 0.15}


def test_the_rates_of_the_methods_are_those_that_won() -> None:
    content = json.loads((Path(report.__file__).parent / "results" / "rates.json").read_text())
    assert content["winners"] == rates.winners(content["rows"])
    used = {
        "view": VIEW_RATE,
        "panoptic lifting": panoptic_lifting.RATE,
        "contrastive": contrastive.OURS.rate,
        "contrastive, authors' settings": contrastive.AUTHORS.rate,
    }
    assert content["winners"] == {method: used[method] for method in content["winners"]}
    assert {row["scene"] for row in content["rows"]} == {"rehearsal"}


def test_files_counts_objects_and_names_the_worst(tmp_path: Path) -> None:
    def thing(name: str, field: float, completed: float, hidden: float) -> dict:
        return {"object": name, "found": name, "amodal IoU": field, "completed": completed, "hidden": hidden}

    rows = [thing("mug", 0.8, 0.95, 0.1), thing("book", 0.5, 0.85, 0.7), thing("ball", 0.91, 0.9, 0.0)]
    rows.append({"object": "mean", "amodal IoU": 0.7367, "completed": 0.9, "hidden": 0.2667})
    (tmp_path / "alone_room.json").write_text(json.dumps({"commit": "abc1234", "rows": rows}))
    (tmp_path / "page.md").write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    files.Files(tmp_path, tmp_path / "page.md")()
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n") and page.endswith("after\n") and "old" not in page
    assert "| room | 3 | 73.7 | 1 | 90.0 | 2 | 92.5 (2) | book 85, ball 90, mug 95 | abc1234 |\n" in page
    assert page.count("| room |") == 1, "what was not measured has no row"


def test_report_replaces_the_tables_and_nothing_else(tmp_path: Path) -> None:
    rows = [row("scene", 0, 0.9), row("scene", 1, 0.8), row("view", 0, 0.7), row("view, usual start", 0, 0.6)]
    rows.append(row("scene", 0, 0.99, surface="true"))
    earlier = tmp_path / report.EARLIER
    earlier.mkdir()
    (tmp_path / "quality_room.json").write_text(json.dumps({"rows": rows[:3]}))
    (earlier / "quality_room.json").write_text(json.dumps({"rows": rows[:4]}))
    (tmp_path / "ablations_room.json").write_text(json.dumps({"rows": [row("scene, no vicinity", 0, 0.65)]}))
    (tmp_path / "truths_room.json").write_text(json.dumps({"rows": rows[4:]}))
    (tmp_path / "longer_room.json").write_text(json.dumps({"rows": [row("scene", 0, 0.93, "mild")]}))
    drawn = [
        {"masks": "mild", "draw": draw, "order": order, "doubt": doubt, "iou": iou}
        for draw, order, doubt, iou in [
            (0, "similar first", 0.0, 0.7),
            (1, "similar first", 0.0, 0.6),
            (0, "similar first", 3.0, 0.8),
            (0, "as shipped", None, 0.9),
        ]
    ]
    (tmp_path / "draws_room.json").write_text(json.dumps({"scene": "room", "rows": drawn}))
    (tmp_path / "page.md").write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    report.main(report.Report(tmp_path, tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before\n") and page.endswith("after\n") and "old" not in page
    assert "| | IoU | BD | BD (truth) | SBD | scene IoU | scene BD | scene BD (truth) | scene SBD | objects |" in page
    assert "| 2D masks alone | 50.0 | 40.0 | 60.0 | 70.0 |   |   |   |   |   |   |\n" in page
    both = "85.0 (80.0 to 90.0)"
    shipped = f"| {both} |   | {both} | {both} | {both} |   | {both} | {both} | 4/4 | 2 |"
    assert f"| **as shipped** (matching by scene) {shipped}\n" in page
    of_one_seed = "| 70.0 |   | 70.0 | 70.0 | 70.0 | 35.0 | 70.0 | 70.0 | 4 | 1 |"
    assert f"| matching by view (the paper's), twice the most masks as slots {of_one_seed}\n" in page
    assert "| view, usual start | 60.0 | 60.0 | 60.0 | 4 |" in page
    swapped = "| room, middle: **as shipped** (matching by scene) | 90.0 | 90.0 | 90.0 | 4 | 99.0 | 99.0 | 99.0 | 4 |"
    assert swapped in page
    assert "| room | 90.0 |   | 99.0 |   |" in page
    assert "| scene, no vicinity | 65.0 | 65.0 | 65.0 | 4 |" in page
    assert "| mild: **as shipped** (matching by scene) | 93.0 | 93.0 | 93.0 | 4 |" in page
    assert "| | similar first, without doubt | similar first, with doubt | as shipped |" in page
    assert "| room, mild | 65.0 (60.0 to 70.0) | 80.0 | 90.0 |" in page
    assert (tmp_path / "quality.png").stat().st_size > 5000


def test_reliability_by_hand() -> None:
    """Four pixels at 0.95 of which three are right, four at 0.25 of which one is, and one that does not count."""
    truth = np.array([[1, 1, 1, 1, 1, 1, 1, 1, 0]])
    found = np.array([[1, 1, 1, 2, 1, 2, 2, 2, 2]])
    sure = np.array([[0.95] * 4 + [0.25] * 5])
    view = pictures.Look(np.zeros((1, 9, 3)), truth, truth, found, sure, 0.5)
    error, bins = pictures.reliability([view])
    assert [b["pixels"] for b in bins] == [4, 4] and [b["correct"] for b in bins] == [0.25, 0.75]
    assert error == pytest.approx((4 * 0.0 + 4 * 0.2) / 8)


def test_without_matching_a_slot_may_serve_two_masks() -> None:
    alpha = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
    assert objective.assign(alpha).tolist() == [0, 1]
    with _matching(Variant(one_to_one=False)):
        assert objective.assign(alpha).tolist() == [0, 0]
        assert objective.assign(alpha[:0]).tolist() == []
    assert objective.assign(alpha).tolist() == [0, 1]


def test_masks_that_are_left_over_have_no_loss() -> None:
    """One slot, two masks: the one that looks more like it is matched, the other one counts in no loss."""
    alpha, real = torch.tensor([[[0.2], [0.6]]]), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="2 masks cannot be matched"):
        PendingMatching(alpha, real).result([2])
    with _matching(Variant(matching="view")):
        targets = PendingMatching(alpha, real).result([2])
    assert targets.sets.tolist() == [[[0.0], [1.0]]] and targets.counted.tolist() == [[False, True]]
    with _matching(Variant(matching="view")):
        both = PendingMatching(torch.tensor([[[0.2, 0.1], [0.6, 0.5]]]), real).result([2])
    assert both.counted.all() and both.sets[0].argmax(-1).tolist() == [1, 0]


def test_spare_slots_explain_no_mask() -> None:
    wide = _widened(Explanation(torch.tensor([[1.0, 0], [0, 1]]), torch.ones(2)), 4)
    assert wide.sets.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]] and wide.affinity.tolist() == [1, 1]


def test_every_method_has_the_same_smallest_object() -> None:
    assert DiscoNerfPipelineConfig().object_min_share == quality.SMALLEST
    assert VARIANTS["scene"].slots is None and VARIANTS["scene, spare slots"].slots == VARIANTS["view"].slots == 2
    assert VARIANTS["view, agreed slots"].slots is None


def test_matching_by_area_prefers_the_large_mask() -> None:
    """One slot covers a small mask well and a large one half; by area the large one gets it."""
    slots, masks = torch.zeros(100, 2), torch.zeros(100, 2)
    slots[:55, 0] = 1
    masks[:45, 0] = masks[:, 1] = 1
    assert objective.assign(objective.affinity(slots[None], masks[None])[0]).tolist() == [0, 1]
    with _matching(Variant(by_area=True)):
        assert objective.assign(objective.affinity(slots[None], masks[None])[0]).tolist() == [1, 0]


@pytest.fixture
def data(scene: Path, tmp_path: Path) -> Path:
    """The tiny scene with its masks as a named set."""
    copy = tmp_path / "balls"
    shutil.copytree(scene, copy)
    inner = next((copy / "masks").iterdir())
    if inner.is_dir():
        inner.rename(copy / "masks" / "middle")
    else:
        (copy / "masks").rename(copy / "set")
        (copy / "masks").mkdir()
        (copy / "set").rename(copy / "masks" / "middle")
    return copy


def test_the_true_surface_is_what_the_label_maps_show() -> None:
    """A point of the example's table that two cameras see is of the same object in both label maps."""
    pytest.importorskip("mitsuba")
    pytest.importorskip("pyoidn")
    from benchmarks.exact import TrueScene

    root = Path(__file__).parents[1] / "examples" / "table"
    parsed = NerfstudioDataParserConfig(data=root, downscale_factor=1).setup().get_dataparser_outputs("train")
    scene = TrueScene("table", SimpleNamespace(datamanager=SimpleNamespace(train_dataparser_outputs=parsed)))
    one, other = parsed.cameras[3], parsed.cameras[4]
    labels = [read_label_image(root / "labels" / f"{parsed.image_filenames[i].stem}.png") for i in (3, 4)]
    points, met = scene.meet(one.generate_rays(0).flatten()[::7])
    assert met.all()
    pose, focal = other.camera_to_worlds, float(other.fx)
    seen = (points - pose[:, 3]) @ pose[:, :3]
    column = (float(other.cx) - focal * seen[:, 0] / seen[:, 2]).long()
    row = (float(other.cy) + focal * seen[:, 1] / seen[:, 2]).long()
    inside = (column >= 0) & (column < 256) & (row >= 0) & (row < 192)
    directions = torch.nn.functional.normalize(points - pose[:, 3], dim=-1)
    rays = RayBundle(pose[:, 3].expand_as(points), directions, torch.ones(len(points), 1))
    visible = inside & ((scene.meet(rays)[0] - points).norm(dim=-1) < 1e-3)
    assert visible.float().mean() > 0.3
    here = torch.from_numpy(labels[0].astype(np.int64)).flatten()[::7][visible]
    there = torch.from_numpy(labels[1].astype(np.int64))[row[visible], column[visible]]
    assert (here == there).float().mean() > 0.98


@pytest.mark.slow
def test_every_method_is_scored_once(run: Run, data: Path, tmp_path: Path) -> None:
    some = ("scene", "scene, spare slots", "view, agreed slots", "view, best slot per mask", "scene, 1 point per ray")
    methods = (*some, *quality.BASELINES)
    trial = quality.Quality(run.config, data, ("middle",), methods, (0,), "learned", 30, 1, tmp_path / "quality.json")
    quality.main(trial)
    first = json.loads(trial.output.read_text())["rows"]
    assert [r["method"] for r in first] == list(methods)
    assert {r["method"]: r["scores"]["scene"]["IoU"] for r in first}["true labels"] > 0.8
    assert all(part.keys() == METRICS.keys() for r in first for part in r["scores"].values())
    assert all(r["best"]["scene"]["IoU"] >= r["scores"]["scene"]["IoU"] and r["outside"] == 0 for r in first)
    slots = {r["method"]: r["slots"] for r in first}
    assert slots["scene"] == slots["view, agreed slots"] == slots["panoptic lifting, agreed slots"]
    assert slots["scene, spare slots"] == slots["view, best slot per mask"] == slots["panoptic lifting"] == 8
    quality.main(trial)
    assert json.loads(trial.output.read_text())["rows"] == first
    assert set(VARIANTS) >= set(some)


@pytest.mark.slow
def test_rays_and_whole_views_are_scored_once_each(run: Run, data: Path, tmp_path: Path) -> None:
    trial = object_rays.ObjectRays(
        run.config, data, ("middle",), (0, 140), (0, 1), iterations=30, output=tmp_path / "rays.json"
    )
    object_rays.main(trial)
    rows = json.loads(trial.output.read_text())["rows"]
    assert [(row["rays"], row["seed"]) for row in rows] == [(0, 0), (0, 1), (140, 0), (140, 1)]
    assert all(row["ms"] > 0 and row["scores"]["scene"]["IoU"] > 0.5 for row in rows)
    object_rays.main(trial)
    assert json.loads(trial.output.read_text())["rows"] == rows


def test_means_over_seeds_by_rays() -> None:
    def row(rays: int, seed: int, iou: float, ms: float) -> dict:
        scores = {"views": {"IoU": iou, "SBD": 0.5}, "scene": {"IoU": 0.25}}
        return {"scene": "room", "masks": "heavy", "rays": rays, "seed": seed, "ms": ms, "scores": scores}

    lines = object_rays.table([row(64, 0, 0.9, 10), row(0, 0, 0.7, 40), row(64, 1, 0.8, 20)])
    assert lines[2:] == [
        "| room, heavy | whole views | 70.0 | 50.0 | 25.0 | 40.0 |",
        "| room, heavy | 64 | 85.0 (80.0 to 90.0) | 50.0 (50.0 to 50.0) | 25.0 (25.0 to 25.0) | 15.0 |",
    ]


@pytest.mark.slow
def test_pictures_show_views_and_confidence(run: Run, data: Path, tmp_path: Path) -> None:
    pictures.main(pictures.Pictures(run.config, data, "middle", 60, 1, 1, tmp_path, tmp_path))
    found = json.loads((tmp_path / "confidence_balls.json").read_text())
    assert 0 <= found["calibration_error"] < 0.5
    assert sum(b["pixels"] for b in found["bins"]) > 1000
    assert (tmp_path / "balls.png").stat().st_size > 5000


def test_a_border_moves_to_the_edge_beside_it_and_no_further() -> None:
    photograph = np.zeros((64, 256, 3), np.uint8)
    photograph[:, 100:] = 200
    true = np.zeros((64, 256), bool)
    true[:, 100:] = True
    near, far = np.roll(true, 1, 1), np.roll(true, 9, 1)
    near[:, :1], far[:, :9] = False, False
    moved = on_edges(ImageMasks.from_arrays(np.stack([near, far])), photograph).decode()
    assert (moved[0] == true).all()
    assert (moved[1] != true).sum() >= 64 * 6, "an edge out of reach is none"
    whole = np.ones((1, 64, 256), bool)
    assert on_edges(ImageMasks.from_arrays(whole), photograph).decode().all()
    assert len(on_edges(ImageMasks.from_arrays(whole[:0]), photograph)) == 0


def test_pairs_that_many_views_see_merge_first() -> None:
    """Ten views say that cells 0 and 1 are alike and 1 and 2 are not; two views are surer that 0 and 2 are."""
    views = torch.tensor([[0.0, 10.0, 2.0], [10.0, 0.0, 10.0], [2.0, 10.0, 0.0]])
    evidence = Evidence(views * torch.tensor([[0.0, 0.6, 0.9], [0.6, 0.0, 0.0], [0.9, 0.0, 0.0]]), views)
    similar, observed = linkage(evidence, 0.0), draws.observed_first(evidence, 0.0)
    assert similar[0] == similar[2] != similar[1]
    assert observed[0] == observed[1] != observed[2]


@pytest.mark.slow
def test_objects_are_found_on_several_sets_of_draws(run: Run, data: Path, tmp_path: Path) -> None:
    ways = ("as shipped", "without a majority")
    steadiness.main(steadiness.Steadiness(run.config, data, ("middle",), ways, 2, tmp_path))
    rows = json.loads((tmp_path / "steadiness_balls.json").read_text())["rows"]
    assert [(row["way"], row["repetition"]) for row in rows] == [(way, number) for way in ways for number in (0, 1)]
    assert all(row["objects"] >= 3 and row["IoU"] > 0.8 for row in rows)


@pytest.mark.slow
def test_every_draw_is_grouped_with_and_without_doubt(run: Run, data: Path, tmp_path: Path) -> None:
    draws.main(draws.Draws(run.config, data, ("middle",), 2, tmp_path))
    rows = json.loads((tmp_path / "draws_balls.json").read_text())["rows"]
    assert [(r["draw"], r["doubt"]) for r in rows if r["order"] == "similar first"] == [
        (0, 0.0),
        (1, 0.0),
        (0, 3.0),
        (1, 3.0),
    ]
    largest, shipped = (next(r for r in rows if r["order"] == order) for order in ("largest agreement", "as shipped"))
    assert (
        shipped["agreement"]
        >= largest["agreement"]
        == max(r["agreement"] for r in rows if r["order"] == "similar first")
    )
    assert all(r["iou"] > 0.5 and r["agreement"] > 0.5 for r in rows)


@pytest.mark.slow
def test_similarities_at_true_borders_are_below_those_that_join(run: Run, data: Path, tmp_path: Path) -> None:
    continued.main(continued.Borders(run.config, data, ("middle",), tmp_path))
    facts = json.loads((tmp_path / f"continued_{data.name}.json").read_text())
    (row,) = facts["rows"]
    assert row["borders"] > 0 and row["unions joined"] == 0 and 0 <= row["largest, true"] < facts["joined from"]


@pytest.mark.slow
def test_every_way_to_draw_borders_is_scored(run: Run, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "borders.json"
    borders.main(borders.Borders(run.config, data, ("middle",), iterations=8, output=output))
    rows = json.loads(output.read_text())["rows"]
    assert [row["way"] for row in rows if row["what"] == "field"] == list(borders.WAYS)
    assert all(0 < row["IoU"] <= 1 and 0 <= row["at borders"] <= 1 for row in rows)


def test_pixels_are_wrong_inside_and_outside_of_borders() -> None:
    """A true object of 4 columns beside nobody's 6, predicted one column too wide and with a hole of one pixel."""
    true = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2, 2, 2]], 5, 0)
    predicted = np.repeat([[7, 7, 7, 7, 7, 0, 0, 0, 0, 0]], 5, 0)
    predicted[2, 0] = 0
    truth = Truth([true], frozenset({2}))
    assert borders.missing([predicted], truth) == pytest.approx(1 / 20)
    assert outside([predicted], truth) == pytest.approx(5 / 24)
    assert borders.wrong([predicted], truth) == pytest.approx({"wrong": 6 / 50, "at borders": 5 / 6})


@pytest.mark.slow
def test_changes_in_the_viewer_are_waited_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "QUIET", 1.0)
    viewer.main(viewer.Waiting(run.config, threads=1, objects=1, output=tmp_path / "viewer.json"))
    facts = json.loads((tmp_path / "viewer.json").read_text())
    assert facts["seconds"].keys() == {"new camera", "select", "hide", "undo", "only", "recolour"}
    assert all(0 < row["first"]["median"] <= row["sharp"]["worst"] for row in facts["seconds"].values())
    page = "\n".join(performance.viewer(facts))
    assert all(f"| {name} |" in page for name in facts["seconds"])


def test_the_page_says_what_start_up_costs() -> None:
    facts = {"machine": "m", "versions": {"torch": "2"}, "turns": 3, "list_and_help_ms": 20.0}
    facts |= {"added_ms": {"median": 15.6, "least": 12.0, "most": 20.0}, "modules": {"without": 4000, "added": 12}}
    facts |= {"looking_through_modules_ms": {"without": 4000.0, "added": 12.0}}
    page = performance.startup(facts)
    assert "| list of methods and help, after torch is imported | 20 | 16 (12 to 20) |" in page
    assert "| nerfstudio's search of all modules | 4,000 | 12, by share |" in page
    assert "| modules | 4,000 | 12 |" in page


@pytest.mark.slow
def test_pictures_are_timed_beside_nerfactos(run: Run, tmp_path: Path) -> None:
    rendering.main(rendering.Rendering(run.config, size=16, turns=1, objects=2, output=tmp_path / "rendering.json"))
    rows = json.loads((tmp_path / "rendering.json").read_text())["rows"]
    assert [r["image"] for r in rows] == ["nerfacto rgb", "rgb", "depth", "objects", "object_00", "object_01"]
    assert rows[0]["ratio"] == 1 and all(r["seconds"] > 0 and 0 < r["covered"] <= 1 for r in rows)


@pytest.mark.slow
def test_the_surface_is_compared_with_all_samples(run: Run, tmp_path: Path) -> None:
    surface.main(
        surface.Surface(run.config, points=(1, 4), views=2, repeats=1, rays=100, output=tmp_path / "surface.json")
    )
    found = json.loads((tmp_path / "surface.json").read_text())
    samples, one, four = found["quadrature"]
    assert samples["from_samples"] == samples["other_slot"] == 0
    assert 0 < four["from_integral"] < one["from_integral"] < 1
    own, half, *others = found["samples"]
    assert (own["precision"], half["precision"]) == ("single", "half") and abs(half["moved"] - own["moved"]) < 0.02
    assert own["distance"] > 0 and own["other_slot"] < 0.5
    assert others[0]["distance"] < own["distance"] and others[0]["lookups"] > own["lookups"]
    assert found["rays"] == found["views"] * 494 and set(found["fetching_ms"]) == {"memory", "file"}


@pytest.mark.slow
def test_a_surface_and_pictures_are_timed_without_a_run(tmp_path: Path) -> None:
    surface.main(surface.Surface(synthetic=True, width=12, at_once=(96,), repeats=1, output=tmp_path / "surface.json"))
    timed = json.loads((tmp_path / "surface.json").read_text())
    assert timed["rays"] == 96 and all(row["us_per_ray"] > 0 for row in timed["sampling"])
    rendering.main(rendering.Rendering(synthetic=True, size=8, objects=1, output=tmp_path / "rendering.json"))
    rows = json.loads((tmp_path / "rendering.json").read_text())["rows"]
    assert [row["image"] for row in rows] == ["nerfacto rgb", "rgb", "depth", "objects", "object_00"]
    assert rows[-1]["covered"] > 0.9, "the first object fills the picture"


def test_what_pytest_says_of_a_stack() -> None:
    assert stacks.outcome("...\n3 passed, 2 warnings in 2.13s\n") == "3 of 3"
    failed = "FAILED tests/test_a.py::test_b[1] - x\nERROR tests/test_a.py::test_c\n1 failed, 3 passed, 1 error in 2.1s"
    assert stacks.outcome(failed) == "3 of 5; not test_b, test_c"
    assert stacks.outcome("Segmentation fault") is None
    assert stacks.reason("WARNING: x\nERROR: No matching distribution found for torch==1\nnotice") == (
        "ERROR: No matching distribution found for torch==1"
    )


def test_a_stack_that_cannot_be_built_is_a_row_that_says_why() -> None:
    built = dict.fromkeys((*stacks.NAMED, *stacks.TESTED), "1") | {"commands": "yes"}
    lines = stacks.table({"old": built, "new": {"python": "3.12", "not built": "ERROR: no torch"}})
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-2].startswith("| old | 1 | 1 |") and "| not built: ERROR: no torch |" in lines[-1]


def test_the_page_has_the_stacks_that_were_tried() -> None:
    root = Path(stacks.__file__).parents[1]
    rows = json.loads((root / stacks.Options().output).read_text())
    page = (root / stacks.Options().page).read_text()
    assert list(rows) == list(stacks.STACKS) and "\n".join(stacks.table(rows)) in page


def test_training_and_labels_see_the_true_surface(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The patched function had moved, so that no row with the true surface could be measured."""
    pipeline = run.trainer.pipeline
    point = torch.tensor([0.1, -0.2, 0.3])

    class OnePoint:
        def __init__(self, layout: str, pipeline: object):
            pass

        def meet(self, rays: RayBundle) -> tuple[Tensor, Tensor]:
            return point.expand(len(rays), 3), torch.ones(len(rays), dtype=torch.bool)

    monkeypatch.setattr(exact, "TrueScene", OnePoint)
    with exact.true_surfaces("table", pipeline):
        sampled = pipeline.object_stage.sample_surface(0)
        labels = predict_labels(pipeline, 0)
    contracted = pipeline.model.current.value.trained.contraction(point)
    assert (sampled.positions - contracted).abs().max() < 1e-4 and sampled.solid.all()
    assert len(np.unique(labels)) == 1


def test_differences_to_the_true_surface_are_fractions_of_its_distance(run: Run) -> None:
    """A surface that is truly twice as far away: what was found d times too far away is now (d + 1) / 2 - 1."""
    pipeline = run.trainer.pipeline

    def apart(distance: float) -> Tensor:
        ends = lambda rays: (rays.origins + distance * rays.directions, torch.arange(len(rays)) % 2 == 0)
        return torch.cat(list(geometry.errors(pipeline, SimpleNamespace(meet=ends))))  # type: ignore[arg-type]

    near, far = apart(1.0), apart(2.0)
    cameras = pipeline.datamanager.eval_dataset.cameras
    rays = sum(-(-int(c.height) // geometry.STRIDE) * -(-int(c.width) // geometry.STRIDE) for c in cameras)
    assert near.shape[1] == geometry.SHARES and abs(len(near) - rays / 2) <= len(cameras)
    assert (near > -1).all() and near.std() > 0
    torch.testing.assert_close(far, (near + 1) / 2 - 1, atol=1e-4, rtol=1e-4)


def test_a_setting_is_changed_to_a_value_of_its_type() -> None:
    config = geometry.config_of("disconerf-small", Path("data"), Path("outputs"))
    geometry.change(config, "model.distortion_loss_mult=0")
    geometry.change(config, "model.num_nerf_samples_per_ray=32")
    geometry.change(config, "model.use_gradient_scaling=False")
    model = config.pipeline.model
    values = model.distortion_loss_mult, model.num_nerf_samples_per_ray, model.use_gradient_scaling
    assert values == (0.0, 32, False) and [type(value) for value in values] == [float, int, bool]


def test_a_camera_of_the_scene_sees_the_same_in_the_capture() -> None:
    pytest.importorskip("mitsuba")
    pytest.importorskip("pyoidn")
    from benchmarks.edits import in_capture

    frame = Similarity(1.5, (0.8, 0.0, 0.6, 0.0), (0.3, -0.2, 0.5))
    pose = torch.from_numpy(camera_pose(0.7, 0.4, 2.0)[:3]).float()
    point = torch.tensor([0.1, -0.2, -1.5])
    seen = pose[:, :3] @ point + pose[:, 3]
    expected = frame.points(seen.double()).numpy()
    found = in_capture(pose, frame) @ np.append(frame.scale * point.numpy(), 1.0)
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)
    assert found[3] == 1

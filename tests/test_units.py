"""Small parts: schedule, whole files, lazy outputs, edits, objects' manifest, LPIPS without a download."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import alike, assert_close
from hypothesis import given
from hypothesis import strategies as st

from disconerf_ns.compat.lpips import weights_path, without_download
from disconerf_ns.discovery.objects import boxes_of, discover, robust_box, without_strays
from disconerf_ns.errors import UserError
from disconerf_ns.files import ABANDONED, sweep, write_new, write_whole
from disconerf_ns.rendering.lazy_outputs import LazyOutputs
from disconerf_ns.scene.arrangement import all_objects, arrange
from disconerf_ns.scene.connected_parts import ConnectedParts
from disconerf_ns.scene.contraction import Contraction
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.edit_table import EditTable
from disconerf_ns.scene.objects import DiscoveredObject, Manifest, find_object, load_manifest, save_manifest
from disconerf_ns.scene.occupancy import Occupancy
from disconerf_ns.scene.tree import ObjectTree
from disconerf_ns.surface.samples import SurfaceSamples
from disconerf_ns.training.schedule import Resumed, Schedule, Stage, plan_stages

flat = ObjectTree.flat

# ---------------------------------------------------------------- schedule


def test_split_by_hand() -> None:
    assert plan_stages(12_000, 2000, radiance_given=False) == Schedule(10_000, 12_000)  # the paper's
    assert plan_stages(1200, 2000, radiance_given=False) == Schedule(800, 1200)
    assert plan_stages(12_000, 2000, radiance_given=True) == Schedule(0, 2000)
    assert plan_stages(1, 2000, radiance_given=False) == Schedule(0, 1)


@given(total=st.integers(1, 30_000), wanted=st.integers(1, 5000), data=st.data())
def test_a_resumed_run_agrees_with_the_whole_one(total: int, wanted: int, data: st.DataObject) -> None:
    whole = plan_stages(total, wanted, radiance_given=False)
    start = data.draw(st.integers(1, total))
    assert plan_stages(total, wanted, False, Resumed(start, whole.object_start)) == whole


def test_a_begun_object_stage_keeps_its_first_step() -> None:
    assert plan_stages(4000, 2000, False, Resumed(step=1000, object_start=900)) == Schedule(900, 4000)
    assert plan_stages(600, 2000, False, Resumed(step=500, object_start=900)) == Schedule(500, 600)


def test_objects_are_looked_for_at_every_tenth_of_their_stage() -> None:
    schedule = Schedule(100, 140)
    assert [step for step in range(140) if schedule.completes_tenth(step)] == list(range(103, 140, 4))


@given(step=st.integers(0, 1199))
def test_rates(step: int) -> None:
    schedule = Schedule(900, 1200)
    assert (schedule.stage(step) is Stage.RADIANCE) == (step < 900)
    assert 0 < schedule.object_decay(max(step, 900), warmup=20, final=0.005) <= 1
    assert 0.1 <= schedule.radiance_decay(step, 0.1) <= 1
    assert schedule.radiance_decay(0, 0.1) == 1 and schedule.radiance_decay(900, 0.1) == pytest.approx(0.1)
    assert schedule.object_decay(920, 20, 0.005) == 1 and schedule.object_decay(1200, 20, 0.005) == pytest.approx(0.005)
    assert schedule.object_decay(900, 20, 0.005) == pytest.approx(1 / 21)
    assert 0 < schedule.object_decay(step, 20, 0.005) <= 1


# ---------------------------------------------------------------- files


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plain = tmp_path / "new" / "a.json", tmp_path / "plain"
    write_whole(path, b"old")
    write_whole(path, "a ü, and more")
    plain.touch()
    assert path.read_text(encoding="utf-8") == "a ü, and more" and path.stat().st_mode == plain.stat().st_mode

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "half")
    assert path.read_text(encoding="utf-8") == "a ü, and more" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_of_several_writers_of_a_new_file_one_succeeds(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr(os, "link", refused)
    path = tmp_path / "a"
    assert [write_new(path, "first"), write_new(path, "second")] == [True, False]
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_what_killed_runs_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    old, new, other = tmp_path / "b/.old.part", tmp_path / ".new.part", tmp_path / ".other"
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (path.stat().st_mtime - 2 * ABANDONED,) * 2)
    sweep(tmp_path)
    assert not old.exists() and new.exists() and other.exists()


# ---------------------------------------------------------------- outputs


def test_lazy_outputs_compute_once_when_read() -> None:
    calls = []

    def recipe(name: str):
        return lambda: calls.append(name) or torch.ones(1)

    outputs = LazyOutputs({"a": recipe("a"), "b": recipe("b")}, unlisted={"c": recipe("c")})
    assert list(outputs.keys()) == list(outputs) == ["a", "b"] and len(outputs) == 2 and not calls
    assert "a" in outputs and "c" in outputs and "d" not in outputs and not calls
    assert outputs["a"] is outputs["a"] and outputs.get("d") is None and outputs.get("c") is not None
    assert calls == ["a", "c"]
    outputs["rgba"] = torch.zeros(1)
    assert "rgba" in outputs and list(outputs) == ["a", "b", "rgba"]
    with pytest.raises(KeyError):
        outputs["d"]
    assert len(outputs.items()) == len(outputs) == len(outputs.values())


# ---------------------------------------------------------------- edits


def test_tint_keeps_shading_and_leaves_others_alone() -> None:
    table = EditTable.of(Edit().recolor(1, (0.0, 0.0, 1.0)), 3, "cpu")
    rgb = torch.tensor([[0.8, 0.4, 0.2], [0.4, 0.2, 0.1], [0.8, 0.4, 0.2]])
    slots = torch.tensor([[0.0, 1, 0], [0, 1, 0], [1, 0, 0]])
    edited = table.tint(rgb, slots)
    assert (edited[:2, :2] == 0).all() and edited[0, 2] > edited[1, 2] > 0
    assert_close(edited[2], rgb[2])


def test_soft_tint_by_hand() -> None:
    """Half of a grey point belongs to an object that turns red: half of the way to the red of its luma."""
    table = EditTable.of(Edit().recolor(0, (1.0, 0.0, 0.0)), 2, "cpu")
    grey = torch.full((1, 3), 0.6)
    assert_close(table.tint(grey, torch.tensor([[0.5, 0.5]])), torch.tensor([[0.8, 0.3, 0.3]]))
    assert_close(table.tint(grey, torch.tensor([0])), torch.tensor([[1.0, 0.0, 0.0]]))
    assert_close(table.tint(grey, torch.tensor([1])), grey)


def test_merging_and_splitting_by_hand() -> None:
    """Slots 0 to 4; slot 1 is split in three, so ids 5 and 6 are parts of it; slot 3 in two, so 7 is a part of it."""
    edit = Edit().divide(1, 3).divide(3, 2)
    assert edit.ids(5) == 8
    assert [edit.part_ids(slot, 5) for slot in (0, 1, 3)] == [[0], [1, 5, 6], [3, 7]]
    edit = edit.merge([0, 6], 2)
    assert edit.merged == {0: 2, 6: 2}
    assert edit.merge([2], 4).merged == {0: 4, 6: 4, 2: 4}, "what is part of a part moves with it"
    assert edit.merge([4], 0).merged == {6: 2, 4: 0}, "the target is an object of its own"
    assert edit.take_apart(2).merged == {}
    assert edit.fault(flat(5)) is None and edit.fault(flat(3)) and edit.hide(8).fault(flat(5))
    assert edit.isolate([2], range(4)).hidden == {0, 1, 3}
    assert edit.rename(2, "mug").names == {2: "mug"} and edit.rename(2, "mug").rename(2, "").names == {}


DISCOVERED = [
    DiscoveredObject(node, share, confidence=0.5, views=3, **alike(((0.0,) * 3, (1.0,) * 3)))
    for node, share in ((4, 0.5), (0, 0.3), (2, 0.2))
]


def no_parts(slot: int) -> ConnectedParts:
    raise AssertionError(slot)


def cells(*blocks: tuple[slice, slice, slice]) -> Occupancy:
    """The unit cube in 8 cells an axis, some of them occupied."""
    occupied = torch.zeros(8, 8, 8, dtype=torch.bool)
    for block in blocks:
        occupied[block] = True
    cube = torch.tensor([[0.0] * 3, [1.0] * 3])
    return Occupancy(cube, cube[0], cube[1], occupied, Contraction(cube, None))


def test_parts_of_an_object() -> None:
    """Blocks of 64, 16 and 1 cells: the smallest is too small and joins the one that is nearest to it."""
    four, all_of_it = slice(0, 4), slice(None)
    grid = cells((four, four, four), (slice(6, 8), slice(6, 8), slice(0, 4)), (slice(7, 8), slice(7, 8), slice(7, 8)))
    parts = ConnectedParts.of(grid)
    assert len(parts) == 2 and parts.shares == (0.8, 0.2)
    points = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.9, 0.1], [0.95, 0.95, 0.95], [0.1, 0.6, 0.1], [2.0, 2.0, 0.0]])
    assert parts.at(points).tolist() == [0, 1, 1, 0, 1]
    assert parts.box(0).tolist() == [[0, 0, 0], [0.5, 0.5, 0.5]]
    assert parts.box(1).tolist() == [[0.75, 0.75, 0], [1, 1, 1]]
    assert len(ConnectedParts.of(cells())) == len(ConnectedParts.of(cells((all_of_it,) * 3))) == 1


def test_objects_under_an_edit() -> None:
    parts = lambda slot: ConnectedParts.of(cells((slice(0, 4),) * 3, (slice(6, 8),) * 3))
    plain = arrange(DISCOVERED, flat(5), Edit(), parts)
    assert [(one.name, one.id) for one in plain] == [("object_00", 4), ("object_01", 0), ("object_02", 2)]
    assert len({one.color for one in plain}) == 3

    edit = Edit().divide(0, 2).merge([4], 2).rename(5, "lid").recolor(0, (1.0, 0.0, 0.0))
    arranged = arrange(DISCOVERED, flat(5), edit, parts)
    assert [(one.name, one.id, one.title) for one in arranged] == [
        ("object_01", 0, ""),
        ("object_02", 2, ""),
        ("object_03", 5, "lid"),
    ]
    assert [one.share for one in arranged] == pytest.approx([0.3 * 64 / 72, 0.7, 0.3 * 8 / 72])
    assert arranged[0].color == (1.0, 0.0, 0.0) and arranged[1].color == plain[2].color
    assert arranged[0].box == ((0, 0, 0), (0.5, 0.5, 0.5)) and arranged[1].box == DISCOVERED[0].box


def test_edits_are_values_and_survive_a_file(tmp_path: Path) -> None:
    edit = Edit().hide(3).recolor(1, (1.0, 0.5, 0.0))
    assert edit.repaints and not Edit().repaints
    assert edit.hide(3) == edit and edit.show(3).hidden == frozenset()
    assert EditTable.of(edit, 5, "cpu").density.tolist() == [1, 1, 1, 0, 1]
    edit.save(tmp_path / "edit.json")
    assert Edit.load(tmp_path / "edit.json", flat(5)) == edit
    rich = edit.divide(1, 3).merge([0], 2).rename(2, "mug ü").at(0.8)
    rich.save(tmp_path / "edit.json")
    assert Edit.load(tmp_path / "edit.json", flat(5)) == rich


# ---------------------------------------------------------------- objects


def test_discovery_by_hand() -> None:
    """Two views of a field whose slot is the octant along x: 6 rays left, 3 right, 1 transparent."""

    def field(x):
        return torch.stack([(x[:, 0] < 0.5).float() * 0.9, (x[:, 0] >= 0.5).float() * 0.8, torch.zeros(len(x))], -1)

    left, right = torch.tensor([0.25, 0.5, 0.5]), torch.tensor([0.75, 0.5, 0.5])
    first = SurfaceSamples.pack(left.expand(4, 2, 3), torch.tensor([1.0, 1, 1, 0.2]))
    second = SurfaceSamples.pack(torch.stack([left] * 3 + [right] * 3)[:, None].expand(-1, 2, 3), torch.ones(6))
    objects = discover(field, [first, second], lambda x: 4 * x - 2, flat(3), min_share=0.1)
    assert [(o.node, o.views) for o in objects] == [(0, 2), (1, 1)]
    assert [o.share for o in objects] == pytest.approx([6 / 9, 3 / 9])
    assert [o.confidence for o in objects] == pytest.approx([0.9, 0.8], abs=1e-3)
    assert objects[0].box[0][0] == pytest.approx(-1, abs=1e-3)
    assert len(discover(field, [first, second], lambda x: x, flat(3), min_share=0.5)) == 1
    slots = [o.node for o in objects]
    again = discover(field, [first, second], lambda x: 4 * x - 2, flat(3), min_share=0.1, known=[7, *slots[::-1]])
    assert [o.node for o in again] == slots[::-1]


def test_robust_box_leaves_outliers_out() -> None:
    points = torch.rand(10_000, 3, generator=torch.Generator().manual_seed(0))
    points[:20] = 100.0
    low, high = (torch.tensor(corner) for corner in robust_box(points))
    assert (low > -0.1).all() and (low <= 0).all() and (high >= 1).all() and (high < 1.1).all()


@pytest.mark.parametrize("points", [2, 8])
def test_rays_whose_light_goes_far_are_in_the_reach_and_not_in_the_box(points: int) -> None:
    """Walls of a room had boxes of up to 257 scene units, because of the light of few rays."""
    near = 0.3 + 0.1 * torch.rand(400, 1, 3, generator=torch.Generator().manual_seed(0))
    through = (0.35 + torch.linspace(0, 0.5, 100))[:, None, None].expand(-1, 1, 3)  # without a gap: none is a stray
    late = torch.cat([near[:100].expand(-1, points // 2, 3), through.expand(-1, points // 2, 3)], 1)
    rays = torch.cat([near.expand(-1, points, 3), late])

    def found(rays: torch.Tensor) -> DiscoveredObject:
        views = [SurfaceSamples.pack(rays, torch.ones(len(rays)))]
        (thing,) = discover(lambda x: torch.ones(len(x), 1), views, lambda x: x, flat(1), 0.1)
        return thing

    thing, fog = found(rays), found(rays[350:])
    assert max(thing.box[1]) == pytest.approx(0.405, abs=0.01) and max(thing.reach[1]) > 0.8
    assert fog.box == fog.reach, "where less than half of the rays have a clear end, all count"


def test_a_box_lies_in_the_reach() -> None:
    """Few clear rays far away are strays of the whole object, and a large part of its clear rays."""
    generator = torch.Generator().manual_seed(0)
    body, away = (
        place + 0.1 * torch.rand(count, 1, 3, generator=generator) for place, count in ((0.3, 900), (0.8, 70))
    )
    fuzzy = torch.cat([body[:400], body[:400] + torch.tensor([0.1, 0.0, 0.0])], 1)
    rays = torch.cat([fuzzy, body[400:].expand(-1, 2, 3), away.expand(-1, 2, 3)])
    box, reach = (torch.tensor(each) for each in boxes_of(rays, lambda x: x))
    assert reach[1].max() < 0.6 and (box[0] >= reach[0]).all() and (box[1] <= reach[1]).all()


def test_strays_are_left_out_and_large_parts_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    body = 0.4 + 0.05 * torch.rand(600, 3, generator=generator)
    other = 0.7 + 0.05 * torch.rand(300, 3, generator=generator)
    stray = torch.tensor([0.1, 0.1, 0.9]) + 0.01 * torch.rand(50, 3, generator=generator)
    kept = without_strays(torch.cat([body, stray, other]))
    assert torch.equal(kept, torch.cat([body, other]))
    scattered = torch.rand(40, 3, generator=generator)
    assert torch.equal(without_strays(scattered), scattered)


def test_manifest_survives_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run" / "objects.json"
    discovered = tuple(replace(each, reach=((-1.0,) * 3, (9.0,) * 3)) for each in DISCOVERED)
    save_manifest(arrange(discovered, flat(5), Edit(), no_parts), flat(5), 7, path)
    assert load_manifest(path) == Manifest(discovered, flat(5))
    assert [each.name for each in path.parent.iterdir()] == ["objects.json"]
    content = json.loads(path.read_text())
    for row in content["objects"]:
        del row["reach"]  # as in older runs
    path.write_text(json.dumps(content))
    assert load_manifest(path) == Manifest(tuple(DISCOVERED), flat(5))
    path.write_text('{"objects": [{"slot": 1}]}')
    with pytest.raises(UserError, match=r"objects\.json: not a list of objects \(it has no slots\)"):
        load_manifest(path)


def test_objects_are_found_by_either_name() -> None:
    edit = Edit().rename(0, "mug").rename(2, "teapot")
    objects = arrange(DISCOVERED, flat(5), edit, no_parts)
    assert find_object(objects, "object_01").id == find_object(objects, "mug").id == 0
    with pytest.raises(UserError, match=r"there is no cup; the scene has object_00, object_01 \(mug\), object_02"):
        find_object(objects, "cup")
    twins = arrange(DISCOVERED, flat(5), edit.rename(2, "mug"), no_parts)
    with pytest.raises(UserError, match="object_01 and object_02 are both called mug"):
        find_object(twins, "mug")


def test_an_object_that_was_merged_is_told_with_what_it_is_part_of() -> None:
    apart = Edit().rename(2, "teapot").rename(4, "lid")
    edit = apart.merge([4], 2)
    shown, every = arrange(DISCOVERED, flat(5), edit, no_parts), all_objects(DISCOVERED, flat(5), edit)
    lid, teapot = (next(each for each in every if each.id == id) for id in (4, 2))
    for name in (lid.name, str(lid.number), "lid"):
        with pytest.raises(UserError, match=rf"{name} is merged into {teapot.name} \(teapot\); name that"):
            find_object(shown, name, [lid], edit.merged)
    with pytest.raises(UserError, match="lid is shown as its parts, or in a larger object"):
        find_object(shown, "lid", [lid])


@pytest.mark.parametrize("title", ["a/b", "..", "x" * 5000, "mug ü", ""])
def test_files_of_an_object_have_names_that_every_file_system_takes(title: str, tmp_path: Path) -> None:
    each, twin, _ = arrange(DISCOVERED, flat(5), Edit().rename(4, title).rename(0, title), no_parts)
    (tmp_path / f"{each.file_name}.mp4").write_text("")
    assert each.file_name != twin.file_name and each.file_name.startswith("object_00")
    assert [path.name for path in tmp_path.iterdir()] == [f"{each.file_name}.mp4"]


# ---------------------------------------------------------------- LPIPS


def test_lpips_is_built_only_where_its_weights_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torchmetrics.image.lpip as module
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.hub.set_dir(str(tmp_path / "hub"))
    try:
        original = module.LearnedPerceptualImagePatchSimilarity
        with without_download():
            assert module.LearnedPerceptualImagePatchSimilarity(normalize=True) is None
        assert module.LearnedPerceptualImagePatchSimilarity is original
        weights_path().parent.mkdir(parents=True)
        torch.save(torchvision.models.alexnet(weights=None).state_dict(), weights_path())
        with without_download():
            lpips = module.LearnedPerceptualImagePatchSimilarity(normalize=True)
        a, b = torch.rand(2, 1, 3, 64, 64)
        assert float(lpips(a, a)) == pytest.approx(0, abs=1e-6) and float(lpips(a, b)) > 0
    finally:
        torch.hub._hub_dir = None

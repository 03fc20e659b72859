"""A saved run with objects of several sizes: commands, scores and pictures of any cut through its tree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quick import taken_as_loaded
from tiny_run import Run

from disconerf_ns import api
from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.predictions import predict_labels
from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.runs import objects_of
from disconerf_ns.scene.edit import Edit
from disconerf_ns.scene.objects import load_manifest
from disconerf_ns.scene.tree import NEVER, ObjectTree


@pytest.fixture(scope="module")
def loaded(tree_run: Path) -> api.Scene:
    return api.load(tree_run)


@pytest.fixture
def opened_run(tree_run: Path, loaded: api.Scene) -> Iterator[None]:
    """Commands on the run take it as it is loaded already."""
    with taken_as_loaded(tree_run, loaded.run):
        yield


@pytest.fixture
def edited(tree_run: Path) -> Iterator:
    """Saves an edit beside the run; it is gone after the test."""
    file = tree_run.parent / "edit.json"
    yield lambda edit: edit.save(file)
    file.unlink(missing_ok=True)


def names(config: Path, granularity: float | None = None) -> list[str]:
    return [each.name for each in objects_of(config, granularity)]


def test_files_and_checkpoint_have_the_same_tree_and_objects(tree_run: Path, loaded: api.Scene) -> None:
    discovered, tree = load_manifest(tree_run.parent / "objects.json")
    trained = loaded.arranged.trained
    assert (trained.discovered, trained.tree) == (discovered, tree) and not tree.is_flat
    for granularity in (None, 0.0, 0.5, 1.0):
        scene = loaded if granularity is None else loaded.at(granularity)
        assert objects_of(tree_run, granularity) == scene.objects


def test_objects_at_every_granularity(tree_run: Path) -> None:
    """The floor, the pair and the third ball come first, then what other cuts show."""
    assert names(tree_run) == names(tree_run, 0.5) == ["object_00", "object_01", "object_02", "rest"]
    assert names(tree_run, 0.0) == ["object_00", "object_03", "rest"]
    floor, third, *finest = names(tree_run, 1.0)
    assert (floor, finest) == ("object_00", ["object_04", "object_05", "rest"]) and third in ("object_01", "object_02")
    shares = {each.name: each.share for cut in (0.0, 0.5, 1.0) for each in objects_of(tree_run, cut)}
    pair = ({"object_01", "object_02"} - {third}).pop()
    assert shares["object_04"] + shares["object_05"] == pytest.approx(shares[pair])
    assert shares[pair] + shares[third] == pytest.approx(shares["object_03"])


def test_the_list_and_the_tree(tree_run: Path, opened_run: None, edited, capsys: pytest.CaptureFixture) -> None:
    assert main(["objects", "--load-config", str(tree_run), "--granularity", "0"]) == 0
    table = capsys.readouterr().out.split("agree least")[0]
    assert "object_03" in table and "rest" in table and "object_01" not in table
    edited(Edit().rename(6, "three balls"))
    assert main(["objects", "--load-config", str(tree_run), "--tree"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    (whole,) = (line for line in lines if "object_03 three balls" in line)
    assert "6 masks show just it, support 0.75, opens at 0.300" in whole and "●" not in whole
    depth = {name: next(line.index(name) for line in lines if name in line) for name in ("object_03", "object_04")}
    assert depth["object_03"] + 8 == depth["object_04"] and "● rest" in lines[-1]
    assert sum("●" in line for line in lines[1:]) == 4


@pytest.mark.parametrize("command", [["objects"], ["render"], ["eval", "--save", "labels"]])
@pytest.mark.parametrize("value", ["-0.1", "1.01", "nan"])
def test_a_granularity_that_there_is_not_is_one_sentence(
    tree_run: Path, command: list[str], value: str, capsys: pytest.CaptureFixture
) -> None:
    assert main([*command, "--load-config", str(tree_run), "--granularity", value]) == 1
    assert f"{command[0]}: --granularity is {value}; it has to be from 0" in capsys.readouterr().err


def test_what_changes_keep_open_is_told(
    tree_run: Path, opened_run: None, edited, capsys: pytest.CaptureFixture
) -> None:
    """Two parts of the pair in different colours are shown at every granularity."""
    pair = next(each for each in objects_of(tree_run) if len(each.slots) == 2)
    part = min(pair.slots)
    edited(Edit().recolor(part, (1.0, 0.0, 0.0)).at(0.0))
    assert main(["objects", "--load-config", str(tree_run), "--tree"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "open now by changes" in line]
    assert any("object_03" in line for line in told) and any(pair.name in line for line in told)
    assert not any("●" in line for line in told)
    edited(Edit().merge([pair.id], 0))
    assert main(["objects", "--load-config", str(tree_run), "--tree"]) == 0
    assert "open now by changes" not in next(
        line for line in capsys.readouterr().out.splitlines() if pair.name in line
    ), "it is part of another object, in one piece"
    edited(Edit().recolor(part, (1.0, 0.0, 0.0)).at(0.0))
    assert main(["objects", "--load-config", str(tree_run), "--granularity", "0"]) == 0
    assert pair.name not in capsys.readouterr().out, "the table of masks lists none that is not shown"


def test_films_of_any_cut_under_the_saved_edit(
    tree_run: Path, opened_run: None, edited, tmp_path: Path, capsys
) -> None:
    options = ["--load-config", str(tree_run), "--frames", "1", "--size", "16"]
    edited(Edit().at(0.0))
    assert main(["render", *options, "--output-dir", str(tmp_path / "saved")]) == 0
    assert {path.stem for path in (tmp_path / "saved").iterdir()} == {"object_00", "object_03", "rest"}
    fine = [*options, "--output-dir", str(tmp_path / "fine"), "--granularity", "1", "--objects", "object_04"]
    assert main(["render", *fine]) == 0
    assert [path.stem for path in (tmp_path / "fine").iterdir()] == ["object_04"]
    assert main(["render", *options, "--output-dir", str(tmp_path / "none"), "--objects", "object_04"]) == 1
    assert (
        "object_04 is shown as its parts, or in a larger object; `disconerf objects --tree`" in capsys.readouterr().err
    )


def test_labels_of_a_coarse_cut_are_the_fine_ones_joined_and_the_rest_is_0(loaded: api.Scene) -> None:
    coarse, default, fine = (predict_labels(loaded.run, 0, granularity=cut) for cut in (0.0, 0.5, 1.0))
    assert set(np.unique(coarse)) == {0, 1, 4} and set(np.unique(default)) == {0, 1, 2, 3}
    assert set(np.unique(fine)) - {0, 1, 2, 3} == {5, 6}
    assert (coarse[default > 1] == 4).mean() > 0.98 and (default[fine > 4] == default[fine > 4][0]).mean() > 0.98
    assert (coarse[default == 0] == 0).mean() > 0.98 < (coarse[default == 1] == 1).mean()
    camera = loaded.cameras("test")[0:1]
    label = loaded.at(1.0).render("label", camera)[..., 0]
    assert (label.numpy() == default).mean() > 0.98, "of the default cut, whatever the edit says"


def test_nobody_is_black_and_unsure(loaded: api.Scene) -> None:
    camera = loaded.cameras("test")[0:1]
    label, objects, confidence = (loaded.render(name, camera) for name in ("label", "objects", "confidence"))
    nobody = label[..., 0] == 0
    assert (objects[nobody] == 0).all() and (confidence[nobody] == 0).all() and nobody.any()
    assert (objects[~nobody].sum(-1) > 0).all()
    overlay, rgb = loaded.render("objects_overlay", camera), loaded.render("rgb", camera)
    assert torch.allclose(overlay[nobody], 0.4 * rgb[nobody], atol=1e-4)
    assert loaded.render("rest_mask", camera)[nobody].mean() > 0.5
    hidden = loaded.edited(loaded.edit.hide(loaded.find("rest").id)).render("edited", camera)
    assert (hidden - rgb)[nobody].abs().mean() > 0.05


def test_scores_of_any_cut(tree_run: Path, loaded: api.Scene, scene: Path, tmp_path: Path, capsys) -> None:
    coarse, fine = (api.evaluate(loaded, scene / "labels", granularity=cut).scene["IoU"] for cut in (0.0, 1.0))
    assert coarse < fine
    with pytest.raises(UserError, match="granularity is 2.0"):
        api.evaluate(loaded, scene / "labels", granularity=2.0)
    truth = ["--ground-truth", str(scene / "labels"), "--output", str(tmp_path / "scores.json")]
    assert main(["eval", "--load-config", str(tree_run), *truth, "--granularity", "1"]) == 0
    assert "the 4 objects of the cut, at granularity 1, were scored" in capsys.readouterr().out
    written = json.loads((tmp_path / "scores.json").read_text())
    assert written["options"]["granularity"] == 1.0 and written["run"]["objects"] == 4
    assert {each["segment"] for each in written["objects"]} >= {"object_00", "object_04", "object_05"}


def test_a_consensus_brings_its_tree_into_the_model_and_its_checkpoints(model: DiscoNerfModel, monkeypatch) -> None:
    monkeypatch.setattr(model.object_field, "resize", lambda slots: None)
    before, tree = model.tree, ObjectTree(3, (3, 3, -1, -1), (*[NEVER] * 3, 0.3), rest=2)
    try:
        model.agree_on(replace(model.consensus, tree=tree))
        assert model.tree == model.consensus.tree == tree.widened(5)
        assert model.state_dict()["tree_parent"].tolist() == [5, 5, -1, -1, -1, -1]
        assert model.current.value.with_edit(Edit().at(0.2)).nodes == (2, 3, 4, 5)
        model.set_tree(None)
        assert model.tree == ObjectTree.flat(5) and len(model.state_dict()["tree_parent"]) == 0
    finally:
        model.set_tree(before)


def test_a_run_whose_masks_join_nothing_is_the_same_at_every_granularity(run: Run) -> None:
    assert load_manifest(run.folder / "objects.json").tree == run.trainer.pipeline.model.tree
    assert names(run.config, 0.0) == names(run.config, 1.0)

"""`disconerf eval`, and what `ns-eval` says of objects: figures that anyone can compute again from what is written."""

from __future__ import annotations

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from nerfstudio.scripts.eval import ComputePSNR
from PIL import Image
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.evaluation.metrics import labels_table, panoptic_quality, splits, symmetric_best_dice, weighted_iou

HELD_OUT = ("0004", "0012")


@pytest.fixture(scope="module")
def finished(run: Run, scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path, str]:
    """The command's file of scores, folder of label maps and what it printed."""
    folder, printed = tmp_path_factory.mktemp("eval"), StringIO()
    options = {
        "load-config": run.config,
        "ground-truth": scene / "labels",
        "save": folder / "predicted",
        "output": folder / "scores" / "eval.json",
    }
    with redirect_stdout(printed):
        code = main(["eval", *(word for name, value in options.items() for word in (f"--{name}", str(value)))])
    assert code == 0
    return json.loads((folder / "scores" / "eval.json").read_text()), folder / "predicted", printed.getvalue()


def read(folder: Path, key: str) -> np.ndarray:
    return np.asarray(Image.open(folder / f"{key}.png")).astype(int)


def test_scores_follow_from_the_saved_label_maps(finished, scene: Path) -> None:
    scores, predicted, _ = finished
    assert sorted(path.name for path in predicted.iterdir()) == [f"{key}.png" for key in HELD_OUT]
    pairs = [(read(predicted, key), read(scene / "labels", key)) for key in HELD_OUT]
    for row, (found, true) in zip(scores["views"], pairs):
        assert found.shape == true.shape == (row["height"], row["width"]) == (36, 48)
        table = labels_table(found, true, ignore=0, nothing=0)
        assert row["field"]["IoU"] == pytest.approx(weighted_iou(table))
        assert row["field"]["SBD"] == pytest.approx(symmetric_best_dice(table))
        assert row["field"]["PQ"] == pytest.approx(panoptic_quality(table))
    for name in scores["scores"]["views"]:
        assert scores["scores"]["views"][name] == pytest.approx(np.mean([v["field"][name] for v in scores["views"]]))
    scene_table = labels_table(*(np.stack(maps) for maps in zip(*pairs)), ignore=0, nothing=0)
    assert scores["scores"]["scene"]["IoU"] == pytest.approx(weighted_iou(scene_table))
    assert scores["scores"]["scene"]["splits"] == splits(scene_table)


def test_saved_label_maps_number_the_objects(finished) -> None:
    scores, predicted, _ = finished
    values = np.unique([read(predicted, key) for key in HELD_OUT])
    assert len(values) > 3 and values.max() <= scores["run"]["objects"] == 4, "the rest is no object"


def test_objects_of_the_scene_explain_its_iou(finished, scene: Path) -> None:
    scores, predicted, _ = finished
    found, true = (np.stack([read(folder, key) for key in HELD_OUT]) for folder in (predicted, scene / "labels"))
    rows = scores["objects"]
    assert [row["label"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        segment, object_ = found == int(row["segment"].removeprefix("object_")) + 1, true == row["label"]
        assert row["area"] == object_.sum()
        assert row["iou"] == pytest.approx((segment & object_)[true > 0].sum() / (segment | object_)[true > 0].sum())
    weighted = sum(row["area"] * row["iou"] for row in rows) / sum(row["area"] for row in rows)
    assert weighted == pytest.approx(scores["scores"]["scene"]["IoU"]) and weighted > 0.5


def test_the_masks_of_the_run_stand_beside_the_field(finished, scene: Path) -> None:
    scores, _, printed = finished
    ones = dict.fromkeys(("IoU", "IoU (best)", "BD", "BD (truth)", "SBD", "PQ"), 1.0)
    exact = {**ones, "splits": 0.0, "merges": 0.0}
    assert scores["scores"]["masks"] == pytest.approx(exact)
    assert scores["options"]["masks"] == str(scene / "masks" / "exact")
    assert "ground truth: the number 0 means no object (" in printed
    assert "% of the pixels, which no score counts); if it is an object, pass --void None." in printed
    assert "2 label maps, in the images' size, are in " in printed
    for text in ("2D masks, per view", "field, per view", "field, whole scene", "IoU (best)", "PQ", "splits", "merges"):
        assert text in printed
    assert f"{100 * scores['scores']['views']['IoU']:.1f}" in printed


def test_the_file_says_what_was_run_with_what(finished) -> None:
    scores, _, _ = finished
    assert scores["run"]["method"] == "disconerf-small" and scores["run"]["iterations"] == 480
    assert scores["run"]["seed"] == 42 and scores["run"]["slots"] == 5
    options = {"downscale": 1, "granularity": 0.5, "void": [0]}
    assert {name: scores["options"][name] for name in options} == options
    assert set(scores["versions"]) == {"disconerf_ns", "torch", "nerfstudio", "python"} and scores["machine"]


def test_label_maps_alone_at_the_images_size_from_a_coarser_rendering(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = ["--load-config", str(run.config)]
    assert main(["eval", *config, "--save", str(tmp_path), "--split", "all", "--downscale", "2"]) == 0
    said = capsys.readouterr().out
    assert f"16 label maps, in the images' size, enlarged from 1/2 of it, are in {tmp_path}" in said
    assert "nothing was scored" in said
    assert len(list(tmp_path.iterdir())) == 16 and not (run.folder / "eval_objects.json").exists()
    labels = read(tmp_path, "0000")
    assert labels.shape == (36, 48) and (labels == np.kron(labels[1::2, 1::2], np.ones((2, 2), int))).all()


def test_pictures_that_show_nothing_are_not_scored(
    run: Run, opened_run: None, scene: Path, tmp_path: Path, capsys
) -> None:
    """Photographs of 48 x 36 pixels were scored as 1 x 1, and got a table of scores."""
    config = ["--load-config", str(run.config), "--output", str(tmp_path / "scores.json")]
    assert main(["eval", *config, "--ground-truth", str(scene / "labels"), "--downscale", "1000"]) == 1
    assert "eval: --downscale is 1000; it has to be from 1 to 2, so that" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "scores.json").exists()


def mistake(capsys: pytest.CaptureFixture, *options: object) -> str:
    assert main(["eval", *map(str, options)]) == 1
    return capsys.readouterr().err


def test_mistakes_are_said_before_anything_is_loaded(
    run: Run, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config, truth = ("--load-config", run.config), ("--ground-truth", scene / "labels")
    assert "nothing to do; score against true labels with --ground-truth" in mistake(capsys, *config)
    assert "name those with --ground-truth" in mistake(capsys, *config, "--masks", scene, "--save", tmp_path)
    assert "would overwrite the true labels" in mistake(capsys, *config, *truth, "--save", scene / "labels" / ".")
    assert "--downscale is 0" in mistake(capsys, *config, *truth, "--downscale", 0)
    (tmp_path / "config.yml").touch()
    inside = tmp_path / "config.yml" / "x"
    assert "name another place for the scores with --output" in mistake(capsys, *config, *truth, "--output", inside)
    assert "name another place for the label maps with --save" in mistake(capsys, *config, *truth, "--save", inside)
    assert "objects.json" in mistake(capsys, "--load-config", tmp_path / "config.yml", *truth)


def test_a_label_image_that_is_not_there_is_named(
    run: Run, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.copy(scene / "labels" / "0004.png", tmp_path)
    message = mistake(capsys, "--load-config", run.config, "--ground-truth", tmp_path, "--save", tmp_path / "out")
    assert f"there is no {tmp_path / '0012.png'}" in message and not (tmp_path / "out").exists()


def test_ns_eval_scores_objects_where_labels_lie_beside_the_data(finished, run: Run, tmp_path: Path) -> None:
    ComputePSNR(run.config, tmp_path / "eval.json").main()
    results, ours = json.loads((tmp_path / "eval.json").read_text())["results"], finished[0]["scores"]
    for short, name in (("iou", "IoU"), ("bd", "BD"), ("sbd", "SBD"), ("pq", "PQ")):
        assert results[f"object_{short}"] == pytest.approx(ours["views"][name])
        assert results[f"scene_{short}"] == pytest.approx(ours["scene"][name])
    assert results["psnr"] > 12


def test_ns_eval_leaves_objects_out_without_labels(run: Run, scene: Path) -> None:
    pipeline = run.trainer.pipeline
    assert "object_iou" in pipeline.get_average_eval_image_metrics()
    (scene / "labels" / "0012.png").rename(scene / "labels" / "hidden.png")
    try:
        assert set(pipeline.get_average_eval_image_metrics()) >= {"psnr"}
        assert not {"object_iou", "scene_iou"} & set(pipeline.get_average_eval_image_metrics())
    finally:
        (scene / "labels" / "hidden.png").rename(scene / "labels" / "0012.png")
    assert pipeline.model.label_maps is None

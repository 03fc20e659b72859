"""Commands after an edit was saved in the viewer: names, ids, boxes and colours are those of the arranged scene."""

from __future__ import annotations

import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from tiny_run import Run

from disconerf_ns import runs
from disconerf_ns.cli import main
from disconerf_ns.discovery.report import load_report
from disconerf_ns.runs import EditedRun, load_pipeline, objects_of
from disconerf_ns.scene.edit import Edit


@pytest.fixture
def edited(run: Run):
    """Saves an edit in the run's folder, as the viewer does; it is gone after the test."""
    file = run.folder / "edit.json"
    yield lambda edit: edit.save(file)
    file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def ids(run: Run) -> list[int]:
    return [each.id for each in objects_of(run.config)]


def render(run: Run, output: Path, *objects: str) -> int:
    shutil.rmtree(output, ignore_errors=True)
    options = ["--load-config", str(run.config), "--output-dir", str(output), "--frames", "2", "--size", "24"]
    return main(["render", *options, *(["--objects", *objects] if objects else [])])


def film(path: Path) -> np.ndarray:
    return iio.imread(path).astype(float)


def test_merged_objects_are_one_film_that_frames_them_all(
    run: Run, opened_run: None, edited, ids, tmp_path: Path
) -> None:
    """Films 00 to 03, then KeyError: 'object_04'; the box was the first member's, so the others left the picture."""
    one, other = ids[1:3]
    apart = {each.id: np.array(each.box) for each in objects_of(run.config)}
    edited(Edit().merge([one], other))
    merged = next(each for each in objects_of(run.config) if each.id == other)
    assert np.array(merged.box)[0] == pytest.approx(np.minimum(apart[one][0], apart[other][0]))
    assert np.array(merged.box)[1] == pytest.approx(np.maximum(apart[one][1], apart[other][1]))
    assert render(run, tmp_path / "films") == 0
    names = {path.stem for path in (tmp_path / "films").iterdir()}
    assert names == {"object_00", "object_02", "object_03", "rest"}


def test_parts_of_a_split_object_are_filmed(
    run: Run, opened_run: None, edited, ids, halves, tmp_path: Path, capsys
) -> None:
    """There was "no object_13"."""
    edited(Edit().divide(ids[1], 2))
    part = "object_04"
    first, second = (each for each in objects_of(run.config) if each.slots == {ids[1]})
    assert second.name == part and first.box[0][0] < second.box[0][0], "the halves along x"
    assert render(run, tmp_path / "films", part) == 0, capsys.readouterr().err
    assert [path.stem for path in (tmp_path / "films").iterdir()] == [part]


def test_a_run_with_a_split_object_is_loaded_once(
    run: Run, opened_run: None, edited, ids, halves, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects were looked up in one pipeline, and shown in another."""
    edited(Edit().divide(ids[1], 2))
    load, modes = runs.load_pipeline, []
    monkeypatch.setattr(runs, "load_pipeline", lambda config, mode: modes.append(mode) or load(config, mode))
    opened = EditedRun(run.config, test_mode="test")
    (part,) = opened.find(["object_04"])
    assert opened.pipeline.model.current.value.by_id[part.id] == part and modes == ["test"]


def test_a_film_has_the_name_and_colour_that_a_person_gave(
    run: Run, opened_run: None, edited, ids, tmp_path: Path, capsys
) -> None:
    """A name was refused, and an object that is blue on the screen kept its own colour in its film."""
    assert render(run, tmp_path / "before", "object_01") == 0
    edited(Edit().rename(ids[1], "my ball").recolor(ids[1], (0.0, 0.0, 1.0)))
    assert render(run, tmp_path / "films", "my ball") == 0, capsys.readouterr().err
    (path,) = (tmp_path / "films").iterdir()
    assert path.name == "object_01_my_ball.mp4"
    before, after = film(tmp_path / "before" / "object_01.mp4"), film(path)
    solid = (before.min(-1) < 150) & (after.min(-1) < 150)
    assert solid.sum() > 50
    blueness = [frames[solid][:, 2].mean() - frames[solid][:, :2].mean() for frames in (before, after)]
    assert blueness[1] > blueness[0] + 50
    assert main(["render", "--load-config", str(run.config), "--objects", "your ball"]) == 1
    assert "there is no your ball; the scene has" in (error := capsys.readouterr().err) and "(my ball)" in error


def test_the_table_of_objects_follows_the_edit(run: Run, opened_run: None, edited, ids, capsys) -> None:
    edited(Edit().merge([ids[1]], ids[2]).rename(ids[2], "two balls"))
    assert main(["objects", "--load-config", str(run.config)]) == 0
    table = capsys.readouterr().out.split("agree least")[0]
    assert "two balls" in table and "object_01" not in table


def test_masks_are_compared_with_objects_as_discovered_whatever_is_merged(
    run: Run, opened_run: None, edited, ids, capsys
) -> None:
    """The objects whose masks agree least were not listed any more once they were merged into another."""
    edited(Edit().merge([ids[1]], ids[2]))
    assert main(["objects", "--load-config", str(run.config)]) == 0
    rows = [line.split("│") for line in capsys.readouterr().out.split("Objects, as discovered")[1].splitlines()]
    listed = {row[1].strip() for row in rows if len(row) > 4}
    assert {"object_00", "object_01, now in object_02", "object_02", "object_03"} <= listed
    assert {name.split(",")[0] for name in listed} == {
        each.name for each in load_report(run.folder / "masks.json").objects
    }


def test_files_alone_say_the_same_as_the_loaded_run(run: Run, edited, ids) -> None:
    edited(Edit().merge([ids[1]], ids[2]).rename(ids[2], "two").recolor(ids[0], (1.0, 0.0, 0.0)))
    assert objects_of(run.config) == load_pipeline(run.config).model.current.value.objects


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["render", "--frames", "0"], "render: --frames is 0; it has to be from 1 to 100,000."),
        (["render", "--size", "-5"], "render: --resolution is -5; it has to be from 16 to 16,384."),
        (["render", "--fps", "0"], "render: --fps is 0; it has to be from 1 to 1,000."),
    ],
)
def test_options_out_of_range_are_one_sentence(run: Run, arguments: list[str], sentence: str, capsys) -> None:
    assert main([*arguments, "--load-config", str(run.config)]) == 1
    assert sentence in capsys.readouterr().err


def test_a_config_that_is_none_is_one_sentence(run: Run, tmp_path: Path, capsys) -> None:
    assert main(["objects", "--load-config", str(run.folder)]) == 1
    assert f"{run.folder} is a folder; pass the run's config.yml" in capsys.readouterr().err
    missing, other = run.folder / "confg.yml", run.folder / "objects.json"
    for path, fault in ((missing, "does not exist"), (other, "is not the config.yml of a run")):
        assert main(["render", "--load-config", str(path)]) == 1
        assert f"{path} {fault}; pass the run's config.yml" in capsys.readouterr().err


def test_names_of_any_kind_are_listed_and_filmed(
    run: Run, opened_run: None, edited, ids, tmp_path: Path, capsys
) -> None:
    """Square brackets are markup for rich: an unmatched tag ended both commands."""
    edited(Edit().rename(ids[1], "mug [/b] [left]").hide(ids[2]))
    assert main(["objects", "--load-config", str(run.config)]) == 0
    output = capsys.readouterr().out
    assert "[/b]" in output and "(hidden)" in output
    assert render(run, tmp_path / "films", "mug [/b] [left]") == 0

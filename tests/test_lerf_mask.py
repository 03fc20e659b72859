"""LERF-Mask's layout and averaging rule, on masks worked out by hand and on a run's own dataset in the same layout."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny_run import Run

from benchmarks import lerf_mask
from benchmarks.lerf_mask import LerfMask, Sight, choose, image_of, mean_of, prompt_score, read_references, table
from benchmarks.quality import maps_by_cut
from disconerf_ns.errors import UserError
from disconerf_ns.evaluation.views import views_of


def sight(*labels: list[int], reference: list[int]) -> Sight:
    return Sight([np.array([cut]) for cut in labels], np.array([reference], bool))


FIRST = sight([1, 1, 1, 2], [7, 7, 8, 2], reference=[1, 1, 0, 0])
SECOND = sight([1, 1, 2, 2], [7, 8, 8, 2], reference=[1, 0, 0, 0])


def test_the_first_view_chooses_and_the_others_are_scored() -> None:
    """Object 1 has 2 of 3 pixels in the first reference, and 1 of 2 in the second."""
    assert choose(FIRST, [0]) == 1
    assert prompt_score([FIRST, SECOND], None, [0]) == pytest.approx(1 / 2)
    assert prompt_score([FIRST], None, [0]) is None


def test_all_sizes_may_answer_if_asked() -> None:
    """Object 7 of the finer cut is the first reference exactly, and the second too."""
    assert choose(FIRST, [0, 1]) == 7
    assert prompt_score([FIRST, SECOND], None, [0, 1]) == pytest.approx(1.0)


def test_a_named_object_answers_in_every_view() -> None:
    assert prompt_score([FIRST, SECOND], 1, [0]) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert prompt_score([FIRST, SECOND], 8, [0]) == pytest.approx(0)
    assert prompt_score([SECOND], 1, [0]) == pytest.approx(1 / 2)


def test_what_no_object_touches_scores_nothing() -> None:
    nothing = sight([0, 0, 2, 2], reference=[1, 1, 0, 0])
    assert choose(nothing, [0]) == 0
    assert prompt_score([nothing, sight([0, 2], reference=[1, 0])], None, [0]) == 0


def test_means_are_over_views_then_prompts_then_scenes() -> None:
    assert mean_of({"apple": 0.5, "plate": 1.0, "once": None}) == pytest.approx(0.75)
    lines = table({"figurines": 0.5, "ramen": 1.0})
    assert "| Gaussian Grouping (published) | 72.8 |   |   |" in lines
    assert lines[-1] == "| these runs (another protocol) | 75.0 | 50.0 | 100.0 |"
    with pytest.raises(UserError, match="no prompt is shown by two views"):
        mean_of({"once": None})


def arrange(data: Path, scene: Path) -> Path:
    """The tiny scene's images and labels in LERF-Mask's layout; its views 0004 and 0012 are held out."""
    for name in ("images", "images_train", "test_mask/0", "test_mask/1"):
        (data / name).mkdir(parents=True)
    for image in (scene / "images").iterdir():
        (data / "images" / image.name).symlink_to(image)
        if image.stem not in ("0004", "0012"):
            (data / "images_train" / image.name).symlink_to(image)
    for folder, key in (("0", "0004"), ("1", "0012")):
        labels = np.asarray(Image.open(scene / "labels" / f"{key}.png"))
        for label, prompt in ((1, "red ball"), (4, "floor")):
            Image.fromarray(np.uint8(255 * (labels == label))).save(data / "test_mask" / folder / f"{prompt}.png")
    return data


def test_folders_are_numbers_or_names_of_images_that_are_held_out(scene: Path, tmp_path: Path) -> None:
    data = arrange(tmp_path / "balls", scene)
    assert {view: sorted(files) for view, files in read_references(data).items()} == {
        "0": ["floor", "red ball"],
        "1": ["floor", "red ball"],
    }
    assert image_of("0", data) == "0004" and image_of("1", data) == image_of("0012", data) == "0012"
    with pytest.raises(UserError, match="test_mask/2 is of no image; images/ has 2"):
        image_of("2", data)
    with pytest.raises(UserError, match=r"has no test_mask/VIEW/PROMPT.png"):
        read_references(scene)


def test_a_run_is_scored_on_the_layout(
    run: Run, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = run.trainer.pipeline
    data = arrange(tmp_path / "balls", scene)
    looked_at = SimpleNamespace(**{name: getattr(pipeline, name) for name in ("model", "datamanager", "device")})
    looked_at.config = SimpleNamespace(datamanager=SimpleNamespace(dataparser=SimpleNamespace(data=data)))
    monkeypatch.setattr(lerf_mask, "load_pipeline", lambda config, mode: looked_at)
    monkeypatch.setattr(lerf_mask, "views_of", lambda _: views_of(pipeline))
    monkeypatch.setattr(lerf_mask, "maps_by_cut", lambda _, downscale: maps_by_cut(pipeline, downscale))
    lerf_mask.main(LerfMask((run.config,), output=tmp_path / "lerf.json"))
    found = json.loads((tmp_path / "lerf.json").read_text())
    assert set(found["prompts"]["balls"]) == {"red ball", "floor"}
    assert found["mIoU"] == pytest.approx(np.mean(list(found["prompts"]["balls"].values())))
    assert min(found["prompts"]["balls"].values()) > 0.5
    assert "| OpenSplat3D (published) | 84.0 |   |" in capsys.readouterr().out

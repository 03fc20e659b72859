"""A matrix of bad inputs: each gives one sentence, which tests/data/sentences.txt keeps, and changes no file.

DISCONERF_RENEW_SENTENCES=1 writes the file anew; its difference is then read as text.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from helpers import damaged
from processor_time import at_most
from sentences import RENEW, Sentences
from tiny_run import Run

from disconerf_ns.cli import main
from disconerf_ns.composition import Composition
from disconerf_ns.discovery.report import load_report
from disconerf_ns.errors import UserError
from disconerf_ns.export.splats_ply import read_ply
from disconerf_ns.filming.paths import path_of_file
from disconerf_ns.masks.store import MaskStore
from disconerf_ns.radiance_transfer import load_radiance, radiance_source
from disconerf_ns.runs import capture_frame, config_of, edit_of, load_pipeline
from disconerf_ns.scene.objects import load_manifest


class Reader(NamedTuple):
    """A reader of a file of a run's folder."""

    file: str
    read: Callable[[Path], object]
    """Takes the folder."""


def _edit(folder: Path) -> object:
    return edit_of(folder / "config.yml", load_manifest(folder / "objects.json").tree)


def _undo(folder: Path) -> None:
    from disconerf_ns.cli.history import History

    History(folder / "config.yml", load_manifest(folder / "objects.json").tree)


def _names(folder: Path) -> object:
    from disconerf_ns.cli.naming import given_names

    return given_names(folder / "config.yml")


READERS = {
    "edit": Reader("edit.json", _edit),
    "objects": Reader("objects.json", lambda folder: load_manifest(folder / "objects.json")),
    "masks": Reader("masks.json", lambda folder: load_report(folder / "masks.json")),
    "frame": Reader("dataparser_transforms.json", lambda folder: capture_frame(folder / "config.yml")),
    "names": Reader("names.json", _names),
    "history": Reader("edit_history.json", _undo),
    "path": Reader("path.json", lambda folder: path_of_file(folder / "path.json")),
    "composition": Reader("scene.json", lambda folder: Composition.load(folder / "scene.json")),
    "mask manifest": Reader("manifest.json", lambda folder: MaskStore(folder).check_recipe({"generator": "graph"})),
}

BROKEN = {
    "empty": "", "cut off": "{", "deep": "[" * 100_000, "a list": "[1, 2]", "binary": "\x00\x01",
    "twice": '{"a": {"same": 1, "other": 2, "same": 3}}', "a number": "1" * 5000,
}  # fmt: skip
"""What no small file may hold."""

CONTENTS = {
    "edit": (
        {"hiden": [3]},
        {"hidden": 3},
        {"hidden": [3.7]},
        {"hidden": [-1]},
        {"hidden": [10**400]},
        {"names": [1]},
        {"names": {"1": None}},
        {"names": {"x": "mug"}},
        {"names": {"01": "mug"}},
        {"names": {"1" * 5000: "mug"}},
        {"names": {"1": "x" * 5000}},
        {"names": {"1": "x" * 61}},
        {"names": {"1": " "}},
        {"names": {"1": "a\nb"}},
        {"names": {"1": "\ud800"}},
        {"colors": {"1": [1, 2]}},
        {"colors": {"1": [255, 0, 0]}},
        {"colors": {"1": [float("nan"), 0, 0]}},
        {"colors": {"1": [True, 0, 0]}},
        {"colors": {"1": {"hue": float("inf")}}},
        {"colors": {"1": {"channels": "rrr"}}},
        {"merged": {"1": 2, "2": 3}},
        {"merged": {"1": 1}},
        {"split": {"1": 1}},
        {"split": {"1": 10**9}},
        {"split": {"700": 2}},
        {"opened": [700]},
        {"opened": [1]},
        {"granularity": 1.5},
        {"granularity": float("nan")},
        {"granularity": 10**400},
        {"granularity": True},
        {"places": {"1": {}}},
        {"places": {"1": []}},
        {"places": {"1": [{}] * 65}},
        {"places": {"1": [{"scale": 0}]}},
        {"places": {"1": [{"scale": float("nan")}]}},
        {"places": {"1": [{"scale": 1e300}]}},
        {"places": {"1": [{"rotation": [2, 0, 0, 0]}]}},
        {"places": {"1": [{"translation": [1e20, 0, 0]}]}},
    ),
    "objects": (
        {},
        {"slots": 0},
        {"slots": 10**9},
        {"slots": 5},
        {"slots": 5, "objects": {}},
        {"slots": 5, "objects": [{"slot": 1}]},
        {"slots": 5, "objects": [{"slot": 7, "box": [[0, 0, 0], [1, 1, 1]]}]},
        {"slots": 5, "objects": [{"slot": 1, "share": 10**400, "box": [[0, 0, 0], [1, 1, 1]]}]},
        {"slots": 5, "objects": [{"slot": 1, "share": 1, "confidence": 1, "views": 1, "box": [[0, 0], [1, 1, 1]]}]},
        {"slots": 5, "objects": [], "tree": 3},
        {"slots": 2, "objects": [], "tree": {"parent": [0, 0], "opens": [], "support": [], "masks": [], "rest": None}},
    ),
    "masks": ({}, {"views": 3}, {"views": [3]}, {"views": [], "objects": [{"name": 3}]}),
    "frame": (
        {},
        {"transform": [[1, 0, 0, 0]], "scale": 1},
        {"transform": [[1, 0, 0, "x"]] * 3, "scale": 1},
        {"transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 0},
        {"transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": float("nan")},
        {"transform": [[0, 0, 0, 0]] * 3, "scale": 1},
    ),
    "names": ({"names": []}, {"names": {"1": 3}}, {"names": {"1": {"name": "a", "word": "b", "score": "c"}}}),
    "history": ({"states": 3}, {"states": [3], "now": 0}, {"states": [None], "now": 5}, {"states": [], "now": 0}),
    "path": (
        {},
        {"render_height": 10**9, "render_width": 4},
        {"render_height": 4, "render_width": 4, "camera_path": []},
        {"render_height": 4, "render_width": 4, "camera_path": [{"camera_to_world": [1] * 15}]},
        {"render_height": 4, "render_width": 4, "camera_path": [{"camera_to_world": [1] * 16, "fov": 180}]},
        {"seconds": float("nan")},
    ),
    "composition": (
        {},
        {"scene": 3},
        {"scene": "nowhere"},
        {"scene": "config.yml\0"},
        {"scene": "config.yml", "objects": [{}] * 257},
        {"scene": "config.yml", "objects": []} | {"keep": []},
        {"scene": "config.yml", "keep": "all"},
        {"scene": "config.yml", "keep": ["a\x07b"]},
        {"scene": "config.yml", "film": "long"},
        *(
            {"scene": "config.yml", "objects": [{"run": "config.yml", "object": 1, **given}]}
            for given in (
                {},
                {"at": [0, 0]},
                {"at": [0, 0, float("nan")]},
                {"at": [0, 0, 10**400]},
                {"at": [0, 0, 0], "turn": "half"},
                {"at": [0, 0, 0], "scale": 0},
                {"at": [0, 0, 0], "scale": float("inf")},
                {"at": [0, 0, 0], "place": {}},
                {"at": [0, 0, 0], "object": -1},
                {"at": [0, 0, 0], "object": "x" * 5000},
                {"at": [0, 0, 0], "run": "../../../../etc/nowhere"},
                {"at": [0, 0, 0], "run": 3},
                {"at": [0, 0, 0], "name": "a\nb"},
                {"place": {"scale": 1e300}},
                {"place": {"rotation": [0, 0, 0, 0]}},
                {"place": {}, "turn": 90},
            )
        ),
    ),
    "mask manifest": (
        {"parameters": 3},
        {"generator": "graph", "parameters": []},
    ),
}

OPTIONS = (
    "render --frames 0",
    "render --seconds nan",
    "render --seconds inf",
    "render --seconds 86400 --fps 1000",
    "render --size 0",
    "render --size 3",
    "render --fps -1",
    "render --devices 0",
    "render --granularity 7",
    "render --output-dir words.txt",
    "export --output-dir words.txt",
    "export splats --output-dir words.txt",
    "export --resolution -1",
    "export --faces -1",
    "export --points 0",
    "export --hulls 0",
    "export --downscale 0",
    "export --texture 5",
    "export --metres-per-unit nan",
    "export --what",
    "export --splats scene.ply --resolution 64",
    "export --splats scene.ply --no-complete",
    "export splats --gaussians 0",
    "export splats --degree 4",
    "export splats --rays -5",
    "objects --granularity 7",
    "objects --granularity nan",
    "objects --tree --json",
    "objects name --vocabulary words.txt --views 0",
    "objects name --vocabulary words.txt --least-score nan",
    "objects move 1 --scale 0",
    "objects move 1 --by nan 0 0",
    "objects move 1 --turn inf",
    "objects copy 1",
    "objects copy 1 --scale 1e300",
    "objects recolor 1",
    "objects recolor 1 --tint 2 0 0",
    "objects recolor 1 --hue nan",
    "objects rename 1 a\x07b",
    "objects rename 1 7",
    "objects rename 1 rest",
    "objects rename 1 object_99",
    "objects granularity 7",
    "objects granularity nan",
    "objects granularity 0.5",
    "objects hide 99",
    "objects merge 1",
    "objects undo",
    "objects redo",
    "report --frames 0",
    "report --size 0",
    "report --scene-size -1",
    "report --output page.txt",
    "report --export-dir nowhere",
    "report --export-dir .",
    "eval",
    "eval --save words.txt",
    "eval --save maps --downscale 0",
    "eval --save maps --granularity -1",
    "eval --ground-truth nowhere",
    "masks refine --size 3 sam",
    "masks refine --shown 2 sam",
    "masks refine --workers 0 sam",
)
"""Commands on a run, without --load-config."""
ELSEWHERE = (
    "compose scene.json --frames 0",
    "compose scene.json --fps 0",
    "compose scene.json --viewer-port 70000",
    "compose nowhere.json",
    "masks --data nowhere",
    "masks --data nowhere graph --min-area 2",
    "masks --data nowhere sam --points-per-side 0",
    "masks show --data nowhere --size 0",
    "masks show --data nowhere --views -1",
    "objects --load-config .",
    "render --load-config nowhere.yml",
)


@pytest.fixture(scope="session")
def kept(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run, of which no test changes a file."""
    folder = tmp_path_factory.mktemp("bad") / "run"
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("*.tfevents*", "edit*.json"))
    return folder


@pytest.fixture
def folder(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the run's small files, which is the working folder."""
    for path in kept.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def sentences():
    all_of_them = Sentences()
    yield all_of_them
    all_of_them.renew()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(read: Callable[[], object]) -> str:
    with at_most(seconds=5), pytest.raises(UserError) as told:
        read()
    return str(told.value)


CASES = [(kind, name, text) for kind in READERS for name, text in BROKEN.items()] + [
    (kind, str(number), json.dumps(content)) for kind, rows in CONTENTS.items() for number, content in enumerate(rows)
]


@pytest.mark.parametrize(("kind", "name", "text"), CASES, ids=[f"{kind} {name}" for kind, name, _ in CASES])
def test_small_files(kind: str, name: str, text: str, folder: Path, sentences: Sentences) -> None:
    reader = READERS[kind]
    (folder / reader.file).write_text(text)
    before = files(folder)
    said = refused(lambda: reader.read(folder))
    assert reader.file in said and files(folder) == before
    shown = name if name in BROKEN else text if len(text) < 120 else f"{text[:120]}..."
    sentences.check(f"{reader.file} {name}: {shown}", said, folder)


@pytest.mark.parametrize("line", [*OPTIONS, *ELSEWHERE], ids=str)
def test_options(line: str, folder: Path, sentences: Sentences, capsys: pytest.CaptureFixture) -> None:
    words = line.split(" ")
    (folder / "words.txt").write_text("mug\n")
    before = files(folder)
    place = [] if line in ELSEWHERE else ["--load-config", str(folder / "config.yml")]
    cut = words.index("sam") if "refine" in words else len(words)
    try:
        code = main([*words[:cut], *place, *words[cut:]])
    except SystemExit as stop:  # tyro's, which draws a box around the sentence
        code = stop.code
    assert files(folder) == before
    said = " ".join(word for word in capsys.readouterr().err.split() if set(word) != {"-"})
    sentences.check(f"{ascii(line)[1:-1]} (exit code {code})", said, folder)
    assert code == (2 if "Error parsing" in said else 1)


@pytest.mark.parametrize("name", list(READERS))
def test_a_pipe_or_a_folder_in_the_place_of_a_file(name: str, folder: Path) -> None:
    path = folder / READERS[name].file
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    refused(lambda: READERS[name].read(folder))
    path.unlink()
    path.mkdir()
    refused(lambda: READERS[name].read(folder))


CONFIGS = {"empty": "", "broken": "a: [", "text": "just: text", "class": "!!python/object:nowhere.Nothing {}"}


@pytest.mark.parametrize("name", list(CONFIGS))
def test_configurations(name: str, folder: Path, sentences: Sentences) -> None:
    (folder / "config.yml").write_text(CONFIGS[name])
    for what, read in (("run", config_of), ("command", load_pipeline), ("radiance field", radiance_source)):
        sentences.check(
            f"config.yml of a {what}: {name}", refused(lambda read=read: read(folder / "config.yml")), folder
        )


@pytest.mark.parametrize("content", [[1], {"pipeline": [1]}, {"pipeline": {"_model.field": 3}}, {"step": 1}, 3])
def test_checkpoints_of_a_radiance_field(content, run: Run, folder: Path, sentences: Sentences) -> None:
    (folder / "nerfstudio_models").mkdir()
    path = folder / "nerfstudio_models" / "step-000000001.ckpt"
    torch.save(content, path)
    source = radiance_source(path)
    said = refused(lambda: load_radiance(source, run.trainer.pipeline.model))
    sentences.check(f"checkpoint of a radiance field: {content}", said, folder)


PLYS = {
    "empty": b"",
    "text": b"no ply",
    "spz": b"\x1f\x8b1234",
    "no end": b"ply\nformat ascii 1.0\n",
    "short": b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nend_header\n1",
    "many": b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n1",
    "no gaussians": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
}


@pytest.mark.parametrize("name", list(PLYS))
def test_files_of_gaussians(name: str, tmp_path: Path, sentences: Sentences) -> None:
    path = tmp_path / "splat.ply"
    path.write_bytes(PLYS[name])
    sentences.check(f"splat.ply: {name}", refused(lambda: read_ply(path)), tmp_path)


def test_the_matrix_is_whole(sentences: Sentences) -> None:
    """No sentence is kept of a case that is gone; where this test is run alone, nothing has been said."""
    assert RENEW or (len(sentences.kept) >= 80 and len(sentences.said) in (0, len(sentences.kept)))


@pytest.mark.parametrize("name", ["edit", "objects", "masks", "frame", "path"])
def test_readers_under_damage(name: str, folder: Path) -> None:
    """Whatever happens to a file, it is read or refused in a sentence."""
    edit = {"hidden": [1], "names": {"1": "mug"}, "colors": {"1": [0, 0.5, 1]}, "places": {"2": [{"scale": 2}]}}
    pose = {"camera_to_world": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "fov": 50}
    path = {"render_height": 4, "render_width": 4, "seconds": 1, "camera_path": [pose]}
    reader, chance, refusals = READERS[name], random.Random(0), []
    file = folder / reader.file
    healthy = json.dumps({"edit": edit, "path": path}[name]).encode() if name in ("edit", "path") else file.read_bytes()
    file.write_bytes(healthy)
    reader.read(folder)
    with at_most(seconds=20):
        for _ in range(100):
            file.write_bytes(damaged(healthy, chance))
            try:
                reader.read(folder)
            except UserError as error:
                refusals.append(str(error))
    assert refusals and all(reader.file in said and len(said) < 1000 for said in refusals)

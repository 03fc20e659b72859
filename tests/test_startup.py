"""What nerfstudio's commands pay for the plugin: options alone are imported, and no GPU is asked for."""

from __future__ import annotations

import copy
import inspect
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
import yaml
from nerfstudio.configs import external_methods

from disconerf_ns.compat.callers import name_callers_only
from disconerf_ns.compat.deferred import Deferred
from disconerf_ns.method import disconerf_small
from disconerf_ns.pipeline import DiscoNerfPipeline, DiscoNerfPipelineConfig
from disconerf_ns.training.checkpoint_files import FOLDER

HELP = """
import contextlib, importlib.metadata, io, json, os, sys

path = os.environ["PATH"]

found = importlib.metadata.entry_points

class NoPlugins(tuple):
    names = ()

importlib.metadata.entry_points = lambda **by: (
    NoPlugins() if by.get("group") == "nerfstudio.method_configs" else found(**by)
)
import nerfstudio.scripts.train, torch, tyro

before = set(sys.modules)

def forbidden(*_):
    raise AssertionError("torch.cuda was asked")

torch.cuda.is_available = torch.cuda.device_count = torch.cuda._lazy_init = forbidden
from disconerf_ns.method import disconerf, disconerf_small

methods = {spec.config.method_name: spec.config for spec in (disconerf, disconerf_small)}
printed = io.StringIO()
with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
    tyro.cli(tyro.extras.subcommand_type_from_defaults(methods), args=["--help"])
assert sys.excepthook is sys.__excepthook__ and os.environ["PATH"] == path, "both are those of the process"
print(json.dumps({"added": sorted(set(sys.modules) - before), "help": printed.getvalue()}))
"""
OPTIONS = (
    "compat", "compat.checkpoints", "compat.deferred", "compat.folder_lock", "config", "errors", "field",
    "kernels.hash_grid", "options", "method", "optimizer",
)  # fmt: skip


BROKEN = "tinycudann", "segment_anything", "open_clip", "sam2", "mitsuba", "pxr", "lpips"
"""Packages that the plugin may use; nerfstudio imports the first one itself, and goes on where that fails."""


def test_the_list_of_methods_imports_options_alone_and_changes_nothing(tmp_path: Path) -> None:
    """No GPU is asked for, and PATH and the hook for errors stay: both changed in every `ns-` command.

    Optional packages are installed here and cannot be imported, which is nothing to commands that do not use them.
    nerfstudio itself imports scipy, so the test looks at modules that the plugin adds.
    """
    for package in BROKEN:
        (tmp_path / f"{package}.py").write_text("raise ImportError('broken')")
    command = [sys.executable, "-c", HELP]
    paths = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    without_ffmpeg = {**os.environ, "PATH": "/without-ffmpeg", "PYTHONPATH": paths}
    root = Path(__file__).parents[1]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root, env=without_ffmpeg).stdout
    seen = json.loads(output.splitlines()[-1])
    assert "disconerf-small" in seen["help"]
    kernels = {f"disconerf_ns.kernels{name}" for name in ("", ".choice", ".composite")}
    added = {name for name in seen["added"] if not name.startswith("tyro.")}
    assert added <= {"disconerf_ns", *kernels, *(f"disconerf_ns.{name}" for name in OPTIONS)}


@dataclass
class Options:
    asked = 0

    @staticmethod
    def _ask() -> int:
        Options.asked += 1
        return 7

    size: int = field(default=Deferred(lambda: Options._ask()), repr=False)
    other: str = "x"


def test_a_late_default_is_computed_once_for_each_instance_that_is_asked() -> None:
    Options.asked = 0
    options = Options()
    assert repr(options) and Options.asked == 0
    assert (options.size, options.size, Options.asked) == (7, 7, 1)
    assert Options(3).size == 3 and Options.asked == 1
    options.size = 5
    assert copy.deepcopy(options).size == replace(options, other="y").size == 5 and Options.asked == 1


@pytest.mark.parametrize(("gpu", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch, gpu: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    machine = copy.deepcopy(disconerf_small.config.machine)
    vars(machine).pop("device_type", None)
    assert machine.device_type == device


def test_config_files_from_before_options_had_a_module_of_their_own() -> None:
    old = """!!python/object:disconerf_ns.pipeline.DiscoNerfPipelineConfig
_target: !!python/name:disconerf_ns.pipeline.DiscoNerfPipeline ''
object_iterations: 11
"""
    config = yaml.load(old, Loader=yaml.Loader)
    assert type(config) is DiscoNerfPipelineConfig
    assert config._target is DiscoNerfPipeline and config.object_iterations == 11


def test_config_files_are_read_back() -> None:
    again = yaml.load(yaml.dump(disconerf_small.config), Loader=yaml.Loader)
    assert again == disconerf_small.config
    assert again.pipeline._target is DiscoNerfPipeline


def test_callers_are_those_of_inspect() -> None:
    name_callers_only()
    named = [each.function for each in external_methods.inspect.stack()]
    assert named == [each.function for each in inspect.stack()] and named[0] == "test_callers_are_those_of_inspect"


def test_looking_for_checkpoints_imports_no_trainer() -> None:
    """`disconerf objects` of a run that is measured took twice as long when it began to look for a whole checkpoint."""
    code = "import disconerf_ns.training.checkpoint_files, sys; print('nerfstudio.engine.trainer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_broken_small_files_are_refused_before_a_run_is_loaded(tmp_path: Path) -> None:
    """`disconerf compose` took 17 seconds to say that a comma is missing: it imported what trains first."""
    (tmp_path / "config.yml").touch()
    for name, text in (("no", '{"scene": 1 2}'), ("film", '{"scene": "config.yml"}'), ("path", "{")):
        (tmp_path / f"{name}.json").write_text(text)
    code = """
import sys
from disconerf_ns.cli import main
print(main(["compose", "no.json"]), main(["compose", "film.json", "--camera-path", "path.json"]))
print("disconerf_ns.pipeline" in sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ended.stdout.split() == ["1", "1", "False"], ended.stderr
    assert "no.json: not a composition" in ended.stderr and "path.json: not a camera path" in ended.stderr


def test_checkpoints_are_looked_for_where_nerfstudio_puts_them() -> None:
    assert disconerf_small.config.relative_model_dir == Path(FOLDER)

"""A run's config.yml from a stranger: options are read, and nothing that the file names is run."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import yaml
from nerfstudio.configs.method_configs import method_configs

from disconerf_ns.errors import UserError
from disconerf_ns.method import disconerf, disconerf_small
from disconerf_ns.radiance_transfer import radiance_source
from disconerf_ns.runs import config_of, load_pipeline
from disconerf_ns.training.stored_config import LARGEST, read_config

HOSTILE = {
    "a shell": "!!python/object/apply:os.system ['touch {marker}']",
    "a process": "!!python/object/apply:subprocess.Popen [[touch, {marker}]]",
    "evaluated": "!!python/object/apply:builtins.eval ['open(\"{marker}\", \"w\")']",
    "opened": "!!python/object/new:io.FileIO ['{marker}', w]",
    "a method": "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.PosixPath ['{marker}']]",
    "nerfstudio's shell": "!!python/object/apply:nerfstudio.utils.scripts.run_command ['touch {marker}']",
    "through nerfstudio": "!!python/object/apply:nerfstudio.utils.scripts.subprocess.run [[touch, {marker}]]",
    "a class that acts": "!!python/object/apply:nerfstudio.utils.writer.LocalWriter ['{marker}']",
    "a target": "_target: !!python/name:os.system ''",
    "nerfstudio's function": "_target: !!python/name:nerfstudio.utils.scripts.run_command ''",
    "what nerfstudio imports": "_target: !!python/name:nerfstudio.data.utils.nerfstudio_collate.torch ''",
    "a module": "!!python/module:antigravity",
    "another package": "!!python/object:argparse.Namespace {{a: 1}}",
    "a pickle": "!!python/object/apply:torch.storage._load_from_bytes [!!binary '{pickle}']",
    "a part of an enumeration": (
        "!!python/object/apply:nerfstudio.utils.writer.EventName\nargs: [ETA (time)]\nstate: {{_value_: changed}}"
    ),
    "a list in a list": "[" * 1100,
}  # fmt: skip


class Touch:
    """Pickled, it creates a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_that_a_file_names_is_run(tmp_path: Path, content: str) -> None:
    marker, file = tmp_path / "marker", tmp_path / "config.yml"
    torch.save(Touch(marker), tmp_path / "pickle")
    pickled = yaml.dump((tmp_path / "pickle").read_bytes()).removeprefix("!!binary |").replace("\n", "")
    file.write_text(content.format(marker=marker, pickle=pickled.strip()))
    (tmp_path / "objects.json").write_text("{}")
    for read in (config_of, radiance_source, load_pipeline):
        with pytest.raises(UserError, match=r"config\.yml"):
            read(file)
    assert not marker.exists()


def test_a_file_too_large_to_be_options_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("a: b\n" * (LARGEST // 5 + 1))
    with pytest.raises(UserError, match="more than 512 kB"):
        config_of(tmp_path / "config.yml")


CONFIGS = {**method_configs, "disconerf": disconerf.config, "disconerf-small": disconerf_small.config}


@pytest.mark.parametrize("method", CONFIGS)
def test_options_of_every_method_are_read_as_nerfstudio_reads_them(tmp_path: Path, method: str) -> None:
    config = copy.deepcopy(CONFIGS[method])
    config.data = tmp_path / "data with ä"
    text = yaml.dump(config)
    (tmp_path / "config.yml").write_text(text)
    ours, nerfstudios = read_config(tmp_path / "config.yml"), yaml.load(text, Loader=yaml.Loader)
    assert type(ours) is type(nerfstudios) and ours == nerfstudios


def test_the_one_tensor_among_the_options_is_read(tmp_path: Path) -> None:
    """nerfstudio's data manager stores whether cameras are equirectangular as a tensor, pickled in base 64."""
    config = copy.deepcopy(disconerf_small.config)
    config.pipeline.datamanager.pixel_sampler.is_equirectangular = torch.tensor([True, False])
    (tmp_path / "config.yml").write_text(yaml.dump(config))
    sampler = config_of(tmp_path / "config.yml").pipeline.datamanager.pixel_sampler
    assert sampler.is_equirectangular.tolist() == [True, False]

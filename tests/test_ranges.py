"""Every numeric option has a range: all of them are found by their types, and each refuses what no number of it is."""

from __future__ import annotations

import copy
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, NamedTuple

import pytest
import tyro

from disconerf_ns.cli import COMMANDS, main
from disconerf_ns.config import check_training_options
from disconerf_ns.errors import UserError
from disconerf_ns.masks.proposers import config_class
from disconerf_ns.method import disconerf
from disconerf_ns.options import Range

NEEDED = {
    "masks": "--data d", "masks convert": "m --data d", "masks ground-truth": "--data d", "masks show": "--data d",
    "objects name": "--load-config c --vocabulary v", "objects move": "1 --load-config c",
    "objects copy": "1 --load-config c", "objects recolor": "1 --load-config c", "compose": "f",
}  # fmt: skip
"""What a command cannot be without; most cannot be without a run."""
WITH_PROPOSER = {"masks": ("sam", "transformers", "graph"), "masks refine": ("transformers", "sam")}
"""Proposers that come after a command's own options."""


class Numeric(NamedTuple):
    """An option that takes numbers."""

    name: str
    kind: type
    count: int
    """Numbers that it takes."""
    flag: str
    """Its name with dashes; empty where its place says what it is."""

    @property
    def impossible(self) -> tuple[Any, ...]:
        return (10**19, -(10**19)) if self.kind is int else (float("nan"), 1e31, -1e31)


def numeric(group: type, own: bool = False) -> Iterator[Numeric]:
    """Numeric options of a dataclass; only those that it does not inherit from another package, if so."""
    hints = typing.get_type_hints(group, include_extras=True)
    ours = {name for kind in group.__mro__ if is_ours(kind) for name in inspect.get_annotations(kind)}
    for option in fields(group):
        if (not own or option.name in ours) and (found := numbers_of(hints[option.name])) is not None:
            positional = tyro.conf.Positional in typing.get_args(hints[option.name])
            yield Numeric(option.name, *found, "" if positional else f"--{option.name.replace('_', '-')}")


def is_ours(kind: type) -> bool:
    """Whether a class is of this package."""
    return kind.__module__.startswith("disconerf_ns")


def numbers_of(hint: Any) -> tuple[type, int] | None:
    """Kind and count of the numbers that an option's type takes; None for other types."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float):
        return hint, 1
    if origin is tuple and (found := numbers_of(inner[0])) is not None:
        return found[0], 1 if inner[-1] is ... else len(inner)
    if origin in (typing.Union, types.UnionType, Annotated):
        return next(filter(None, map(numbers_of, inner)), None)
    return None


def commands() -> Iterator[tuple[str, Numeric]]:
    """Command lines up to their numeric options, without the run."""
    for name, (place, _) in COMMANDS.items():
        line = f"{name} {NEEDED.get(name, '--load-config c')}"
        for option in numeric(resolve_name(place)):
            yield f"{line} @ {WITH_PROPOSER.get(name, ('',))[-1]}", option
        for proposer in WITH_PROPOSER.get(name, ()):
            for option in numeric(config_class(proposer)):
                yield f"{line} {proposer} @", option


ALL = list(commands())


@pytest.mark.parametrize(("line", "option"), ALL, ids=[f"{line} {each.name}" for line, each in ALL])
def test_commands(line: str, option: Numeric, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    for value in option.impossible:
        given = [*filter(None, [option.flag]), *[str(value)] * option.count]
        arguments = [part for word in line.split() for part in (given if word == "@" else [word])]
        try:
            code = main(arguments)
        except SystemExit as stop:  # tyro's
            code = stop.code
        said = " ".join(capsys.readouterr().err.split())
        assert code in (1, 2) and f"{option.flag or option.name} is {value}; it has to be " in said, said


def groups(config: Any, path: str = "") -> Iterator[tuple[Any, str]]:
    """A configuration and those in it, with their paths."""
    yield config, path
    for each in fields(config):
        inner = getattr(config, each.name)
        if is_dataclass(inner) and is_ours(type(inner)):
            yield from groups(inner, f"{path}{each.name}.")


OPTIONS = [(path, option) for group, path in groups(disconerf.config) for option in numeric(type(group), own=True)]
"""Options of a run that are ours; nerfstudio has some more, and checks none."""


@pytest.mark.parametrize(("path", "option"), OPTIONS, ids=[path + each.name for path, each in OPTIONS])
def test_options_of_a_run(path: str, option: Numeric) -> None:
    for value in option.impossible:
        config = copy.deepcopy(disconerf.config)
        group = config
        for part in path.split(".")[:-1]:
            group = getattr(group, part)
        several = isinstance(getattr(group, option.name), tuple)
        setattr(group, option.name, (value,) if several else value)
        with pytest.raises(UserError) as refused:
            check_training_options(config)
        assert f"--{path}{option.name} is {value}; it has to be ".replace("_", "-") in str(refused.value)


def test_a_number_may_be_allowed_beside_a_range() -> None:
    texture = Range(64, 128, also=0)
    assert [number for number in (-1, 0, 1, 63, 64, 128, 129) if texture.has(number)] == [0, 64, 128]
    assert str(texture) == "0, or from 64 to 128"


def test_all_are_found() -> None:
    names = {option.name for _, option in ALL} | {option.name for _, option in OPTIONS}
    assert {"resolution", "frames", "granularity", "tint", "void", "workers", "slots", "frozen_samples"} <= names
    assert len(ALL) > 80 and len(OPTIONS) > 35

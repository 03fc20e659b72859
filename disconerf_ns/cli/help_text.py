"""The help of options in whole lines: tyro breaks it where the docstring in the source is broken, whatever fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

import docstring_parser


def join_lines(command: type) -> None:
    """Give tyro the help of a command's options, and of its subcommands', without the source's line breaks."""
    for options in _dataclasses_in(command):
        parsed = (docstring_parser.parse_from_object(each).params for each in reversed(options.__mro__[:-1]))
        told = {each.arg_name: each.description for params in parsed for each in params}
        for field in fields(options):
            if text := told.get(field.name):
                field.metadata = MappingProxyType({**field.metadata, "help": " ".join(text.split())})


def _dataclasses_in(kind: Any) -> Iterator[type]:
    """A class of options, and those that its options hold."""
    if is_dataclass(kind) and isinstance(kind, type):
        yield kind
        for held in get_type_hints(kind, include_extras=True).values():
            yield from _dataclasses_in(held)
    for part in get_args(kind):
        yield from _dataclasses_in(part)

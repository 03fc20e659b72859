"""Small JSON files that anybody may have written: each value is read with its place in the file, type and range."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disconerf_ns.errors import UserError, cause, reason
from disconerf_ns.files import regular

LARGEST = 2**26
"""Bytes of a file, at most."""
MOST = 1_000_000
"""Entries of a list or an object, at most."""
GREATEST = 1e30
"""Absolute value of a number, at most, where nothing else is said."""
SHOWN = 60
"""Characters of a wrong value that a sentence shows, at most."""


@contextmanager
def small_json(path: Path, kind: str, remedy: str) -> Iterator[Value]:
    """Open a JSON file; what the block finds wrong with its content becomes one sentence.

    Args:
        path: the file.
        kind: what it has to be, such as "an edit".
        remedy: end of the sentence, which says what to do.
    Raises:
        UserError: the file is missing, too large, no regular file or not JSON, or the block raised a ValueError.
    """
    try:
        yield Value(_content(path))
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not {kind} ({cause(error)}); {remedy}") from error


def _content(path: Path) -> Any:
    size = regular(path).stat().st_size
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes, more than {LARGEST:,}")
    return parsed(path.read_bytes())


class _GivenTwice(ValueError):
    """An object has two entries of one name, of which Python would take the last without a word."""


def parsed(text: str | bytes) -> Any:
    """The content of JSON, in which no object has two entries of one name.

    Raises:
        ValueError: it is none; says why.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except _GivenTwice:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not JSON: {reason(error)}") from None
    except ValueError:
        raise ValueError("it has a number of too many digits") from None


def _each_once(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(entries)
    if len(content) < len(entries):
        names = [name for name, _ in entries]
        raise _GivenTwice(f"it has {_said(next(name for name in content if names.count(name) > 1))} twice")
    return content


@dataclass(frozen=True)
class Value:
    """A value and its place in a file, such as `objects[3].box`; every method raises a ValueError that names both.

    >>> row = Value({"share": 0.5, "box": [[0, 0, 0], [1, 1, "x"]]})
    >>> row["share"].number(0, 1)
    0.5
    >>> row["box"].list(2)[1].numbers(3)
    Traceback (most recent call last):
    ValueError: box[1][2] is 'x', not a number
    """

    content: Any
    place: str = ""

    def __getitem__(self, name: str) -> Value:
        """An entry of an object, which has to be there."""
        if name not in self.object().content:
            raise ValueError(f"{self.place or 'it'} has no {name}")
        return self._entry(name)

    def get(self, name: str, default: Any) -> Value:
        """An entry of an object, or a default in its place."""
        return self._entry(name) if name in self.object().content else Value(default, self._place(name))

    def object(self, known: Collection[str] | None = None) -> Value:
        """The same value, which is an object.

        Args:
            known: the entries that it can have; None for any.
        """
        if not isinstance(self.content, dict) or len(self.content) > MOST:
            raise self.wrong("a JSON object")
        if known is not None and (unknown := self.content.keys() - set(known)):
            raise ValueError(
                f"{self.place or 'it'} has an unknown entry {_said(min(unknown))}; known are {', '.join(known)}"
            )
        return self

    def items(self) -> Iterator[tuple[str, Value]]:
        """Names and entries of an object."""
        return ((name, self._entry(name)) for name in self.object().content)

    def list(self, count: int | None = None, most: int = MOST) -> Sequence[Value]:
        """The entries of a list of so many, or of at most so many."""
        low, high = (0, most) if count is None else (count, count)
        if not isinstance(self.content, list) or not low <= len(self.content) <= high:
            length = f"{count}" if count is not None else f"at most {most}" if most < MOST else ""
            raise self.wrong(f"a list of {length}" if length else "a list")
        return [Value(each, f"{self.place}[{number}]") for number, each in enumerate(self.content)]

    def whole(self, low: int = 0, high: int = 2**53) -> int:
        """A whole number of a range."""
        if type(self.content) is not int:
            raise self.wrong("a whole number")
        if not low <= self.content <= high:
            raise self.wrong(f"from {low} to {high}")
        return self.content

    def number(self, low: float | int = -GREATEST, high: float | int = GREATEST) -> float:
        """A finite number of a range."""
        if type(self.content) not in (int, float):
            raise self.wrong("a number")
        if type(self.content) is float and not math.isfinite(self.content):
            raise self.wrong("a finite number")
        if not low <= self.content <= high:
            raise self.wrong(f"from {low:g} to {high:g}")
        return float(self.content)

    def numbers(self, count: int) -> Sequence[float]:
        """So many finite numbers."""
        return [each.number() for each in self.list(count)]

    def vector(self) -> tuple[float, float, float]:
        """Three finite numbers."""
        x, y, z = self.numbers(3)
        return x, y, z

    def flag(self) -> bool:
        """True or false."""
        if type(self.content) is not bool:
            raise self.wrong("true or false")
        return self.content

    def text(self, longest: int = 1000) -> str:
        """Text that can be shown, of at most so many characters."""
        if not isinstance(self.content, str):
            raise self.wrong("text")
        if len(self.content) > longest:
            raise ValueError(f"{self.place} has {len(self.content)} characters, more than {longest}")
        if not self.content.isprintable():
            raise self.wrong("text that can be shown")
        return self.content

    def wrong(self, kind: str) -> ValueError:
        """The error that this value is not what it has to be."""
        return ValueError(f"{self.place or 'it'} is {_said(self.content)}, not {kind}")

    def _entry(self, name: str) -> Value:
        return Value(self.content[name], self._place(name))

    def _place(self, name: str) -> str:
        name = name[:SHOWN].encode("ascii", "backslashreplace").decode()
        return f"{self.place}.{name}" if self.place else name


def _said(content: Any) -> str:
    """A value in short; of lists and objects only their length, however deep they are."""
    if isinstance(content, list):
        return f"a list of {len(content)}"
    if isinstance(content, dict):
        return f"an object of {len(content)} entries"
    text = "a number of many digits" if type(content) is int and abs(content) >= 10**SHOWN else ascii(content)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

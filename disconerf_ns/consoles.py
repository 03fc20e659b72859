"""Terminals and log files: no line that is printed ends the program, and long work says how far it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import TextIOWrapper
from operator import length_hint
from time import monotonic
from typing import TypeVar

Item = TypeVar("Item")


def escape_what_cannot_be_shown() -> None:
    r"""Let standard output and errors write a character that their encoding lacks as `\xfc`, and never raise at it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def reader_left() -> bool:
    """Whether the pipe that broke is standard output, whose reader, such as `head`, stopped; the rest is dropped."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Say on stderr how far work is, and the time that is left: a bar, or on no terminal a line after each tenth.

    Args:
        what: the work, such as "filming".
        total: number of its steps.
    Yields:
        A function to call after each step, with the name of what it was about, or without one.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task, start = bar.add_task(what, total=total), monotonic()

        def advance(about: str = "") -> None:
            bar.update(task, advance=1, description=f"{what} {about}".rstrip())
            done = int(bar.tasks[0].completed)
            if bar.disable and 10 * done // total > 10 * (done - 1) // total:
                left = timedelta(seconds=round((monotonic() - start) / done * (total - done)))
                print(f"{what}: {done} of {total}" + (f", {left} left" if left else ""), file=sys.stderr, flush=True)

        yield advance


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Go through items, whose number is given where they do not know it, and say how far that is as `progress` does."""
    with progress(what, length_hint(items) if total is None else total) as advance:
        for item in items:
            yield item
            advance()

"""Shapes and types of arguments are checked at the first calls of each function in a test, not at thousands alike.

jaxtyping's check takes longer than many a function that it checks: half of the time of a test that presses buttons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache, wraps
from inspect import isfunction
from types import CodeType

import jaxtyping
from jaxtyping import _decorator

FIRST = 3
"""Calls of a function that are checked in a test."""

calls: Counter[CodeType] = Counter()
"""Calls so far in this test, by code: functions that are made inside of others are new each time, their code is not."""


def check_first_calls() -> None:
    """Let jaxtyping check the first calls alone, in all modules that are imported from now on."""
    jaxtyping.jaxtyped = _decorator.jaxtyped = _of_first_calls(_decorator.jaxtyped)


def _of_first_calls(jaxtyped: Callable) -> Callable:
    def decorate(function: Callable, *, typechecker: Callable | None) -> Callable:
        if not isfunction(function):
            return jaxtyped(function, typechecker=typechecker)
        checked = cache(lambda: jaxtyped(function, typechecker=typechecker))  # of those that are called

        @wraps(function)
        def counted(*arguments, **named):
            __tracebackhide__ = True
            if calls[function.__code__] >= FIRST:
                return function(*arguments, **named)
            calls[function.__code__] += 1
            return checked()(*arguments, **named)

        return counted

    def of_first_calls(function: Callable | None = None, *, typechecker: Callable | None) -> Callable:
        if function is None:
            return lambda function: decorate(function, typechecker=typechecker)
        return decorate(function, typechecker=typechecker)

    return of_first_calls

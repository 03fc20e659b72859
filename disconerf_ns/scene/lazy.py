"""Properties that are computed when they are first read, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class lazy(Generic[Value]):
    """`functools.cached_property` as it is from Python 3.12 on.

    Before, all instances of a class share a lock for each property. A thread that computes the property of one scene
    and waits for the networks then stops, for ever, a thread that has the networks and reads the property of another
    scene. Here, threads that read at the same time may compute the value twice, and agree on the first.
    """

    def __init__(self, compute: Callable[[Any], Value]):
        self._compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str):
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        return vars(instance).setdefault(self._name, self._compute(instance))

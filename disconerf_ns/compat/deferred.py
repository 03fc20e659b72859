"""Defaults that are looked up when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

Value = TypeVar("Value")


class Deferred:
    """The default of a dataclass's field, computed when an instance is first asked for it; other values are kept.

    nerfstudio builds every method's options with every command; what they name is then not imported yet. The field is
    declared with `repr=False`, because tyro prints defaults to itself.

    Args:
        compute: gives the default.
    """

    if TYPE_CHECKING:

        def __new__(cls, compute: Callable[[], Value]) -> Value:
            """To a type checker it is the value itself, which has the field's type."""
            ...

    def __init__(self, compute: Callable[[], Any]):
        self.compute = compute

    def __set_name__(self, owner: type, name: str):
        self.name = name

    def __get__(self, options: object | None, owner: type) -> Any:
        if options is None:  # the dataclass asks for the field's default
            return self
        if self.name not in vars(options):
            vars(options)[self.name] = self.compute()
        return vars(options)[self.name]

    def __set__(self, options: object, value: Any):
        if value is not self:
            vars(options)[self.name] = value

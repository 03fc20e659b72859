"""A mapping of output names to images that computes an entry when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor


class LazyOutputs(dict):
    """Outputs of one camera or ray bundle: a hundred objects cost nothing until one of them is read.

    A `dict`, because nerfstudio also adds entries of its own.

    Args:
        recipes: for each name the function that computes its tensor; called at most once.
        unlisted: the same for names that can be read but are not listed.
        fallback: name whose tensor is read in the place of an unknown one; None raises a `KeyError` then.
    """

    def __init__(
        self,
        recipes: Mapping[str, Callable[[], Tensor]],
        unlisted: Mapping[str, Callable[[], Tensor]] | None = None,
        fallback: str | None = None,
    ):
        super().__init__()
        self._listed = tuple(recipes)
        self._recipes = {**recipes, **(unlisted or {})}
        self._fallback = fallback

    def __missing__(self, name: str) -> Tensor:
        if name not in self._recipes and self._fallback is not None:
            return self[self._fallback]
        self[name] = value = self._recipes[name]()
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._recipes or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._listed
        yield from (name for name in super().__iter__() if name not in self._recipes)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def keys(self):
        """Every listed name, computed or not."""
        return list(self)

    def values(self):
        """Every listed entry; computes them all."""
        return [self[name] for name in self]

    def items(self):
        """Every listed name with its entry; computes them all."""
        return [(name, self[name]) for name in self]

    def get(self, name: str, default=None):
        """The entry, computed if need be, or `default` for an unknown name."""
        return self[name] if name in self else default

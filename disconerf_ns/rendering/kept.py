"""Results that a frame keeps: each under the key of all that it depends on."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable, MutableMapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from disconerf_ns.rendering.parts import select_rays, together


class Entry(NamedTuple):
    """A result, and the key that it is kept under."""

    key: Hashable
    result: Any


class Kept:
    """Results of a frame's rays by name; `parts.select_rays` says of which kinds they can be.

    Args:
        entries: what is kept already.
    """

    def __init__(self, entries: MutableMapping[str, Entry] | None = None):
        self.entries: MutableMapping[str, Entry] = {} if entries is None else entries

    def has(self, name: str, key: Hashable) -> bool:
        """Whether a result is kept under the same key."""
        return name in self.entries and self.entries[name].key == key

    def put(self, name: str, key: Hashable, result: Any) -> None:
        """Keep a result in the place of what had its name."""
        self.entries[name] = Entry(key, result)

    def copied(self) -> Kept:
        """The same results, apart from what either keeps from now on."""
        return Kept(dict(self.entries))

    def layered(self) -> Kept:
        """A layer above these results: it reads them, now and later, and what is put into it stays in it."""
        return Kept(ChainMap({}, self.entries))

    def at(self, rays: Int[Tensor, "some"]) -> Kept:
        """The results of some of the rays, by index."""
        return Kept({name: Entry(key, select_rays(result, rays)) for name, (key, result) in self.entries.items()})

    @classmethod
    def joined(cls, parts: Sequence[Kept], rays: Sequence[Int[Tensor, "_"]]) -> Kept:
        """Join the results of parts of the rays. Only results that every part keeps under the same key are taken.

        Args:
            parts: results of some of the rays each.
            rays: the indices of each part's rays; together all rays, each once.
        """
        order, counts = torch.cat(list(rays)).argsort(), [len(some) for some in rays]
        whole = cls()
        for name, (key, _) in parts[0].entries.items():
            if all(part.has(name, key) for part in parts):
                results = together([part.entries[name].result for part in parts], counts)
                whole.put(name, key, select_rays(results, order))
        return whole

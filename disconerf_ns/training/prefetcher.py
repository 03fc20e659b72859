"""A prefetcher, which fetches the next batch while the current one is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Generic, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key")
Batch = TypeVar("Batch")


class Prefetcher(Generic[Key, Batch]):
    """Fetches batches in its own thread and, with a GPU, on its own CUDA stream.

    Args:
        fetch: makes the batch of a key; its `non_blocking` copies to the GPU run beside the computation.
        tensors: returns all tensors of a batch.
        device: device that computes with the batches.
    """

    def __init__(
        self,
        fetch: Callable[[Key], Batch],
        tensors: Callable[[Batch], Iterable[Tensor]],
        device: torch.device | str,
    ):
        self._fetch, self._tensors, self._device = fetch, tensors, torch.device(device)
        self._expected: tuple[Key, Future[Batch]] | None = None

    def take(self, key: Key, following: Key | None) -> Batch:
        """Return the batch of a key, and start to fetch the batch of the following key; None starts nothing.

        Raises:
            Exception: any exception that `fetch` raised for this key.
        """
        expected, self._expected = self._expected, None
        batch = expected[1].result() if expected is not None and expected[0] == key else self._fetched(key)
        if following is not None:
            self._expected = following, self._thread.submit(self._fetched, following)
        if self._stream is not None:  # the memory must not be reused before the current stream has read it
            for tensor in self._tensors(batch):
                tensor.record_stream(torch.cuda.current_stream(self._device))
        return batch

    def _fetched(self, key: Key) -> Batch:
        if self._stream is None:
            return self._fetch(key)
        with torch.cuda.stream(self._stream):
            batch = self._fetch(key)
        self._stream.synchronize()
        return batch

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="next batch")

    @cached_property
    def _stream(self) -> torch.cuda.Stream | None:
        return torch.cuda.Stream(self._device) if self._device.type == "cuda" else None

"""Batches that are fetched ahead: which, when and in which thread, and what a failure does."""

from __future__ import annotations

import threading

import pytest
import torch

from disconerf_ns.training.prefetcher import Prefetcher


class Shelf:
    """Batches that can be held back."""

    def __init__(self):
        self.fetched, self.open = [], threading.Event()
        self.open.set()

    def fetch(self, key: int) -> str:
        self.open.wait(10)
        self.fetched.append((key, threading.current_thread() is threading.main_thread()))
        if key < 0:
            raise ValueError(f"no {key}")
        return f"batch {key}"


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_the_following_batch_is_fetched_meanwhile(shelf: Shelf) -> None:
    ahead = Prefetcher(shelf.fetch, lambda batch: (), "cpu")
    assert ahead.take(1, following=2) == "batch 1"
    assert ahead.take(2, following=3) == "batch 2"
    assert ahead.take(3, following=None) == "batch 3"
    assert ahead.take(4, following=None) == "batch 4"
    assert shelf.fetched == [(1, True), (2, False), (3, False), (4, True)]


def test_nobody_waits_for_what_follows(shelf: Shelf) -> None:
    ahead = Prefetcher(shelf.fetch, lambda batch: (), "cpu")
    assert ahead.take(1, following=None) == "batch 1"
    ahead.take(2, following=3)
    while len(shelf.fetched) < 3:
        pass
    shelf.open.clear()
    assert ahead.take(3, following=4) == "batch 3"
    assert len(shelf.fetched) == 3
    shelf.open.set()
    assert ahead.take(4, following=None) == "batch 4"


def test_another_batch_than_expected_is_fetched_all_the_same(shelf: Shelf) -> None:
    ahead = Prefetcher(shelf.fetch, lambda batch: (), "cpu")
    ahead.take(1, following=2)
    assert ahead.take(7, following=None) == "batch 7"
    assert ahead.take(2, following=None) == "batch 2"


def test_a_failure_is_met_by_who_takes_the_batch(shelf: Shelf) -> None:
    ahead = Prefetcher(shelf.fetch, lambda batch: (), "cpu")
    assert ahead.take(1, following=-2) == "batch 1"
    with pytest.raises(ValueError, match="no -2"):
        ahead.take(-2, following=3)
    assert ahead.take(3, following=None) == "batch 3"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpus_batches_hold_what_was_copied() -> None:
    host = [torch.full((1 << 20,), float(key)).pin_memory() for key in range(20)]
    ahead = Prefetcher(lambda key: host[key].to("cuda", non_blocking=True), lambda batch: (batch,), "cuda")
    sums = [ahead.take(key, key + 1 if key < 19 else None).sum() for key in range(20)]
    assert [float(value) for value in sums] == [key * 2.0**20 for key in range(20)]

"""The lock of a training with clients: nobody is passed over, and an interruption while waiting blocks nobody."""

from __future__ import annotations

import threading
import time

import pytest

from disconerf_ns.training.fair_lock import FairLock


def test_everybody_gets_it_in_the_order_of_asking() -> None:
    lock, order = FairLock(), []

    def ask(number: int) -> None:
        with lock:
            order.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    with lock:
        for waiting, thread in enumerate(threads, 2):
            thread.start()
            while len(lock._line) < waiting:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join(5)
    assert order == list(range(8))


def test_one_who_asks_between_greedy_ones_comes_next() -> None:
    """Four threads take the lock again as soon as they have let it go; each holds it for 5 ms."""
    lock, over, turns = FairLock(), threading.Event(), []

    def greedy() -> None:
        while not over.is_set():
            with lock:
                turns.append(1)
                time.sleep(0.005)

    threads = [threading.Thread(target=greedy) for _ in range(4)]
    for thread in threads:
        thread.start()
    waited = []
    for _ in range(10):
        before = len(turns)
        with lock:
            waited.append(len(turns) - before)
    over.set()
    for thread in threads:
        thread.join(5)
    assert max(waited) <= 5, "one turn of each of the four, and one that was begun"


def test_an_interruption_while_waiting_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FairLock()

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with lock:
        with monkeypatch.context() as patch:
            patch.setattr(lock._changed, "wait_for", interrupted)
            with pytest.raises(KeyboardInterrupt), lock:
                pytest.fail("it is held")
        assert len(lock._line) == 1
    with lock:
        pass
    assert not lock._line

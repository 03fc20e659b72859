"""Tiles at the same time: while no training step runs, for several people at once, whatever ends it."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
import torch
from viewer_presses import wait_for

from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.viewer import background
from disconerf_ns.viewer.workers import Workers


@pytest.fixture
def radiance(model: DiscoNerfModel):
    return model.current.value.trained.radiance


def a_step(model: DiscoNerfModel) -> threading.Event:
    """Set as soon as a training step has been made in another thread."""
    made = threading.Event()

    def make() -> None:
        with model.turns.alone():
            made.set()

    threading.Thread(target=make, daemon=True).start()
    return made


def test_works_run_at_once_and_no_step_comes_between(model: DiscoNerfModel, radiance) -> None:
    both = threading.Barrier(2, timeout=10)

    def work() -> None:
        with radiance.still():  # in the turn of the one who waits
            both.wait()

    workers = Workers(2)
    with closing(workers.done(radiance, [work, work])) as done:
        first = next(done)
        step = a_step(model)
        time.sleep(0.05)
        assert not step.is_set()
        assert {first, *done} == {0, 1}
    wait_for(step.is_set)


def test_one_who_comes_later_does_not_wait_for_all_that_others_want(radiance) -> None:
    """A person's picture became sharp only after another's was."""
    workers, order = Workers(2), []

    def ask(name: str, count: int) -> None:
        def work() -> None:
            time.sleep(0.01)
            order.append(name)

        with closing(workers.done(radiance, [work] * count)) as done:
            list(done)

    first = threading.Thread(target=ask, args=("first", 60))
    first.start()
    wait_for(lambda: order)
    ask("second", 6)
    assert order.count("first") < 30, "both got on"
    first.join()
    assert (order.count("first"), order.count("second")) == (60, 6)


def test_one_thread_keeps_the_order(radiance) -> None:
    order: list[int] = []
    works = [lambda number=number: order.append(number) for number in range(20)]
    assert list(Workers(1).done(radiance, works)) == order == list(range(20))


def test_nothing_begins_after_it_is_closed_and_a_step_may_follow(model: DiscoNerfModel, radiance) -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.02)

    done = Workers(2).done(radiance, [lambda number=number: work(number) for number in range(100)])
    next(done)
    done.close()
    count = len(begun)
    assert count < 20
    wait_for(a_step(model).is_set)
    time.sleep(0.1)
    assert len(begun) == count


def test_an_error_of_a_work_is_raised_and_a_step_may_follow(model: DiscoNerfModel, radiance) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Workers(2).done(radiance, [fail, lambda: None]))
    wait_for(a_step(model).is_set)


def test_workers_that_begin_together_leave_torch_s_threads_to_others(radiance) -> None:
    before = torch.get_num_threads()
    with background._setting:  # threads of other tests may be setting it
        torch.set_num_threads(2)
    try:
        gathered, counts = threading.Barrier(6, timeout=10), []
        works = [lambda: (gathered.wait(), counts.append(torch.get_num_threads()))] * 6
        assert len(list(Workers(6).done(radiance, works))) == 6
        assert counts == [1] * 6
        later = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert counts[-1] == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

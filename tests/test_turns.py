"""Turns at a field: pictures look at it together, a step has it alone, and an interruption leaves nothing held."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from disconerf_ns.model import DiscoNerfModel
from disconerf_ns.rendering import turns as module
from disconerf_ns.rendering.turns import Turns, covered, let_go

WAIT = 0.05
"""Seconds in which a thread that can go on does so."""


class Interruption(Exception):
    """nerfstudio's, between any two lines."""


def elsewhere(work: Callable[[], None]) -> threading.Event:
    """Set as soon as another thread has done something."""
    done = threading.Event()
    threading.Thread(target=lambda: (work(), done.set()), daemon=True).start()
    return done


def enters(context: Callable) -> Callable[[], None]:
    def work() -> None:
        with context():
            pass

    return work


def test_several_look_at_the_same_time() -> None:
    turns = Turns()
    with turns.shared(), turns.shared():
        assert elsewhere(enters(turns.shared)).wait(5)


def test_a_step_waits_until_nobody_looks_and_nobody_looks_meanwhile() -> None:
    turns = Turns()
    with turns.shared():
        step = elsewhere(enters(turns.alone))
        assert not step.wait(WAIT)
    assert step.wait(5)
    with turns.alone(), turns.shared():  # the step itself looks as well
        look = elsewhere(enters(turns.shared))
        assert not look.wait(WAIT)
    assert look.wait(5)


def test_one_who_has_looked_before_waits_for_a_step_too() -> None:
    turns, looked, again, done = Turns(), *(threading.Event() for _ in range(3))

    def look_twice() -> None:
        enters(turns.shared)()
        looked.set()
        again.wait()
        enters(turns.shared)()
        done.set()

    threading.Thread(target=look_twice, daemon=True).start()
    looked.wait()
    with turns.alone():
        again.set()
        assert not done.wait(WAIT)
    assert done.wait(5)


@pytest.mark.parametrize("training", [False, True])
def test_only_a_step_leaves_the_model_learning(model: DiscoNerfModel, training: bool) -> None:
    """A picture that ended while another was drawn let that one go on in training mode."""
    first, second = model.still(), model.still()
    model.train(training)
    with torch.no_grad():
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert not model.training
        second.__exit__(None, None, None)
    with model.learns():
        with model.still():
            assert not model.training and not torch.is_grad_enabled()
        assert model.training and torch.is_grad_enabled()
    model.eval()


def test_a_covered_thread_looks_in_another_s_turn(model: DiscoNerfModel) -> None:
    def look() -> None:
        with covered(), model.still():
            pass

    with model.learns():
        assert elsewhere(look).wait(5)
    model.eval()


def interrupted_at(line: int, work: Callable[[], None]) -> bool:
    """Do something, and interrupt it at some line of ours, torch's or the standard library's; whether there is one."""
    left = [line]

    def trace(frame, event, arg):
        if Path(frame.f_code.co_filename).parts[0] != "/" or "jaxtyping" in frame.f_code.co_filename:
            return None  # checks of types, which tests alone have, take an interruption for a wrong type
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                raise Interruption
        return trace

    sys.settrace(trace)
    try:
        work()
    except Interruption:
        pass
    finally:
        sys.settrace(None)
    return left[0] <= 0


def test_a_turn_that_an_interruption_at_any_line_leaves_taken_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption at the end of a `with` block is raised before the block is left: the lock was held for ever."""
    turns = Turns()

    @contextmanager
    def looking() -> Iterator[None]:
        with turns.shared():
            yield

    def look_anew() -> None:
        """As a thread that has not looked before."""
        monkeypatch.setattr(module, "_thread", module._OfThread())
        with looking(), turns.shared():
            pass

    line, left = 1, 0
    while interrupted_at(line, look_anew):
        step = elsewhere(enters(turns.alone))
        left += not step.wait(0.02)
        let_go()
        assert step.wait(5), f"line {line} leaves a turn taken"
        line += 1
    assert left > 0, "some lines do"

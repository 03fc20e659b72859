"""Many workers: every image done once, workers that die, images that kill, proposers that cannot start, and kill -9."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from disconerf_ns.cli import main
from disconerf_ns.errors import UserError
from disconerf_ns.masks import making, processes, store
from disconerf_ns.masks.crew import crew
from disconerf_ns.masks.dispatch import TRIES, dispatch
from disconerf_ns.masks.image_masks import ImageMasks
from disconerf_ns.masks.images import read_image
from disconerf_ns.masks.making import FULL, Done, Job
from disconerf_ns.masks.store import MaskStore


@dataclass
class Full:
    """A proposer in whose process no file can be written any more."""

    notes: Path

    def setup(self):
        """Itself, after the disk has filled."""

        def write(path: Path, content: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        store.write_whole = write
        return Fragile(self.notes)


@dataclass
class Fragile:
    """A proposer that ends its process at some images, once or always, as the system does when memory runs out.

    An image's blue tells: 0 is harmless, 1 kills the first worker, 2 kills every worker.
    """

    notes: Path
    starts: bool = True

    def setup(self):
        """Itself, where it can run."""
        if not self.starts:
            raise UserError("masks: no weights.")
        return self

    def __call__(self, image: np.ndarray) -> ImageMasks:
        """One mask."""
        number, kind = int(image[0, 0, 0]), int(image[0, 0, 2])
        note = self.notes / str(number)
        if kind == 2 or (kind == 1 and not note.exists()):
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        note.touch()
        return ImageMasks.from_arrays(np.ones((1, 2, 2), bool))


def jobs_of(root: Path, kinds: list[int]) -> list[Job]:
    (root / "images").mkdir()
    (root / "notes").mkdir()
    jobs = []
    for number, kind in enumerate(kinds):
        path = root / f"images/{number:02d}.png"
        Image.new("RGB", (2, 2), (number, 0, kind)).save(path)
        jobs.append(Job(f"{number:02d}", path))
    return jobs


def run(root: Path, jobs: list[Job], workers: int, ray: str | None = None, stop: Event | None = None) -> list[Done]:
    config = Fragile(root / "notes")
    begun = []
    done = list(crew(workers, ray)(config, root / "masks", jobs, stop or Event(), lambda: begun.append(1)))
    assert begun == [1]
    return done


def check(root: Path, jobs: list[Job], done: list[Done], deadly: list[str]) -> None:
    assert sorted(outcome.job.key for outcome in done) == [job.key for job in jobs]
    assert sorted(outcome.job.key for outcome in done if outcome.error) == deadly
    assert all(f"{TRIES} workers died while they made its masks" in outcome.error for outcome in done if outcome.error)
    store = MaskStore(root / "masks")
    assert store.keys() == [job.key for job in jobs if job.key not in deadly]
    assert all(len(store.load(key)) == 1 for key in store.keys())


def test_workers_that_die_cost_another_try(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [0, 1, 0, 0, 2, 0, 1, 0])
    check(tmp_path, jobs, run(tmp_path, jobs, workers=2), deadly=["04"])


def test_a_broken_image_is_said_and_the_others_done(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [0, 0, 0])
    jobs[1].image.write_bytes(b"no image")
    done = run(tmp_path, jobs, workers=2)
    assert [outcome.error is None for outcome in sorted(done, key=lambda o: o.job.key)] == [True, False, True]
    assert any("01.png cannot be read" in (outcome.error or "") for outcome in done)


def test_a_proposer_that_cannot_run_is_one_sentence(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [0, 0])
    for workers in (1, 2):
        with pytest.raises(UserError, match="no weights"):
            list(crew(workers, None)(Fragile(tmp_path, starts=False), tmp_path / "masks", jobs, Event(), lambda: None))
    assert not (tmp_path / "masks").exists()


def test_stopping_finishes_what_is_at_hand(tmp_path: Path) -> None:
    jobs, stop = jobs_of(tmp_path, [0] * 20), Event()
    done = []
    for outcome in crew(2, None)(Fragile(tmp_path / "notes"), tmp_path / "masks", jobs, stop, lambda: None):
        done.append(outcome.job.key)
        stop.set()
    assert 1 <= len(done) <= 3
    assert MaskStore(tmp_path / "masks").keys() == sorted(done)


def test_the_command_with_workers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    jobs_of(tmp_path, [0, 0, 0])
    assert main(["masks", "--data", str(tmp_path), "--workers", "2", "graph"]) == 0
    assert "3 views" in capsys.readouterr().out
    assert MaskStore.find(tmp_path).manifest["generator"] == "graph"
    assert main(["masks", "--data", str(tmp_path), "--workers", "0", "graph"]) == 1
    assert "--workers" in capsys.readouterr().err


def no_room(fault: int, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the disk fail with an error after a number of files."""
    real, written = store.write_whole, []

    def write(path: Path, content: str) -> None:
        if len(written) == after:
            raise OSError(fault, os.strerror(fault))
        real(path, content)
        written.append(path)

    monkeypatch.setattr(store, "write_whole", write)


@pytest.mark.parametrize("fault", FULL)
def test_a_full_disk_stops_at_once(
    fault: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """All later images were computed and thrown away."""
    jobs_of(tmp_path, [0] * 6)
    seen = []
    monkeypatch.setattr(making, "read_image", lambda path: seen.append(path) or read_image(path))
    command = ["masks", "--data", str(tmp_path), "graph"]
    with monkeypatch.context() as patch:
        no_room(fault, patch, after=2)
        assert main(command) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}/masks/graph cannot be written any more ({os.strerror(fault)})" in said
    assert "the masks of 2 images are kept there" in said and "run the same command" in said
    assert len(seen) == 3
    assert main(command) == 0
    assert len(seen) == 7 and len(MaskStore.find(tmp_path).keys()) == 6


def test_another_error_of_one_file_costs_that_image_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_of(tmp_path, [0, 0])
    with monkeypatch.context() as patch:
        no_room(errno.ENAMETOOLONG, patch, after=0)
        done = run(tmp_path, jobs, workers=1)
    assert len(done) == 2 and all("name too long" in str(outcome.error) for outcome in done)


def test_a_full_disk_stops_workers(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [0, 0, 0])
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match=r"masks cannot be written any more \(No space left"):
        list(crew(2, None)(Full(tmp_path / "notes"), tmp_path / "masks", jobs, Event(), lambda: None))
    assert list((tmp_path / "masks").iterdir()) == []


def test_a_worker_ends_silently_with_its_parent(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """It printed the traceback of a BrokenPipeError."""
    jobs = jobs_of(tmp_path, [0])
    for goes in ("at once", "while it works", "between images"):
        ours, theirs = Pipe()
        if goes == "at once":
            ours.close()
        else:
            ours.send(jobs[0])
            if goes == "while it works":
                ours.close()
            else:
                threading.Thread(target=lambda pipe: (pipe.recv(), pipe.recv(), pipe.close()), args=(ours,)).start()
        handler = signal.getsignal(signal.SIGINT)
        try:
            processes._serve(theirs, Fragile(tmp_path / "notes"), tmp_path / "masks", None)
        finally:
            signal.signal(signal.SIGINT, handler)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path) -> None:
    """The command is killed with signal 9 after random times, again and again, until it has nothing left to do."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{number:02d}.png")
    command = [sys.executable, "-c", "from disconerf_ns.cli import entrypoint; entrypoint()"]
    command += ["masks", "--data", str(tmp_path), "graph"]
    store, chance, kills, before = MaskStore(tmp_path / "masks/graph"), random.Random(0), 0, {}
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        there = len(store.keys())
        deadline = time.time() + 300
        while process.poll() is None and len(store.keys()) < there + 4 and time.time() < deadline:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        process.kill()
        killed = process.wait() == -signal.SIGKILL
        for key in store.keys():
            assert len(store.load(key)) > 0
        now = {key: store._path(key).stat().st_mtime_ns for key in store.keys()}
        assert before.items() <= now.items()
        before, kills = now, kills + killed
        if not killed:
            break
    assert kills >= 4 and len(store.keys()) == 24
    assert store.manifest["generator"] == "graph"


@pytest.mark.slow
def test_two_runs_at_once_on_one_folder(tmp_path: Path) -> None:
    jobs_of(tmp_path, [0] * 30)
    command = [sys.executable, "-c", "from disconerf_ns.cli import entrypoint; entrypoint()"]
    command += ["masks", "--data", str(tmp_path), "graph"]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    store = MaskStore(tmp_path / "masks/graph")
    assert len([store.load(key) for key in store.keys()]) == 30
    assert not list(store.root.glob(".*"))


@pytest.mark.slow
def test_on_a_ray_cluster_workers_that_die_cost_another_try(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    here = str(Path(__file__).parent)
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)])}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    try:
        jobs = jobs_of(tmp_path, [0, 1, 0, 0, 2, 0, 1, 0])
        check(tmp_path, jobs, run(tmp_path, jobs, workers=2, ray="auto"), deadly=["04"])
        with pytest.raises(UserError, match="no weights"):
            list(crew(1, "auto")(Fragile(tmp_path, starts=False), tmp_path / "m", jobs, Event(), lambda: None))
    finally:
        ray.shutdown()


@dataclass(eq=False)
class Refusing:
    """A worker whose proposer cannot run."""

    closed: bool = False

    def start(self, job: Job) -> None:
        """Nothing: it never gets that far."""

    def result(self) -> str | None:
        """No result."""
        raise UserError("the proposer cannot run")

    def close(self) -> None:
        """Take note of the end."""
        self.closed = True


def refused(tmp_path: Path, workers: int, most: int, error: AbstractContextManager) -> list[Refusing]:
    """The workers that were hired for three jobs, of at most `most` that can be, when the run ended with an error."""
    hired: list[Refusing] = []

    def hire(number: int) -> Refusing:
        if number == most:
            raise OSError("no more processes")
        hired.append(Refusing())
        return hired[-1]

    jobs = [Job(str(number), tmp_path / f"{number}.png") for number in range(3)]
    with error:
        list(dispatch(jobs, workers, hire, lambda busy: busy[:1], Event(), lambda: None))
    return hired


def test_a_worker_that_ends_the_run_is_ended_too(tmp_path: Path) -> None:
    """It stayed: a Ray actor kept its GPU for as long as the command's process lived."""
    hired = refused(tmp_path, workers=2, most=2, error=pytest.raises(UserError, match="cannot run"))
    assert len(hired) == 2 and all(worker.closed for worker in hired)


def test_workers_are_ended_if_a_later_one_cannot_be_hired(tmp_path: Path) -> None:
    """Those that were there already stayed open, for as long as the command's process lived."""
    hired = refused(tmp_path, workers=3, most=2, error=pytest.raises(OSError, match="no more processes"))
    assert len(hired) == 2 and all(worker.closed for worker in hired)

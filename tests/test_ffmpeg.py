"""Laws of `ensure_ffmpeg`: afterwards there is an ffmpeg, a system's own comes first, and nothing is ever raised."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from disconerf_ns.compat import ffmpeg

REPORT = """
import shutil, sys
from disconerf_ns.compat.ffmpeg import ensure_ffmpeg
ensure_ffmpeg()
print(shutil.which("ffmpeg"), "imageio_ffmpeg" in sys.modules)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without ffmpeg and with an empty cache; the folder that the link belongs in."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "disconerf_ns" / "bin"


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def reporting_process() -> subprocess.Popen[str]:
    root = Path(__file__).parents[1]
    return subprocess.Popen([sys.executable, "-c", REPORT], stdout=subprocess.PIPE, text=True, cwd=root)


def test_the_bundled_ffmpeg_is_found_and_runs(cache: Path):
    ffmpeg.ensure_ffmpeg()
    assert shutil.which("ffmpeg") == str(cache / "ffmpeg")
    assert subprocess.check_output(["ffmpeg", "-version"], text=True).startswith("ffmpeg version")


def test_an_ffmpeg_of_the_system_is_left_alone(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = executable(tmp_path / "bin" / "ffmpeg")
    monkeypatch.setenv("PATH", str(own.parent))
    ffmpeg.ensure_ffmpeg()
    assert os.environ["PATH"] == str(own.parent)
    assert not cache.exists()


def test_an_ffmpeg_installed_later_takes_over(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    ffmpeg.ensure_ffmpeg()
    own = executable(tmp_path / "bin" / "ffmpeg")
    assert shutil.which("ffmpeg") == str(own)


def test_a_second_call_changes_nothing(cache: Path):
    ffmpeg.ensure_ffmpeg()
    path = os.environ["PATH"]
    ffmpeg.ensure_ffmpeg()
    assert os.environ["PATH"] == path


def test_the_current_folder_does_not_slip_into_an_empty_path(cache: Path):
    ffmpeg.ensure_ffmpeg()
    assert os.environ["PATH"] == str(cache)


def test_a_link_to_a_program_that_is_gone_is_replaced(cache: Path, tmp_path: Path):
    cache.mkdir(parents=True)
    (cache / "ffmpeg").symlink_to(tmp_path / "deleted_environment" / "ffmpeg")
    ffmpeg.ensure_ffmpeg()
    assert shutil.which("ffmpeg") == str(cache / "ffmpeg")


def test_a_cache_that_cannot_be_written_gives_way_to_a_private_folder(cache: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where the cache folder belongs: even root can't write into it")
    ffmpeg.ensure_ffmpeg()
    found = Path(shutil.which("ffmpeg"))
    assert tmp_path not in found.parents
    assert found.parent.stat().st_mode & 0o077 == 0


def test_a_relative_cache_home_is_ignored_for_the_home_folder(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    ffmpeg.ensure_ffmpeg()
    assert shutil.which("ffmpeg") == str(tmp_path / ".cache" / "disconerf_ns" / "bin" / "ffmpeg")


def test_without_imageio_ffmpeg_nothing_happens(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    ffmpeg.ensure_ffmpeg()
    assert os.environ["PATH"] == ""


def test_processes_that_race_all_find_it_and_leave_one_link(cache: Path):
    processes = [reporting_process() for _ in range(4)]
    found = [process.communicate()[0].split()[0] for process in processes]
    assert found == [str(cache / "ffmpeg")] * len(processes)
    assert [path.name for path in cache.iterdir()] == ["ffmpeg"]


def test_imageio_ffmpeg_is_imported_for_the_first_link_only(cache: Path):
    outputs = [reporting_process().communicate()[0].split() for _ in range(2)]
    assert outputs == [[str(cache / "ffmpeg"), "True"], [str(cache / "ffmpeg"), "False"]]

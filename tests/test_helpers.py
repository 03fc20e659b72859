"""Tests that lack a system package say so, and fail in CI, which has it."""

from __future__ import annotations

import pytest
from helpers import needs_system_package


def test_a_missing_system_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_system_package("libusb-1.0-0", there=True)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install libusb-1.0-0"):
        needs_system_package("libusb-1.0-0", there=False)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="libusb-1.0-0"):
        needs_system_package("libusb-1.0-0", there=False)

"""Fixtures for every test: where the real image sets are, when they are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project() -> Path:
    """The project root."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("mnist")` is the folder of that image set; where the sets are absent the test is skipped."""

    def find(name: str) -> Path:
        folder = PROJECT.parent / "shared" / "data" / name
        if not folder.is_dir():
            pytest.skip(f"the image set {name} is not in ../shared/data beside the project")
        return folder

    return find

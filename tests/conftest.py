"""Where real cells are, for the tests that need them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real cells beside the project; skips where it is missing."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("real cells (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The published method's results beside the project; skips where they are missing."""
    folder = SHARED / "reference" / "pbmc68k"
    if not folder.is_dir():
        pytest.skip("the reference results (../shared/reference) are not on this machine")
    return folder

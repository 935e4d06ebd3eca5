"""An installation of its own for each test: a folder, a real SQLite ledger in it, and a clock that stands still."""

from pathlib import Path

import pytest

from campaign_pipeline_tests.interfaces.installation import Installation


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A folder without any setting of the machine that the tests run on; eight in the morning of Monday 2 March."""
    return Installation(tmp_path, monkeypatch)

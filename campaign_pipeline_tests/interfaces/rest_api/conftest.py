"""An installation with its REST API behind a real socket, and a token of each role."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import ServedApi


@pytest.fixture
def installation(tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A folder with a ledger that has its tables; eight in the morning of Monday 2 March."""
    made = Installation(tmp_path, monkeypatch)
    made.set("CAMPAIGN_DEFAULT_REGION", "GB")
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_sqlite, tmp_path / "data" / "ledger.sqlite3")
    return made


@pytest.fixture
def api(installation: Installation) -> Iterator[ServedApi]:
    """The REST API of the installation, served."""
    with ServedApi(installation.clock) as served:
        yield served

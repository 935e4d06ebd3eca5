"""The API starts quickly, with nothing that only Dagster or spreadsheets need."""

import json
import subprocess
import sys

from campaign_pipeline_tests.interfaces.installation import Installation

_LOADED = """
import json, sys
from campaign_pipeline.interfaces.rest_api.app import build_app
from campaign_pipeline.interfaces.workplace import Workplace
build_app(Workplace())
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_the_api_starts_without_dagster_and_pandas(installation: Installation) -> None:
    """Whoever restarts it waits, and a small machine has no half gigabyte to spare for what is never used."""
    loaded = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, timeout=300, check=True)
    assert {"dagster", "pandas", "numpy", "pyarrow", "openpyxl", "alembic"} & set(json.loads(loaded.stdout)) == set()
    assert installation.folder.joinpath("data", "ledger.sqlite3").exists()

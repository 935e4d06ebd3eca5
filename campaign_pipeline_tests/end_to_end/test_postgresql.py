"""A day with the ledger and Dagster's own state in PostgreSQL, as a server runs it."""

import shutil
from urllib.parse import urlsplit

from campaign_pipeline_tests.end_to_end.conftest import InstallationMaker
from campaign_pipeline_tests.end_to_end.installation import PROJECT, today
from campaign_pipeline_tests.end_to_end.servers import servers
from campaign_pipeline_tests.support.postgres import HOST, PostgresServer
from campaign_pipeline_tests.support.waiting import wait_until


def test_a_day_goes_through_daemon_and_webserver_with_everything_in_postgresql(
    new_installation: InstallationMaker, postgres: PostgresServer
) -> None:
    """The deployment that the Dockerfile describes was never started, and fails on the server on the first morning."""
    dagster_database = urlsplit(postgres.new_database()).path.strip("/")
    installation = new_installation(CAMPAIGN_DATABASE_URL=postgres.new_database())
    home = installation.folder / "dagster-home"
    home.mkdir()
    shutil.copy(PROJECT / "deploy" / "dagster.postgres.yaml", home / "dagster.yaml")
    installation.environment |= {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_HOST": HOST,
        "DAGSTER_POSTGRES_PORT": str(postgres.port),
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": "unused",
        "DAGSTER_POSTGRES_DB": dagster_database,
    }
    refused = installation.run("list")
    assert refused.status == 1
    assert "campaign init" in refused.stderr

    installation.must("init")
    installation.campaign(range(30), daily_limit=10)
    date = today().date().isoformat()
    with servers(installation.folder, installation.environment) as desk:
        assert desk.wait_for(desk.launch("daily_send", date)) == "SUCCESS"
        assert len(installation.reached()) == 10
        assert desk.wait_for(desk.launch("daily_send", date)) == "SUCCESS"
        assert len(installation.reached()) == 10, "the second run of the date has sent again"
        # The statuses are taken in by the sensor, with no one doing anything.
        wait_until(lambda: installation.people().count("read") == 10, "the statuses to be taken in")
        assert desk.partitions_of("daily_batch")["numMaterialized"] == 1
        assert desk.partitions_of("campaign_analytics")["numMaterialized"] == 1
    assert sorted(installation.reached()) == sorted(set(installation.reached()))
    assert not list(installation.folder.glob("**/ledger.sqlite3")), "a SQLite ledger was made beside PostgreSQL"

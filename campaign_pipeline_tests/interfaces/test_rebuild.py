"""`campaign rebuild`: what it tells a person and a script, and its exit status."""

import pytest
from sqlalchemy import text

from campaign_pipeline_tests.delivery.payloads import MARCH, ndjson, payload, put, status
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.support.sending import accepted, answer_calls, take_and_admit


@pytest.fixture
def delivered(installation: Installation) -> Installation:
    """Two people have read their messages."""
    installation.active_campaign(people=2)
    ledger = installation.ledger()
    _, calls = take_and_admit(ledger, 2, installation.clock)
    answers = [accepted(f"wamid.{number}") for number in range(2)]
    answer_calls(ledger, zip(calls, answers, strict=True), installation.clock.now())
    ledger.close()
    told = ndjson(payload(status(f"wamid.{number}", "read", MARCH)) for number in range(2))
    put(installation.folder / "data" / "inbox", "told.ndjson", told)
    installation.must("ingest")
    return installation


def forge(installation: Installation, statement: str) -> None:
    """Changes the ledger past every rule of ours."""
    ledger = installation.ledger()
    with ledger.write() as connection:
        connection.execute(text(statement))
    ledger.close()


def test_what_comes_out_the_same_is_said_with_both_digests_and_exit_status_0(delivered: Installation) -> None:
    """A replay that nobody can hold against what was there before proves nothing."""
    told = delivered.must("rebuild").stdout.splitlines()
    assert told[0] == "2 events, 2 attempts and 1 send dates were gone through."
    assert told[1].split()[1] == told[2].split()[1]
    assert (told[1].split()[0], told[2].split()[0], told[3]) == ("Before", "After", "It came out the same.")
    document = delivered.must("rebuild", "--from-archive", "--json").json
    assert (document["agrees"], document["archived_files"], document["put_back"]) == (True, 1, 0)
    assert document["digest_before"] == document["digest_after"] == told[1].split()[1]
    assert document["dates"] == ["2026-03-02"]


def test_what_comes_out_another_way_is_exit_status_1_and_right_from_then_on(delivered: Installation) -> None:
    """A script must not go on with figures of which a part was wrong; after the rebuild it may."""
    forge(delivered, "UPDATE campaign_recipients SET state = 'sent' WHERE id = 1")
    answer = delivered.run("rebuild", "--check")
    assert answer.status == 1
    assert "It came out another way in: recipients. `campaign rebuild` brings it right." in answer.stderr
    answer = delivered.run("rebuild")
    assert answer.status == 1
    assert "`campaign rebuild --check` agrees now" in answer.stderr
    assert delivered.must("rebuild", "--check", "--json").json["differs_in"] == []


def test_what_the_archive_gave_back_is_told(delivered: Installation) -> None:
    """Whoever has restored an old ledger wants to see that its statuses are there again."""
    forge(delivered, "DELETE FROM delivery_events")
    answer = delivered.run("rebuild", "--from-archive")
    assert answer.status == 1
    assert "Archive: 1 files, 2 events, 2 of them put back." in answer.stdout
    assert delivered.must("rebuild", "--from-archive").stdout.endswith("It came out the same.\n")

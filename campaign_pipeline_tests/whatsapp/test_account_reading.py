"""What Meta says of number, token and subscription is read from every spelling of it, and a refusal is told apart."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from campaign_pipeline.whatsapp.account import CloudApiAccount
from campaign_pipeline.whatsapp.account_reading import (
    UNLIMITED,
    AccountReader,
    MessagingLimit,
    RefusedError,
    TokenFacts,
    UnreachableError,
    read_phone_number,
    read_subscribed_apps,
    read_token,
)
from campaign_pipeline_tests.support.ports import free_port
from campaign_pipeline_tests.whatsapp.simulator_process import SimulatorProcess
from campaign_pipeline_tests.whatsapp.test_connection import answering


@pytest.fixture
def simulator(shared_simulator: SimulatorProcess) -> SimulatorProcess:
    """The simulator, with an account in which all is well."""
    shared_simulator.reset_account()
    return shared_simulator


def account_of(simulator: SimulatorProcess) -> CloudApiAccount:
    """The account that the simulator lets in."""
    options = simulator.options
    return CloudApiAccount(simulator.base_url, "v25.0", options.phone_number_id, options.access_token)


@pytest.fixture
def reader(simulator: SimulatorProcess) -> Iterator[AccountReader]:
    """A reader of the simulator's account."""
    with closing(AccountReader(account_of(simulator))) as made:
        yield made


@pytest.mark.parametrize(
    ("told", "people"),
    [
        ("TIER_50", 50),
        ("TIER_250", 250),
        ("TIER_1K", 1_000),
        ("TIER_2K", 2_000),
        ("tier_2k", 2_000),
        ("TIER_10K", 10_000),
        ("TIER_100K", 100_000),
        ("TIER_UNLIMITED", UNLIMITED),
        (2000, 2_000),
        ("2000", 2_000),
        (-1, UNLIMITED),
        (10**30, None),
        ("TIER_NOT_SET", None),
        ("TIER_7M", None),
        (0, None),
    ],
)
def test_a_tier_is_read_in_every_spelling_and_an_unknown_one_is_kept(told: str | int, people: int | None) -> None:
    """Meta's own page says TIER_2K and shows 2000; a tier that is guessed sends to too many."""
    read = MessagingLimit.read(told)
    assert read is not None
    assert read == MessagingLimit(str(told).upper(), people)


@pytest.mark.parametrize("told", [None, True, 2.5, [], {}, "", "  "])
def test_what_is_no_tier_is_none(told: object) -> None:
    """A missing field must not become a limit of nobody."""
    assert MessagingLimit.read(told) is None


def test_a_number_is_read_with_the_moment_of_the_answer(reader: AccountReader) -> None:
    """The moment is what the machine's clock is held against."""
    facts = reader.phone_number()
    assert facts.server_time is not None
    assert abs(facts.server_time - datetime.now(UTC)) < timedelta(seconds=30)
    assert (facts.quality, facts.status, facts.throughput) == ("GREEN", "CONNECTED", "STANDARD")
    assert facts.limit == MessagingLimit("TIER_250", 250)


def test_changes_of_the_account_are_seen_at_once(simulator: SimulatorProcess, reader: AccountReader) -> None:
    """A test that turns the number red has to see it red."""
    simulator.account(quality_rating="RED", tier="TIER_2K", status="RESTRICTED", throughput="HIGH", subscribed=False)
    facts = reader.phone_number()
    assert (facts.quality, facts.status, facts.throughput) == ("RED", "RESTRICTED", "HIGH")
    assert facts.limit == MessagingLimit("TIER_2K", 2_000)
    assert reader.subscribed_apps(simulator.options.business_account_id) == []
    simulator.account(subscribed=True)
    assert reader.subscribed_apps(simulator.options.business_account_id) == ["Campaigns"]


def test_a_token_tells_its_permissions(simulator: SimulatorProcess, reader: AccountReader) -> None:
    """A token without messaging sends nothing, and one without management is told nothing of its templates."""
    both = frozenset({"whatsapp_business_messaging", "whatsapp_business_management"})
    assert reader.token() == TokenFacts(is_valid=True, expires_at=None, permissions=both)
    simulator.account(scopes=["whatsapp_business_messaging"])
    assert reader.token().permissions == {"whatsapp_business_messaging"}
    with pytest.raises(RefusedError, match="necessary permissions") as refused:
        reader.subscribed_apps(simulator.options.business_account_id)
    assert refused.value.code == 200


def test_a_wrong_token_an_expired_one_and_a_strange_number_are_told_apart(simulator: SimulatorProcess) -> None:
    """Each wants something else to be mended."""
    account = account_of(simulator)

    def refused(account: CloudApiAccount) -> tuple[int, int | None]:
        with closing(AccountReader(account)) as reader, pytest.raises(RefusedError) as refusal:
            reader.phone_number()
        assert account.access_token not in str(refusal.value)
        assert refusal.value.server_time is not None
        return refusal.value.code, refusal.value.subcode

    assert refused(replace(account, access_token="wrong")) == (190, None)
    assert refused(replace(account, phone_number_id="1")) == (100, 33)
    simulator.account(token="expired")
    assert refused(account) == (190, 463)


def test_an_expired_token_sends_nothing_either(simulator: SimulatorProcess) -> None:
    """A simulator that goes on accepting would hide what happens on the day when a token ends."""
    from campaign_pipeline.whatsapp.client import CloudApiClient
    from campaign_pipeline.whatsapp.messages import TemplateMessage

    simulator.account(token="expired")
    with closing(CloudApiClient(account_of(simulator), 1)) as client:
        answer = client.send(TemplateMessage("+447911000001", "spring_sale", "en_US", {}, "attempt"))
    assert (answer.kind, answer.error_code) == ("refused", 190)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
def test_an_address_without_a_server_is_an_error_without_the_token(base_url: str) -> None:
    """The words of `requests` quote the whole address, in which the token stands when it asks about itself."""
    account = CloudApiAccount(base_url.format(port=free_port()), "v25.0", "1", "very-secret-token")
    with closing(AccountReader(account)) as reader:
        for read in (reader.phone_number, reader.token):
            with pytest.raises(UnreachableError, match="no answer came from") as error:
                read()
            assert "very-secret-token" not in f"{error.value} {error.value.__cause__} {error.value!r}"


def test_an_answer_that_is_not_the_graph_apis_is_no_account(simulator: SimulatorProcess) -> None:
    """A captive portal or a proxy answers 200 with a page."""
    account = replace(account_of(simulator), base_url=f"{simulator.base_url}/nowhere/at/all")
    with closing(AccountReader(account)) as reader, pytest.raises(UnreachableError, match="HTTP 404"):
        reader.phone_number()


@pytest.mark.parametrize("odd", [None, 7, [], {}, "", {"level": None}])
def test_odd_facts_are_unknown_and_break_nothing(odd: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Meta adds and leaves out fields from one version to the next."""
    names = ("display_phone_number", "verified_name", "quality_rating", "status", "name_status", "throughput")
    facts = read_phone_number(dict.fromkeys(names, odd), None)
    assert (facts.display, facts.quality, facts.status, facts.throughput) == (None, None, None, None)
    assert read_phone_number({"whatsapp_business_manager_messaging_limit": odd}, None).limit in (
        None,
        MessagingLimit("7", 7),
    )
    assert not read_token({"data": odd}).is_valid
    assert read_token({"data": {"is_valid": True, "expires_at": 10**30, "scopes": odd}}).expires_at is None
    assert read_subscribed_apps({"data": odd}) == []
    assert read_subscribed_apps({"data": [odd, {"whatsapp_business_api_data": {}}]}) == ["an app without a name"]


def test_the_simulator_knows_no_fields_that_meta_does_not(simulator: SimulatorProcess) -> None:
    """A misspelled field would be answered, and be missing at Meta."""
    import requests

    options = simulator.options
    answer = requests.get(
        f"{simulator.base_url}/v25.0/{options.phone_number_id}",
        params={"fields": "qualty_rating"},
        headers={"Authorization": f"Bearer {options.access_token}"},
        timeout=300,
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)
    waba = requests.get(
        f"{simulator.base_url}/v25.0/{options.business_account_id}",
        params={"fields": "id,name,account_review_status"},
        headers={"Authorization": f"Bearer {options.access_token}"},
        timeout=300,
    )
    assert waba.json() == {
        "id": options.business_account_id,
        "name": "Local Business",
        "account_review_status": "APPROVED",
    }


def test_a_code_that_is_written_as_text_is_a_refusal_too() -> None:
    """Else an expired token is told as a network that does not work."""
    error = {"message": "Session has expired", "code": "190", "error_subcode": "463"}
    with answering("401 Unauthorized", json.dumps({"error": error})) as server:
        account = CloudApiAccount(server.base_url, "v25.0", "1", "token")
        with closing(AccountReader(account)) as reader, pytest.raises(RefusedError, match="expired") as refused:
            reader.phone_number()
    assert (refused.value.code, refused.value.subcode) == (190, 463)

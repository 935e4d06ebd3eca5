"""The audit log over the REST API: who did what, for an admin, without a phone number."""

from typing import Final

from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.ledger.states import ApiRole
from campaign_pipeline_tests.interfaces.installation import Installation
from campaign_pipeline_tests.interfaces.rest_api.served import SPRING, ServedApi
from campaign_pipeline_tests.interfaces.rest_api.test_audience import ODD_QUESTIONS, pages
from campaign_pipeline_tests.support.campaigns import phone

AUDIT_LOG: Final = "/marketing/audit-log"


def test_who_did_what_is_told_the_newest_first(api: ServedApi, installation: Installation) -> None:
    """Somebody has cancelled the campaign, at a keyboard or over a token."""
    api.must("/marketing/campaigns", SPRING)
    installation.must("create", "Summer", "--template", "summer")
    api.must("/marketing/campaigns/1/cancel")
    found = pages(api, f"{AUDIT_LOG}?limit=500", "entries", ApiRole.ADMIN)
    done = [(each["action"], each["subject"]) for each in found if each["action"] != "token_created"]
    assert done == [
        ("campaign_cancelled", "spring-sale"),
        ("campaign_created", "summer"),
        ("campaign_created", "spring-sale"),
    ]
    for size in (1, 2):
        assert pages(api, f"{AUDIT_LOG}?limit={size}", "entries", ApiRole.ADMIN) == found
    for name in ("subject", "actor", "action"):
        wanted = found[0][name]
        same = [each for each in found if each[name] == wanted]
        assert pages(api, f"{AUDIT_LOG}?limit=1&{name}={wanted}", "entries", ApiRole.ADMIN) == same
    both = f"{AUDIT_LOG}?subject=spring-sale&action=campaign_created"
    assert len(pages(api, both, "entries", ApiRole.ADMIN)) == 1


def test_why_a_campaign_was_paused_is_told_after_it_has_gone_on(api: ServedApi, installation: Installation) -> None:
    """The campaign forgets the reason when it is resumed; whoever asks a week later finds it nowhere else."""
    installation.active_campaign(3)
    api.must("/marketing/campaigns/1/pause", {"reason": "the offer has a mistake"})
    api.must("/marketing/campaigns/1/resume")
    (entry,) = api.get(f"{AUDIT_LOG}?action=campaign_paused", ApiRole.ADMIN).json()["entries"]
    assert entry["details"] == {"reason": "the offer has a mistake"}


def test_only_an_admin_reads_it(api: ServedApi) -> None:
    """It tells what colleagues do."""
    for role in (ApiRole.VIEWER, ApiRole.OPERATOR):
        assert api.get(AUDIT_LOG, role).status_code == 403


def test_what_is_asked_is_text_and_nothing_else(api: ServedApi) -> None:
    """A filter is compared, and not put into a statement or a page."""
    for query in ("subject=' OR 1=1 --", "actor=<script>alert(1)</script>", "action=%25", "subject=" + "é" * 200):
        answer = api.get(f"{AUDIT_LOG}?{query}", ApiRole.ADMIN)
        assert answer.json() == {"entries": [], "next_cursor": None}, query
    odd = (each for each in ODD_QUESTIONS if not each.startswith("state"))
    for query in (*odd, "subject=%00", "actor=a%0Ab", "action=" + "a" * 201):
        answer = api.get(f"{AUDIT_LOG}?{query}", ApiRole.ADMIN)
        assert answer.status_code in (404, 422), (query, answer.text)
    first = api.get(f"{AUDIT_LOG}?limit=1", ApiRole.ADMIN).json()["next_cursor"]
    assert api.get(f"{AUDIT_LOG}?limit=1&subject=x&cursor={first}", ApiRole.ADMIN).status_code == 404


def test_phone_numbers_are_masked_also_where_people_have_written_them(
    api: ServedApi, installation: Installation
) -> None:
    """`How do you know?` is answered with the number that has called back."""
    installation.active_campaign(3)
    installation.must("remove", "spring-sale", phone(1))
    details = {
        "reason": "call from +44 7911 123456, and 447911123456 too",
        "more": [{"number": "+1 (415) 555-0100"}, 7],
        "attempts": ["0197d9a2-5f3e-7c41-9d2b-012345678901"],
        "effective_from": "2026-03-02T08:00:00.123456+00:00",
    }
    with api.workplace.ledger.write() as connection:
        audit(connection, "x", phone(2), actor=f"Ada {phone(3)}", now=installation.clock.now(), details=details)
    newest, removed, *_ = api.get(AUDIT_LOG, ApiRole.ADMIN).json()["entries"]
    assert (newest["subject"], newest["actor"]) == ("***02", "Ada ***03")
    assert newest["details"] == {
        **details,
        "reason": "call from ***56, and ***56 too",
        "more": [{"number": "***00"}, 7],
    }
    assert removed["details"] == {"person": "***01"}

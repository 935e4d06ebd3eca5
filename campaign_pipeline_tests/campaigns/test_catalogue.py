"""A campaign goes by one short name, is found by whatever people call it, and is what was chosen about it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_pipeline.campaigns.catalogue import CampaignDraft, find, list_all, slug_of
from campaign_pipeline.campaigns.errors import CampaignError, CampaignNotFoundError
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline_tests.support.campaigns import NOON, draft


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Spring Sale", "spring-sale"),
        ("  Spring   Sale!  ", "spring-sale"),
        ("spring_sale", "spring-sale"),
        ("Été 2026", "ete-2026"),
        ("50% off", "50-off"),
        ("Sale № 5", "sale-no-5"),
        ("2026a", "2026a"),
        ("a" * 150, "a" * 100),
        # Cut off in a gap between two words, it ends with the word before.
        ("a" * 99 + " bc", "a" * 99),
    ],
)
def test_a_campaign_goes_by_a_short_form_of_its_name(name: str, slug: str) -> None:
    """The slug is typed in a shell, stands in URLs and is a partition key of Dagster."""
    assert slug_of(name) == slug
    assert slug_of(slug) == slug


@pytest.mark.parametrize("name", ["", "   ", "---", "2026", " 20 26 ".replace(" ", ""), "春のセール", "1" * 120 + "a"])
def test_a_name_that_could_be_taken_for_an_id_or_leaves_nothing_is_refused(name: str) -> None:
    """`campaign cancel 2` has to mean the second campaign, whatever another one is called."""
    with pytest.raises(CampaignError, match="needs a letter from a to z"):
        slug_of(name)


@given(st.text(st.sampled_from("aB3 -_é!"), max_size=120))
def test_a_slug_is_its_own_slug(name: str) -> None:
    """A slug that is read back as another one finds somebody else's campaign."""
    try:
        slug = slug_of(name)
    except CampaignError:
        return
    assert slug_of(slug) == slug
    assert slug.strip("-") == slug
    assert 0 < len(slug) <= 100


def test_a_campaign_is_found_by_slug_name_and_id(ledger: Ledger) -> None:
    """People remember the name, programs the id, and both mean the same campaign."""
    campaign = draft(ledger, "Spring Sale 2026")
    other = draft(ledger, "Another")
    with ledger.read() as connection:
        for reference in ("spring-sale-2026", "Spring Sale 2026", "SPRING sale  2026", campaign.id, str(campaign.id)):
            assert find(connection, reference) == campaign
        assert [each.slug for each in list_all(connection)] == [campaign.slug, other.slug]
    assert (campaign.status, campaign.created_at, campaign.activated_at) == ("draft", NOON, None)
    assert (campaign.daily_send_limit, campaign.template_language, campaign.priority) == (250, "en_US", 0)


def test_a_campaign_that_does_not_exist_is_not_found(ledger: Ledger) -> None:
    """A slip of the fingers gets a sentence, not a traceback; `²` is a digit to Python and no number."""
    draft(ledger)
    for reference in ("autumn-sale", "99", 99, "²", "99999999999999999999", "???"):
        with ledger.read() as connection, pytest.raises(CampaignNotFoundError, match="`campaign list` shows"):
            find(connection, reference)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"template_name": "Spring Sale"}, "is no template name"),
        ({"template_name": ""}, "is no template name"),
        ({"template_name": "a" * 513}, "is no template name"),
        ({"template_language": "english"}, "is no template language"),
        ({"template_language": "en-US"}, "is no template language"),
        ({"template_language": "en_us"}, "is no template language"),
        ({"daily_send_limit": 0}, "has to be at least 1, not 0"),
        ({"daily_send_limit": -5}, "has to be at least 1, not -5"),
        ({"parameters": [TemplateParameter("2", "name")]}, "from 1 without a gap"),
        # What PostgreSQL has no room for; SQLite would take it, and the move to a server fail.
        ({"name": "Sale " * 41}, r"\S"),
        ({"daily_send_limit": 2**31}, r"\S"),
        ({"priority": 2**31}, r"\S"),
        ({"priority": -(2**31) - 1}, r"\S"),
    ],
)
def test_a_draft_that_cannot_be_used_is_refused_at_once(wrong: dict[str, object], sentence: str) -> None:
    """Found out later, the fault costs a day: Meta refuses each message, or the database the whole campaign."""
    fields: dict[str, object] = {"name": "Spring Sale", "template_name": "spring_sale", **wrong}
    with pytest.raises(CampaignError, match=sentence):
        CampaignDraft(**fields).checked()  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize("language", ["en", "en_US", "pt_BR", "fil", "zh_HK"])
def test_every_form_of_metas_languages_is_taken(language: str) -> None:
    """Meta's list has languages of two and three letters, with and without a country."""
    assert CampaignDraft("Spring Sale", "spring_sale_2", language).checked().template_language == language


def test_every_moment_of_a_campaign_comes_back_in_utc(ledger: Ledger) -> None:
    """A moment without its zone is compared with the clock of whoever looks."""
    campaign = draft(ledger, now=datetime.fromisoformat("2026-03-02T13:00:00+01:00"))
    assert campaign.created_at == NOON
    assert campaign.created_at.tzinfo == UTC

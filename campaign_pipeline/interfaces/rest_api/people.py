"""One person's whole story, asked for by a number in the body.

Add here what else is asked about one person.
Keep out what is known of them: `interfaces.person_story`.
"""

from dataclasses import replace
from typing import Final

from fastapi import APIRouter

from campaign_pipeline.interfaces.person_story import CallMade, InCampaign, PersonStory, story_of
from campaign_pipeline.interfaces.rest_api.callers import By, Place
from campaign_pipeline.interfaces.rest_api.endpoint import inquire
from campaign_pipeline.interfaces.rest_api.shapes import Who, shown_number, without_numbers
from campaign_pipeline.recipients.phone_numbers import hide_phones
from campaign_pipeline.recipients.subscriptions import Subscription

router = APIRouter(prefix="/marketing/people", tags=["people"])

_NO_NUMBER: Final = {422: "the number has no country code, and no default region is set."}


@inquire(router, "/find", response_model=PersonStory, refusals=_NO_NUMBER)
def find_person(place: Place, by: By, body: Who) -> PersonStory:
    """Tell everything that is known of a person: campaigns, batches, calls, statuses, subscription, with times.

    Of somebody who is not known, every list is empty. A viewer sees numbers masked, and no message ids, which spell
    the number.
    """
    phone = place.phone(str(body.phone), body.region)
    with place.ledger.read() as connection:
        story = story_of(connection, phone)
    return story if by.sees_numbers else _masked(story)


def _masked(story: PersonStory) -> PersonStory:
    return replace(
        story,
        phone=shown_number(story.phone, in_full=False),
        subscription=_masked_subscription(story.subscription),
        words=[replace(each, source=hide_phones(each.source)) for each in story.words],
        same_account=[shown_number(each, in_full=False) for each in story.same_account],
        campaigns=[_masked_in_campaign(each) for each in story.campaigns],
        test_sends=[
            replace(each, error_text=without_numbers(each.error_text), wamid=None) for each in story.test_sends
        ],
    )


def _masked_subscription(found: Subscription | None) -> Subscription | None:
    # Its source may be a list, which people call after whatever is in it.
    return None if found is None else replace(found, source=hide_phones(found.source))


def _masked_in_campaign(found: InCampaign) -> InCampaign:
    return replace(
        found,
        phone=shown_number(found.phone, in_full=False),
        reason=without_numbers(found.reason),
        list_name=without_numbers(found.list_name),
        attempts=[_masked_call(each) for each in found.attempts],
    )


def _masked_call(call: CallMade) -> CallMade:
    return replace(
        call,
        error_text=without_numbers(call.error_text),
        failure_text=without_numbers(call.failure_text),
        wamid=None,
        statuses=[replace(each, error_text=without_numbers(each.error_text)) for each in call.statuses],
    )

"""Who wants messages: subscribing and unsubscribing people, for every campaign at once.

Add here a way in which a person says yes or no. The latest word counts.
Keep out what a list says when it is added: `intake` notes that.
"""

from datetime import datetime

from sqlalchemy import Connection, select

from campaign_pipeline.campaigns.journal import audit
from campaign_pipeline.ledger.schema import subscriptions
from campaign_pipeline.ledger.states import SubscriptionStatus
from campaign_pipeline.ledger.upsert import upsert
from campaign_pipeline.recipients.phone_numbers import PhoneNumber, mask_phone


def subscribe(connection: Connection, phone: PhoneNumber, *, source: str, now: datetime) -> bool:
    """Notes that a person wants messages; whether that is news.

    It counts for campaigns and batches to come: who was skipped stays skipped.
    """
    return _note(connection, phone, SubscriptionStatus.SUBSCRIBED, source, now)


def unsubscribe(connection: Connection, phone: PhoneNumber, *, source: str, now: datetime) -> bool:
    """Notes that a person wants no messages; in force before the next attempt. Whether that is news."""
    return _note(connection, phone, SubscriptionStatus.UNSUBSCRIBED, source, now)


def _note(connection: Connection, phone: PhoneNumber, status: SubscriptionStatus, source: str, now: datetime) -> bool:
    before = connection.execute(
        select(subscriptions.c.status).where(subscriptions.c.person_key == phone.person_key)
    ).scalar_one_or_none()
    if before == status:
        return False
    upsert(
        connection,
        subscriptions,
        keys={"person_key": phone.person_key},
        values={"phone": phone.e164, "status": status, "source": source, "changed_at": now},
    )
    audit(connection, status, mask_phone(phone.e164), actor=source, now=now)
    return True

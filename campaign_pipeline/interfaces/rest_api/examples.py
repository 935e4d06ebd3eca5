"""Answers as examples, for the contract: one campaign of 10,000 people on its second morning.

Add here an answer that programs read; a test holds each against its model.
Keep out examples of requests, which stand with their models, and of refusals (`contract`).
"""

from collections.abc import Mapping
from typing import Any, Final

_FIGURES: Final = {
    "total": 10_000,
    "pending": 9_750,
    "sent": 248,
    "delivered": 200,
    "read": 124,
    "replied": 7,
    "failed": 2,
    "skipped": 0,
    "in_doubt": 0,
    "progress_percentage": 2.5,
    "delivery_rate": 80.65,
    "read_rate": 50.0,
    "states": {
        "pending": 9_750,
        "claimed": 0,
        "attempting": 0,
        "accepted": 8,
        "sent": 40,
        "delivered": 76,
        "read": 124,
        "failed": 2,
        "skipped": 0,
        "in_doubt": 0,
    },
}
_CAMPAIGN: Final = {
    "id": 1,
    "slug": "spring-sale",
    "name": "Spring Sale",
    "template_name": "spring_sale",
    "template_language": "en_US",
    "parameters": [{"name": "first_name", "column": "first_name"}],
    "daily_send_limit": 250,
    "priority": 0,
    "status": "active",
    "status_reason": None,
    "paused_by": None,
    "paused_at": None,
    "created_at": "2026-03-01T09:12:00Z",
    "activated_at": "2026-03-01T09:30:00Z",
    "finished_at": None,
    "follows_sender_limit": False,
    "template": None,
    "template_checked_at": None,
    "daily_limit": 250,
}
_LISTED: Final = {**_CAMPAIGN, "figures": _FIGURES}

ANSWERS: Final[Mapping[str, dict[str, Any]]] = {
    "CampaignAnswer": _CAMPAIGN,
    "ListedCampaign": _LISTED,
    "CampaignList": {"campaigns": [_LISTED], "next_cursor": None},
    "CampaignStats": {
        **_FIGURES,
        "campaign": "spring-sale",
        "status": "active",
        "estimated_completion_date": "2026-04-10",
    },
    "ActivationAnswer": {
        "campaign": "spring-sale",
        "status": "active",
        "people": 10_000,
        "estimated_days": 40,
        "first_send_date": "2026-03-02",
        "estimated_completion_date": "2026-04-10",
        "warnings": [],
    },
    "IntakeAnswer": {
        "campaign": "spring-sale",
        "list_id": 1,
        "list_name": "march.csv",
        "recipients_added": 10_000,
        "read": 10_001,
        "added": 10_000,
        "duplicate_in_list": 1,
        "already_in_campaign": 0,
        "invalid": 0,
        "unsubscribed": 0,
        "rejections_total": 1,
        "rejections": [
            {
                "line_number": 17,
                "value": "+44 7911 123456",
                "reason": "duplicate_in_list",
                "detail": "the same person stands in an earlier row",
            }
        ],
    },
    "DailyRun": {
        "send_date": "2026-03-02",
        "run_id": "5f0c7d1e-7a53-4a0e-9a3c-2f1f0a9f4a11",
        "state": "queued",
        "launched": True,
    },
}
"""By the name of the model."""

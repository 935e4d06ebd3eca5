"""Templates as the Graph API shows them, for tests that need one.

Add here a part that a template can have. Keep out expectations: those belong to the tests.
"""

from typing import Any

from campaign_pipeline.whatsapp.templates import Template


def body(text: str) -> dict[str, Any]:
    """A body component."""
    return {"type": "BODY", "text": text}


def header(text: str) -> dict[str, Any]:
    """A header of text."""
    return {"type": "HEADER", "format": "TEXT", "text": text}


def media(kind: str) -> dict[str, Any]:
    """A header of a kind of media."""
    return {"type": "HEADER", "format": kind, "example": {"header_handle": ["https://scontent.example/1"]}}


def buttons(*each: dict[str, Any]) -> dict[str, Any]:
    """A component of buttons."""
    return {"type": "BUTTONS", "buttons": list(each)}


URL: dict[str, Any] = {"type": "URL", "text": "Shop", "url": "https://shop.example/{{1}}"}
PLAIN_URL: dict[str, Any] = {"type": "URL", "text": "Shop", "url": "https://shop.example/"}
QUICK_REPLY: dict[str, Any] = {"type": "QUICK_REPLY", "text": "Unsubscribe"}
COPY_CODE: dict[str, Any] = {"type": "COPY_CODE", "text": "Copy", "example": "SAVE20"}


def raw_template(*components: dict[str, Any], **changes: object) -> dict[str, Any]:
    """One entry of Meta's list."""
    return {
        "id": "1689556908129832",
        "name": "spring_sale",
        "language": "en_US",
        "status": "APPROVED",
        "category": "MARKETING",
        "parameter_format": "NAMED",
        "quality_score": {"score": "GREEN", "date": 1766000000},
        "components": list(components),
        **changes,
    }


def template(*components: dict[str, Any], **changes: object) -> Template:
    """The same, read."""
    return Template.from_graph(raw_template(*components, **changes))

"""What became of looking a campaign's template up: found, not there, not looked for, or not to be read.

Add here another end of a lookup. Who calls the Graph API makes one and passes it down.
Keep out what each means for the campaign: `preflight`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from campaign_pipeline.whatsapp.templates import Template


@dataclass(frozen=True, slots=True)
class Found:
    """Meta has the template in the campaign's language."""

    template: Template


@dataclass(frozen=True, slots=True)
class Absent:
    """Meta has no such template in that language; `languages` are those that it has it in."""

    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotLookedUp:
    """Nobody has asked Meta, and `reason` says why, as a sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Meta was asked and gave no answer that can be used; `reason` says why and what to do, as a sentence."""

    reason: str


TemplateLookup: TypeAlias = Found | Absent | NotLookedUp | Unreadable


def in_language(templates: Sequence[Template], language: str) -> Found | Absent:
    """The one of a template's languages that a campaign wants."""
    for template in templates:
        if template.language == language:
            return Found(template)
    return Absent(tuple(sorted(template.language for template in templates)))

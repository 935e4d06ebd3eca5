"""A template as Meta defines it: what it says, where it stands, and which variables a message has to fill.

Add here what Meta says about a template. Fields and components that are not known here are kept, never refused.
Keep out the reading over HTTP (`template_reading`), and which values fill the variables: `campaigns.parameters`.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/templates/overview, read 2026-09-11.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

APPROVED: Final = "APPROVED"
MARKETING: Final = "MARKETING"

BODY_CHARACTERS: Final = 1_024
"""The longest body that Meta sends, with its variables filled."""

HEADER_CHARACTERS: Final = 60
"""The longest header of text, with its variables filled.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/templates/components.
"""

FIELDS: Final = ("id", "name", "language", "status", "category", "parameter_format", "quality_score", "components")
"""What is asked for when a template is read."""

VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
"""A variable in a text: ``{{1}}`` or ``{{first_name}}``."""

_VERSION_CHARACTERS: Final = 12

_BUTTONS_THAT_WANT_MORE: Final = frozenset({"CATALOG", "FLOW", "MPM", "OTP", "SPM"})
_COMPONENTS_THAT_WANT_MORE: Final = frozenset({"CAROUSEL", "LIMITED_TIME_OFFER"})


class VariableKind(StrEnum):
    """What fills a variable."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    DOCUMENT = "document"
    URL = "url"
    """The end of a button's address."""
    PAYLOAD = "payload"
    """What comes back when somebody taps a quick-reply button."""
    COPY_CODE = "copy_code"
    """The code that a button copies."""


MEDIA: Final = (VariableKind.IMAGE, VariableKind.VIDEO, VariableKind.DOCUMENT)
"""What the header of a template can hold instead of text."""


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """One thing that a message has to fill, or may.

    Attributes:
        name: As a campaign's parameter names it: ``first_name`` or ``1`` in the body, ``header.1``, ``header.image``,
            ``button.0``.
        kind: What fills it.
        required: Whether Meta refuses a message without it.
    """

    name: str
    kind: VariableKind
    required: bool = True


@dataclass(frozen=True, slots=True)
class Template:
    """One template in one language.

    Attributes:
        template_id: Meta's id of it.
        name: Its name.
        language: As Meta spells it, with an underscore: ``en_US``.
        status: ``APPROVED``, ``PAUSED`` …, in capitals.
        category: ``MARKETING``, ``UTILITY`` …, in capitals.
        parameter_format: ``NAMED`` or ``POSITIONAL``; empty if Meta does not say.
        quality: ``GREEN``, ``YELLOW``, ``RED``; None while Meta has not judged it.
        components: Header, body, footer and buttons, as they came.
        raw: Everything, as it came.
    """

    template_id: str
    name: str
    language: str
    status: str
    category: str
    parameter_format: str
    quality: str | None
    components: tuple[Mapping[str, Any], ...]
    raw: Mapping[str, Any]

    @classmethod
    def from_graph(cls, raw: Mapping[str, Any]) -> "Template":
        """Reads one entry of ``GET /<WABA_ID>/message_templates``."""
        components = raw.get("components")
        score = raw.get("quality_score")
        return cls(
            template_id=_text(raw.get("id")),
            name=_text(raw.get("name")),
            language=_text(raw.get("language")).replace("-", "_"),
            status=_text(raw.get("status")).upper(),
            category=_text(raw.get("category")).upper(),
            parameter_format=_text(raw.get("parameter_format")).upper(),
            quality=(_text(score.get("score")).upper() or None) if isinstance(score, dict) else None,
            components=tuple(each for each in components if isinstance(each, dict))
            if isinstance(components, list)
            else (),
            raw=raw,
        )

    @property
    def version(self) -> str:
        """A short word that changes when the id or any component does, and with nothing else."""
        content = json.dumps([self.template_id, self.components], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_VERSION_CHARACTERS]

    @property
    def body(self) -> str:
        """The body's text, with its variables in braces."""
        return _text(_first(self.components, "BODY").get("text"))

    @property
    def footer(self) -> str:
        """The footer's text; empty without one."""
        return _text(_first(self.components, "FOOTER").get("text"))

    @property
    def header(self) -> Mapping[str, Any]:
        """The header's component; empty without one."""
        return _first(self.components, "HEADER")

    @property
    def header_text(self) -> str:
        """The header's text, with its variables in braces; empty for a header of another format."""
        return _text(self.header.get("text")) if self.header_format == "TEXT" else ""

    @property
    def header_format(self) -> str:
        """``TEXT``, ``IMAGE`` …, in capitals; empty without a header."""
        return _text(self.header.get("format")).upper() or ("TEXT" if self.header else "")

    @property
    def buttons(self) -> tuple[Mapping[str, Any], ...]:
        """The buttons in the order of their index."""
        buttons = _first(self.components, "BUTTONS").get("buttons")
        return tuple(each for each in buttons if isinstance(each, dict)) if isinstance(buttons, list) else ()

    def variables(self) -> tuple[TemplateVariable, ...]:
        """What a message of this template has to fill, or may: header, then body, then buttons."""
        return (*self._of_header(), *map(_in_body, variables_in(self.body)), *self._of_buttons())

    def kind_of_button(self, index: int) -> VariableKind | None:
        """What fills the button at an index; None for one that is not there, or that nothing fills."""
        for variable in self._of_buttons():
            if variable.name == f"button.{index}":
                return variable.kind
        return None

    def beyond_us(self) -> tuple[str, ...]:
        """The parts that want parameters which no campaign here can give, in words."""
        parts = [f"a header of format {self.header_format}"] if self._has_strange_header() else []
        parts += [
            f"a component {kind}"
            for component in self.components
            if (kind := _text(component.get("type")).upper()) in _COMPONENTS_THAT_WANT_MORE
        ]
        parts += [
            f"a button {kind}"
            for button in self.buttons
            if (kind := _text(button.get("type")).upper()) in _BUTTONS_THAT_WANT_MORE
        ]
        return tuple(parts)

    def _has_strange_header(self) -> bool:
        return bool(self.header) and self.header_format not in ("TEXT", *(kind.upper() for kind in MEDIA))

    def _of_header(self) -> Iterator[TemplateVariable]:
        if self.header_format == "TEXT":
            for name in variables_in(self.header_text):
                yield TemplateVariable(f"header.{name}", VariableKind.TEXT)
        elif self.header and not self._has_strange_header():
            kind = VariableKind(self.header_format.lower())
            yield TemplateVariable(f"header.{kind}", kind)

    def _of_buttons(self) -> Iterator[TemplateVariable]:
        for index, button in enumerate(self.buttons):
            name = f"button.{index}"
            match _text(button.get("type")).upper():
                case "URL" if variables_in(_text(button.get("url"))):
                    yield TemplateVariable(name, VariableKind.URL)
                case "QUICK_REPLY":
                    yield TemplateVariable(name, VariableKind.PAYLOAD, required=False)
                case "COPY_CODE":
                    yield TemplateVariable(name, VariableKind.COPY_CODE)
                case _:
                    continue


def variables_in(text: str) -> list[str]:
    """The variables of a text, each once, in the order in which they come."""
    return list(dict.fromkeys(VARIABLE.findall(text)))


def _in_body(name: str) -> TemplateVariable:
    return TemplateVariable(name, VariableKind.TEXT)


def _first(components: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((each for each in components if _text(each.get("type")).upper() == kind), {})


def _text(value: object) -> str:
    """A text as it came, or what can be shown of something that should have been one."""
    if value is None or isinstance(value, dict | list):
        return ""
    return str(value)

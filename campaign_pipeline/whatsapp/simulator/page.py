"""The page at GET /simulator: what the simulator received, what is to come, and how to steer it.

Add here a table of something that a person wants to see. Keep out routes (control.py) and everything that changes
anything. The page loads nothing from anywhere, and numbers stand on it in full: no real person is behind them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from campaign_pipeline.whatsapp.simulator.identities import shown_wa_id
from campaign_pipeline.whatsapp.simulator.messages import Simulator
from campaign_pipeline.whatsapp.simulator.record import AcceptedMessage, report

_MESSAGES_SHOWN = 100
_HOLDING = '<p class="warn">All answers are held back until POST /simulator/release.</p>'

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d7dbe0, #3a4048); --quiet: light-dark(#5b6470, #9aa4b0);
  --ground: light-dark(#ffffff, #16191d); --ink: light-dark(#1c2127, #e6e9ed); --box: light-dark(#f4f6f8, #1f242a);
  --warn: light-dark(#a33b00, #ffb37a); }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; color: var(--quiet); } .warn { color: var(--warn); font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); white-space: nowrap; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; } td:nth-child(-n+3) { white-space: nowrap; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .75rem; margin: 1rem 0; }
dl div { background: var(--box); border-radius: .4rem; padding: .6rem .8rem; }
dt { color: var(--quiet); font-size: .85rem; } dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
pre { background: var(--box); border-radius: .4rem; padding: .8rem; overflow-x: auto; font-size: .85rem; }
"""

_ORDERS = (
    ("The next two requests are refused", "faults", '{"fault": "error", "code": 131048, "next": 2}'),
    (
        "A server error after which the message goes out anyway",
        "faults",
        '{"fault": "error", "code": 131000, "accepted": true, "next": 1}',
    ),
    ("Every message to one person fails later", "faults", '{"fault": "failed", "code": 131049, "to": "+447700900001"}'),
    ("One answer in a hundred is lost", "faults", '{"fault": "lost_answer", "share": 0.01}'),
    ("An error, a good answer, another error", "faults", '{"sequence": [{"fault": "html"}, null, {"fault": "slow"}]}'),
    ("The next 50 are held for quality assessment", "faults", '{"fault": "held", "next": 50}'),
    ("Held messages are sent", "held/release", None),
    ("Held messages are dropped", "held/drop", '{"code": 132015}'),
    (
        "News of the account",
        "webhooks",
        '{"field": "business_capability_update", "value": {"max_daily_conversations_per_business": 2000}}',
    ),
    ("A person writes", "inbound", '{"from": "+447700900001", "text": "STOP"}'),
    (
        "A person taps a button",
        "inbound",
        '{"from": "+447700900001", "button": {"payload": "STOP_MARKETING", "text": "Unsubscribe"}}',
    ),
    ("All answers are held back", "hold", None),
    ("They are given", "release", None),
)


def page_of(simulator: Simulator, base_url: str, now: float) -> str:
    """Builds the page.

    Args:
        simulator: what is shown.
        base_url: where it listens, for the examples.
        now: seconds since 1970 in UTC.

    Returns:
        The HTML.
    """
    messages = simulator.record.messages
    sections = (
        _counts(simulator, now),
        _section("Faults in force", ("Target", "Fault"), _faults(simulator), "None: every request goes through."),
        _section("Webhooks to come", ("Status or field", "Count"), _to_come(simulator), "None."),
        _section("Templates used", ("Template", "Language", "Messages"), _templates(messages), "None yet."),
        _section(
            f"Messages, the last {_MESSAGES_SHOWN}, newest first",
            ("Accepted at", "To", "wa_id", "Template", "Values", "Callback data", "wamid"),
            [_message(message, simulator) for message in reversed(messages[-_MESSAGES_SHOWN:])],
            "None yet.",
        ),
        _control(base_url),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Local WhatsApp Cloud API</title><style>{_STYLE}</style></head><body>"
        "<h1>Local WhatsApp Cloud API</h1>"
        "<p>A simulator: no message on this page reaches a real person. Reload for the present state.</p>"
        f"{''.join(sections)}</body></html>"
    )


def _counts(simulator: Simulator, now: float) -> str:
    reached = report(simulator.record.messages)
    limit = simulator.options.messaging_limit
    people = simulator.limits.people_reached(now)
    counts = {
        "Messages accepted": len(simulator.record.messages),
        "People reached": reached["distinct_recipients"],
        "Reached twice": len(_list(reached["reached_twice"])),
        "People in 24 hours": people if limit is None else f"{people} of {limit}",
        "Held for assessment": len(simulator.held),
        "Webhooks to come": simulator.statuses.pending,
        "Unanswered requests": simulator.unanswered,
    }
    if simulator.options.webhook_url is not None:
        counts["Webhooks posted"] = simulator.delivery.delivered
        counts["Waiting to be posted"] = simulator.delivery.waiting
        counts["Posts without a 200"] = simulator.delivery.refused
    boxes = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(count))}</dd></div>" for name, count in counts.items()
    )
    holding = (
        '<p class="warn">All answers are held back until POST /simulator/release.</p>' if simulator.holding else ""
    )
    return f"<dl>{boxes}</dl>{holding}"


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []


def _faults(simulator: Simulator) -> list[tuple[object, ...]]:
    return [
        (ordered.target, "goes through" if ordered.fault is None else ordered.fault.name)
        for ordered in simulator.faults.in_force()
    ]


def _to_come(simulator: Simulator) -> list[tuple[object, ...]]:
    return sorted(simulator.statuses.to_come().items())


def _templates(messages: Iterable[AcceptedMessage]) -> list[tuple[object, ...]]:
    used = Counter((message.template, message.language) for message in messages)
    return [(*which, count) for which, count in sorted(used.items())]


def _message(message: AcceptedMessage, simulator: Simulator) -> tuple[object, ...]:
    return (
        f"{datetime.fromisoformat(message.accepted_at):%Y-%m-%d %H:%M:%S} UTC",
        message.to,
        shown_wa_id(message.to, simulator.options),
        f"{message.template} ({message.language})",
        " · ".join(_values(message.components)),
        message.biz_opaque_callback_data or "",
        message.wamid,
    )


def _values(components: Iterable[object]) -> Iterable[str]:
    """The texts of a message's parameters, in the order of its components."""
    for component in components:
        parameters = component.get("parameters") if isinstance(component, dict) else None
        for parameter in _list(parameters):
            if isinstance(parameter, dict):
                value = parameter.get(str(parameter.get("type")), "")
                yield str(value.get("link") or value.get("id") or "") if isinstance(value, dict) else str(value)


def _section(title: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]], otherwise: str) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p>{escape(otherwise)}</p>"
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<h2>{escape(title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _control(base_url: str) -> str:
    lines: list[str] = []
    for what, path, body in _ORDERS:
        data = "" if body is None else f" \\\n  -H 'Content-Type: application/json' -d '{body}'"
        lines.append(f"# {what}\ncurl -X POST {base_url}/simulator/{path}{data}")
    lines.append(f"# No more faults\ncurl -X DELETE {base_url}/simulator/faults")
    lines.append(
        f"# What it received\ncurl {base_url}/simulator/messages\ncurl {base_url}/simulator/report\n"
        f"curl {base_url}/simulator/health"
    )
    examples = escape("\n\n".join(lines))
    return f"<h2>Steer it</h2><p>docs/simulator.md says what each order means.</p><pre>{examples}</pre>"

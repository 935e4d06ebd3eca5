"""Values that WhatsApp would refuse are found when a list is added."""

from pathlib import Path

from sqlalchemy import select

from campaign_pipeline.campaigns.kept_template import keep_template
from campaign_pipeline.campaigns.templates import TemplateParameter
from campaign_pipeline.ledger.engine import Ledger
from campaign_pipeline.ledger.schema import campaign_recipients, recipient_rejections, subscriptions
from campaign_pipeline.recipients.intake import IntakeReport, add_file, add_subscribed
from campaign_pipeline.recipients.sorting import IntakeCounts
from campaign_pipeline_tests.support.campaigns import NOON, draft, folders, phone
from campaign_pipeline_tests.support.templates import body, template


def _write(root: Path, *lines: str) -> Path:
    path = root / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _add(ledger: Ledger, path: Path) -> IntakeReport:
    return add_file(
        ledger,
        "spring-sale",
        path,
        folders=folders(path.parent),
        region="GB",
        phone_column=None,
        actor="ada",
        clock=lambda: NOON,
    )


def _audience(ledger: Ledger, campaign_id: int) -> list[str]:
    query = select(campaign_recipients.c.phone).where(campaign_recipients.c.campaign_id == campaign_id)
    with ledger.read() as connection:
        return list(connection.execute(query.order_by(campaign_recipients.c.position)).scalars())


def _details(ledger: Ledger) -> list[str]:
    query = select(recipient_rejections.c.detail).order_by(recipient_rejections.c.id)
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def test_a_person_with_a_value_that_whatsapp_refuses_is_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """On its day it would be error 132012; here it is a row in a file that somebody can mend."""
    parameters = [TemplateParameter("1", "name"), TemplateParameter("header.image", "picture")]
    campaign = draft(ledger, parameters=parameters)
    path = _write(
        tmp_path,
        "phone,name,picture,note",
        f'{phone(1)},Ada,id:1,"a\nb"',
        f'{phone(2)},"Bob\nB",id:1,',
        f"{phone(3)},C     D,id:1,",
        f"{phone(4)},Eve,picture.png,",
        f"{phone(5)},{'x' * 1025},id:1,",
    )
    report = _add(ledger, path)
    assert report.counts == IntakeCounts(read=5, added=1, invalid=4)
    assert _audience(ledger, campaign.id) == [phone(1)]
    details = _details(ledger)
    assert [detail.partition(":")[0] for detail in details] == ["unusable_value"] * 3 + ["value_too_long"]
    assert "name has a line break, a tab or more than four spaces in a row" in details[0]
    assert "picture is neither a link" in details[2]


def test_a_message_that_is_too_long_is_rejected_once_the_template_was_read(ledger: Ledger, tmp_path: Path) -> None:
    """The value alone is short enough; with the template's own text it is not."""
    campaign = draft(ledger, parameters=[TemplateParameter("1", "name")])
    with ledger.write() as connection:
        keep_template(connection, campaign, template(body(f"{'x' * 1000}{{{{1}}}}")), NOON)
    report = _add(ledger, _write(tmp_path, "phone,name", f"{phone(1)},{'y' * 24}", f"{phone(2)},{'y' * 25}"))
    assert report.counts == IntakeCounts(read=2, added=1, invalid=1)
    assert "would make a message of 1,025 characters" in _details(ledger)[0]


def test_a_campaign_with_fixed_texts_alone_needs_no_column(ledger: Ledger, tmp_path: Path) -> None:
    """The same picture for everybody stands in no list."""
    campaign = draft(ledger, parameters=[TemplateParameter("header.image", fixed="id:1")])
    assert _add(ledger, _write(tmp_path, "phone", phone(1))).counts.added == 1
    other = draft(ledger, "Other", parameters=[TemplateParameter("header.image", fixed="id:1")])
    assert add_subscribed(ledger, other.slug, actor="ada", now=NOON).counts.added == 1
    assert _audience(ledger, campaign.id) == [phone(1)]


def test_a_no_is_heard_whatever_else_is_wrong_with_its_row(ledger: Ledger, tmp_path: Path) -> None:
    """The row is mended or thrown away, and another campaign writes to somebody who has said no."""
    draft(ledger, parameters=[TemplateParameter("1", "name")])
    path = _write(
        tmp_path,
        "phone,name,consent",
        f"{phone(1)},,no",
        f'{phone(2)},"Bob\nB",no',
        "+1 212 555 2368,Cleo,no",
        f"{phone(4)},,yes",
    )
    report = _add(ledger, path)
    assert report.counts == IntakeCounts(read=4, unsubscribed=3, invalid=1)
    with ledger.read() as connection:
        noted = connection.execute(select(subscriptions.c.phone, subscriptions.c.status)).all()
    assert sorted(noted) == sorted((each, "unsubscribed") for each in (phone(1), phone(2), "+12125552368"))

"""Every environment variable means what the README says, and a wrong one is refused before anything is sent."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from pydantic import ValidationError

from campaign_pipeline.campaigns.calendar import SendWindow
from campaign_pipeline.settings import Settings, SettingsError

TOKEN = "EAAG-very-secret-0123456789"

DEFAULTS = {
    "database_url": None,
    "data_dir": Path("data"),
    "timezone": "UTC",
    "default_region": None,
    "us_numbers": "reject",
    "start_date": None,
    "send_time": time(9),
    "send_window": "09:00-20:00",
    "sender_limit": 250,
    "limit_ceiling": None,
    "sender_rate": 20.0,
    "stop_after": 50,
    "stop_share": 30,
    "resume_unpaused": True,
    "ingest_seconds": 300.0,
    "stop_words": "",
    "start_words": "",
    "require_opt_in": False,
    "reply_window": 72,
    "whatsapp_base_url": "https://graph.facebook.com",
    "whatsapp_api_version": "v25.0",
    "whatsapp_phone_number_id": None,
    "whatsapp_business_account_id": None,
    "whatsapp_access_token": None,
    "dagster_webserver_url": "http://127.0.0.1:3000",
    "upload_limit": 1024**3,
    "metrics": "token",
    "whatsapp_app_secret": None,
    "webhook_verify_token": None,
    "webhook_unsigned": "refuse",
    "webhook_forward_url": None,
    "webhook_forward_mb": 2_048,
    "webhook_file_mb": 16.0,
    "webhook_file_seconds": 5.0,
}

VARIABLES = {
    "CAMPAIGN_DATABASE_URL": "database_url",
    "CAMPAIGN_DATA_DIR": "data_dir",
    "CAMPAIGN_TIMEZONE": "timezone",
    "CAMPAIGN_DEFAULT_REGION": "default_region",
    "CAMPAIGN_US_NUMBERS": "us_numbers",
    "CAMPAIGN_START_DATE": "start_date",
    "CAMPAIGN_SEND_TIME": "send_time",
    "CAMPAIGN_SEND_WINDOW": "send_window",
    "CAMPAIGN_SENDER_LIMIT": "sender_limit",
    "CAMPAIGN_LIMIT_CEILING": "limit_ceiling",
    "CAMPAIGN_SENDER_RATE": "sender_rate",
    "CAMPAIGN_STOP_AFTER": "stop_after",
    "CAMPAIGN_STOP_SHARE": "stop_share",
    "CAMPAIGN_RESUME_UNPAUSED": "resume_unpaused",
    "CAMPAIGN_INGEST_SECONDS": "ingest_seconds",
    "CAMPAIGN_STOP_WORDS": "stop_words",
    "CAMPAIGN_START_WORDS": "start_words",
    "CAMPAIGN_REQUIRE_OPT_IN": "require_opt_in",
    "CAMPAIGN_REPLY_WINDOW": "reply_window",
    "WHATSAPP_BASE_URL": "whatsapp_base_url",
    "WHATSAPP_API_VERSION": "whatsapp_api_version",
    "WHATSAPP_PHONE_NUMBER_ID": "whatsapp_phone_number_id",
    "WHATSAPP_BUSINESS_ACCOUNT_ID": "whatsapp_business_account_id",
    "WHATSAPP_ACCESS_TOKEN": "whatsapp_access_token",
    "DAGSTER_WEBSERVER_URL": "dagster_webserver_url",
    "CAMPAIGN_UPLOAD_LIMIT": "upload_limit",
    "CAMPAIGN_METRICS": "metrics",
    "WHATSAPP_APP_SECRET": "whatsapp_app_secret",
    "WEBHOOK_VERIFY_TOKEN": "webhook_verify_token",
    "WEBHOOK_UNSIGNED": "webhook_unsigned",
    "WEBHOOK_FORWARD_URL": "webhook_forward_url",
    "WEBHOOK_FORWARD_MB": "webhook_forward_mb",
    "WEBHOOK_FILE_MB": "webhook_file_mb",
    "WEBHOOK_FILE_SECONDS": "webhook_file_seconds",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder and none of our variables."""
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def _refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as refusal:
        Settings()
    return str(refusal.value)


def test_without_any_variable_the_settings_are_the_safe_ones() -> None:
    """A first try must not reach anybody, nor more than Meta's lowest tier, nor at night."""
    settings = Settings()
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert set(Settings.model_fields) == set(DEFAULTS) == set(VARIABLES.values())


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("CAMPAIGN_DATABASE_URL", "postgresql://u:p@db/ledger", "postgresql://u:p@db/ledger"),
        ("CAMPAIGN_DATA_DIR", "/srv/campaigns", Path("/srv/campaigns")),
        ("CAMPAIGN_TIMEZONE", "Europe/Berlin", "Europe/Berlin"),
        ("CAMPAIGN_DEFAULT_REGION", "gb", "GB"),
        ("CAMPAIGN_DEFAULT_REGION", " DE ", "DE"),
        ("CAMPAIGN_US_NUMBERS", "keep", "keep"),
        ("CAMPAIGN_LIMIT_CEILING", "2000", 2000),
        ("CAMPAIGN_START_DATE", "2026-03-01", date(2026, 3, 1)),
        ("CAMPAIGN_SEND_TIME", "19:59", time(19, 59)),
        ("CAMPAIGN_SEND_TIME", "09:00", time(9)),
        ("CAMPAIGN_SEND_WINDOW", "00:00-24:00", "00:00-24:00"),
        ("CAMPAIGN_SENDER_LIMIT", "0", 0),
        ("CAMPAIGN_SENDER_LIMIT", "2000", 2000),
        ("CAMPAIGN_SENDER_RATE", "0.5", 0.5),
        ("CAMPAIGN_SENDER_RATE", "80", 80.0),
        ("CAMPAIGN_STOP_WORDS", "CANCEL, ende", "CANCEL, ende"),
        ("CAMPAIGN_START_WORDS", "ALTA", "ALTA"),
        ("CAMPAIGN_REQUIRE_OPT_IN", "true", True),
        ("CAMPAIGN_REPLY_WINDOW", "24", 24.0),
        ("WHATSAPP_BASE_URL", "http://127.0.0.1:8090", "http://127.0.0.1:8090"),
        ("WHATSAPP_API_VERSION", "v26.0", "v26.0"),
        ("WHATSAPP_PHONE_NUMBER_ID", "106540352242922", "106540352242922"),
        ("WHATSAPP_BUSINESS_ACCOUNT_ID", "102290129340398", "102290129340398"),
        ("WEBHOOK_UNSIGNED", "accept", "accept"),
        ("WEBHOOK_FORWARD_MB", "64", 64),
        ("WEBHOOK_FILE_MB", "0.5", 0.5),
        ("WEBHOOK_FILE_SECONDS", "30", 30.0),
    ],
)
def test_each_variable_sets_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, value: object
) -> None:
    """A variable that is read under another name changes nothing, and nobody notices until the night."""
    monkeypatch.setenv(variable, text)
    settings = Settings()
    assert getattr(settings, VARIABLES[variable]) == value
    others = {name: default for name, default in DEFAULTS.items() if name != VARIABLES[variable]}
    assert {name: getattr(settings, name) for name in others} == others


@pytest.mark.parametrize("variable", list(VARIABLES))
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, variable: str, empty: str) -> None:
    """`.env.example` is copied with `CAMPAIGN_DATA_DIR=` in it: the ledger must not land in the present folder."""
    monkeypatch.setenv(variable, empty)
    name = VARIABLES[variable]
    assert getattr(Settings(), name) == DEFAULTS[name]


@pytest.mark.parametrize("line", ["CAMPAIGN_SENDER_LIMIT=", "CAMPAIGN_SENDER_LIMIT=   ", 'CAMPAIGN_SENDER_LIMIT=""'])
def test_an_empty_line_of_the_env_file_is_one_that_is_not_set(tmp_path: Path, line: str) -> None:
    """The file is where most settings stand."""
    (tmp_path / ".env").write_text(f"{line}\n", encoding="utf-8")
    assert Settings().sender_limit == DEFAULTS["sender_limit"]


@pytest.mark.parametrize(
    ("variable", "text", "phrase"),
    [
        ("CAMPAIGN_TIMEZONE", "Berlin", "'Berlin' is no time zone; write it as in Europe/London"),
        ("CAMPAIGN_TIMEZONE", "../etc/passwd", "is no time zone"),
        ("CAMPAIGN_DEFAULT_REGION", "UK", "The United Kingdom is GB"),
        ("CAMPAIGN_DEFAULT_REGION", "+49", "Unknown region"),
        ("CAMPAIGN_START_DATE", "1 March", "CAMPAIGN_START_DATE"),
        ("CAMPAIGN_START_DATE", "01.03.2026", "CAMPAIGN_START_DATE"),
        ("CAMPAIGN_SEND_TIME", "nine", "CAMPAIGN_SEND_TIME"),
        ("CAMPAIGN_SEND_TIME", "08:59", "CAMPAIGN_SEND_TIME 08:59 is outside CAMPAIGN_SEND_WINDOW 09:00-20:00"),
        ("CAMPAIGN_SEND_TIME", "20:00", "CAMPAIGN_SEND_TIME 20:00 is outside CAMPAIGN_SEND_WINDOW 09:00-20:00"),
        # A time with an offset of its own would be another hour in winter.
        ("CAMPAIGN_SEND_TIME", "10:00+02:00", "CAMPAIGN_SEND_TIME"),
        ("CAMPAIGN_SEND_TIME", "10:00Z", "CAMPAIGN_SEND_TIME"),
        ("CAMPAIGN_SEND_WINDOW", "10:00-20:00", "CAMPAIGN_SEND_TIME 09:00 is outside CAMPAIGN_SEND_WINDOW"),
        ("CAMPAIGN_SEND_WINDOW", "20:00-09:00", "close after it opens on the same day, not 20:00-09:00"),
        ("CAMPAIGN_SEND_WINDOW", "always", "is written 09:00-20:00, not 'always'"),
        ("CAMPAIGN_SEND_WINDOW", "09:00Z-20:00", "is written 09:00-20:00"),
        ("CAMPAIGN_SEND_WINDOW", "9-20", "is written 09:00-20:00"),
        ("CAMPAIGN_SENDER_LIMIT", "-1", "CAMPAIGN_SENDER_LIMIT"),
        ("CAMPAIGN_SENDER_LIMIT", "many", "CAMPAIGN_SENDER_LIMIT"),
        ("CAMPAIGN_SENDER_RATE", "0", "CAMPAIGN_SENDER_RATE"),
        ("CAMPAIGN_SENDER_RATE", "1001", "CAMPAIGN_SENDER_RATE"),
        ("CAMPAIGN_SENDER_RATE", "nan", "CAMPAIGN_SENDER_RATE"),
        ("WHATSAPP_BASE_URL", "graph.facebook.com", "WHATSAPP_BASE_URL"),
        ("WHATSAPP_API_VERSION", "25.0", "WHATSAPP_API_VERSION"),
        ("WHATSAPP_API_VERSION", "latest", "WHATSAPP_API_VERSION"),
        ("WEBHOOK_UNSIGNED", "yes", "WEBHOOK_UNSIGNED"),
        ("WEBHOOK_FORWARD_MB", "1", "WEBHOOK_FORWARD_MB"),
        ("WEBHOOK_FILE_MB", "0", "WEBHOOK_FILE_MB"),
        # Ingestion reads a file of up to 64 MB at once to find out whether it is one document.
        ("WEBHOOK_FILE_MB", "65", "WEBHOOK_FILE_MB"),
        ("WEBHOOK_FILE_SECONDS", "0", "WEBHOOK_FILE_SECONDS"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_its_name_or_a_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, phrase: str
) -> None:
    """Found out at nine in the morning, it costs a day of sending."""
    assert phrase in _refusal(monkeypatch, **{variable: text})


def test_the_env_file_is_read_and_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A container sets its own limit, whatever file lies in its folder."""
    (tmp_path / ".env").write_text(
        "# the business\nCAMPAIGN_SENDER_LIMIT=1000\nCAMPAIGN_TIMEZONE=Europe/Berlin\nSOMETHING_ELSE=1\n",
        encoding="utf-8",
    )
    assert (Settings().sender_limit, Settings().timezone) == (1000, "Europe/Berlin")
    monkeypatch.setenv("CAMPAIGN_SENDER_LIMIT", "2000")
    assert (Settings().sender_limit, Settings().timezone) == (2000, "Europe/Berlin")


def test_the_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are printed in errors, logs and Dagster's pages; a token there is everybody's."""
    monkeypatch.setenv("WHATSAPP_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("WHATSAPP_PHONE_NUMBER_ID", "1065")
    settings = Settings()
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())]
    shown += [repr(settings.account), str(settings.account), f"{settings.account}"]
    assert [text for text in shown if "very-secret" in text] == []
    assert settings.account.access_token == TOKEN


@pytest.mark.parametrize("variable", ["WHATSAPP_APP_SECRET", "WEBHOOK_VERIFY_TOKEN", "WEBHOOK_FORWARD_URL"])
def test_no_secret_of_the_webhooks_is_ever_shown(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Whoever knows one of them can post what they like; the address of the bot may hold a token of its own."""
    monkeypatch.setenv(variable, f"https://bot.example/{TOKEN}")
    settings = Settings()
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())]
    assert [text for text in shown if "very-secret" in text] == []


def test_several_app_secrets_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Meta's secret is replaced, some webhooks are still signed with the old one."""
    assert Settings().app_secrets == ()
    monkeypatch.setenv("WHATSAPP_APP_SECRET", " old , new,")
    assert Settings().app_secrets == ("old", "new")
    monkeypatch.setenv("WHATSAPP_APP_SECRET", " , ")
    assert Settings().app_secrets == ()


@pytest.mark.parametrize(
    "wrong",
    [{"CAMPAIGN_SEND_TIME": "23:00"}, {"CAMPAIGN_SENDER_LIMIT": "-1"}, {"WHATSAPP_API_VERSION": "latest"}],
)
def test_the_token_is_not_shown_when_another_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    """The error of a wrong send time is printed by Dagster as it is, with whatever input stands in it."""
    refusal = _refusal(monkeypatch, WHATSAPP_ACCESS_TOKEN=TOKEN, **wrong)
    assert "secret" not in refusal
    assert TOKEN[-8:] not in refusal


def test_without_a_token_nothing_is_sent_and_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first `campaign send` of everybody who tries it."""
    with pytest.raises(SettingsError, match="Nothing can be sent: set WHATSAPP_ACCESS_TOKEN"):
        _ = Settings().account
    monkeypatch.setenv("WHATSAPP_ACCESS_TOKEN", TOKEN)
    with pytest.raises(SettingsError, match="Nothing can be sent: set WHATSAPP_PHONE_NUMBER_ID"):
        _ = Settings().account
    monkeypatch.setenv("WHATSAPP_PHONE_NUMBER_ID", "1065")
    account = Settings().account
    assert (account.base_url, account.api_version) == ("https://graph.facebook.com", "v25.0")
    assert (account.phone_number_id, account.access_token) == ("1065", TOKEN)


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    """A limit changed in the middle of a run would be one that no proof knows of."""
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.sender_limit = 10_000  # ty: ignore[invalid-assignment]


def test_the_settings_hand_each_room_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rooms that work out the same folder or zone by themselves will differ one day."""
    for variable, text in {
        "CAMPAIGN_DATA_DIR": "desk",
        "CAMPAIGN_TIMEZONE": "Pacific/Kiritimati",
        "CAMPAIGN_START_DATE": "2026-03-01",
        "CAMPAIGN_SEND_TIME": "10:30",
        "CAMPAIGN_SEND_WINDOW": "10:00-18:00",
    }.items():
        monkeypatch.setenv(variable, text)
    settings = Settings()
    assert settings.ledger_url == "sqlite:///desk/ledger.sqlite3"
    assert settings.list_folders.waiting == Path("desk/lists")
    assert settings.list_folders.kept == Path("desk/kept")
    assert settings.list_folders.rejected == settings.status_folders.rejected == Path("desk/rejected")
    assert settings.status_folders.inbox == Path("desk/inbox")
    assert settings.status_folders.archive == Path("desk/archive")
    assert settings.forward_folder == Path("desk/forward")
    calendar = settings.calendar
    assert (calendar.timezone.key, calendar.start_date) == ("Pacific/Kiritimati", date(2026, 3, 1))
    assert (calendar.send_time, calendar.window) == (time(10, 30), SendWindow(time(10), time(18)))
    monkeypatch.setenv("CAMPAIGN_DATABASE_URL", "postgresql://db/ledger")
    assert Settings().ledger_url == "postgresql://db/ledger"


def test_without_a_start_date_the_first_send_date_is_today_where_the_business_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The date of UTC would be a partition of yesterday for half the world."""
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        monkeypatch.setenv("CAMPAIGN_TIMEZONE", zone)
        before = datetime.now(UTC)
        calendar = Settings().calendar
        assert calendar.start_date in {calendar.date_of(before), calendar.date_of(datetime.now(UTC))}


@pytest.mark.parametrize("name", ["WHATSAPP_ACCESS_TOKEN", "WHATSAPP_PHONE_NUMBER_ID"])
def test_what_goes_into_a_request_is_visible_ascii(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A token copied from a page brings a line end or a special character with it; neither may be shown."""
    monkeypatch.setenv(name, " secret-1\n")
    settings = Settings()
    token = settings.whatsapp_access_token
    assert (token.get_secret_value() if token else settings.whatsapp_phone_number_id) == "secret-1"
    for bad in ("secret…", "secret one", "secret\r\nHost: other"):
        monkeypatch.setenv(name, bad)
        with pytest.raises(ValidationError, match=name) as raised:
            Settings()
        assert "secret" not in str(raised.value)


def test_the_words_of_an_installation_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A business that asks its customers to write CANCEL has to be understood as well."""
    monkeypatch.setenv("CAMPAIGN_STOP_WORDS", " CANCEL , geen post,, ")
    monkeypatch.setenv("CAMPAIGN_START_WORDS", "ALTA")
    terms = Settings().inbound_terms
    assert [terms.vocabulary.meaning_of(text) for text in ("cancel", "Geen post!", "stop")] == ["unsubscribed"] * 3
    assert terms.vocabulary.meaning_of("alta") == "subscribed"
    assert terms.vocabulary.meaning_of("") is None
    assert terms.reply_window.total_seconds() == 72 * 3600

"""Whole messages that say stop or start are understood as people write them, and ordinary answers are not."""

import re

import pytest

from campaign_pipeline.ledger.states import SubscriptionStatus
from campaign_pipeline.recipients.stop_words import LONGEST_WORD, bare, read_words, vocabulary

STOP, START = SubscriptionStatus.UNSUBSCRIBED, SubscriptionStatus.SUBSCRIBED

ORDINARY_ANSWERS = """
    yes no ok okay sure maybe thanks thank you cancel end quit done hello hi help info price stop by tomorrow
    sí no gracias hola vale para claro cancelar fin precio | não sim obrigado oi voltar cancelar quero saber mais
    oui non merci bonjour d'accord annuler fin reprendre | ja nein danke hallo abbrechen ende weiter aus
    sì no grazie ciao annulla fine avanti | ja nee dank je annuleren einde | tak nie dziękuję anuluj koniec
    да нет спасибо привет отмена конец отпиши хорошо | так ні дякую скасувати | ναι όχι ευχαριστώ ακύρωση
    evet hayır teşekkürler iptal bitir dur tamam onay | نعم لا شكرا الغاء حسنا | כן לא תודה ביטול | بله نه ممنون لغو
    हाँ नहीं धन्यवाद रद्द ठीक है रुको acha accha theek hai haan nahi | হ্যাঁ না ধন্যবাদ | ஆம் இல்லை நன்றி
    ใช่ ไม่ ขอบคุณ ยกเลิก | đúng không cảm ơn hủy vâng dùng | ya tidak terima kasih batal selesai
    是 不 谢谢 取消 结束 好 | はい いいえ ありがとう キャンセル 終了 解除 登録 | 네 아니요 감사합니다 취소 끝
    ndio hapana asante sawa acha | red blue alta baixa misa stad dur begin register order
    remove remover ondoa | cuatro cinco seis siete | um dois cinco seis sete | basta | basta così | gelditu
    đúng, nhận tin | đúng, gửi tin | dùng lại | หยุด | zatrzymać | zatrzymaj | mat bhejo | διακοπή | ferma
    parę | pare | haettu | Daina | debut | début |
    Stans | Dayan | botika | iscrivimi | iscrivermi | me inscrever | quero receber | darme de alta | dame de alta
"""


def _meaning(text: str) -> SubscriptionStatus | None:
    return vocabulary().meaning_of(text)


def _listed(kind: str) -> list[tuple[str, str]]:
    return [(language["code"], word) for language in read_words()["language"] for word in language[kind]]


def test_at_least_sixty_languages_have_their_words() -> None:
    """Whoever writes STOP in their own language would go on being written to."""
    codes = [language["code"] for language in read_words()["language"]]
    assert len(codes) >= 60
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]{2,3}", code) for code in codes)
    assert all(language["name"] and len(language["stop"]) >= 2 for language in read_words()["language"])


def test_each_word_of_the_file_is_understood_as_what_it_stands_under() -> None:
    """A word that is too long, or nothing but ornament, would stand there and never count."""
    wrong = [each for each in _listed("stop") if _meaning(each[1]) is not STOP]
    wrong += [each for each in _listed("start") if _meaning(each[1]) is not START]
    payloads = read_words()["payloads"]
    wrong += [("payload", each) for each in payloads["stop"] if _meaning(each) is not STOP]
    wrong += [("payload", each) for each in payloads["start"] if _meaning(each) is not START]
    assert wrong == []


def test_no_word_says_both() -> None:
    """A START in one language would be a STOP in another."""
    stops, starts = ({bare(word) for _, word in _listed(kind)} for kind in ("stop", "start"))
    assert stops & starts == set()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOP",
            "stop",
            "Stop!",
            " stop. ",
            "„Stopp“",
            "*STOP*",
            "stop 🛑🙏",
            "ＳＴＯＰ",
            "Stop\u200b\u200f",
            "s\u0301top",
        ),
        *(
            "Please, stop!",
            "STOP-ALL",
            "Unsubscribe",
            "Opt-out",
            "STOP_MARKETING",
            "Stop promotions",
            "don’t message me",
        ),
        *("ARRÊT", "arret", "Désabonner", "BAJA", "Sair", "SAIR.", "No más mensajes.", "Dezabonează-mă"),
        *("DURDUR", "Abonelikten ÇIK", "abonelikten cik", "to‘xtat", "toxtat", "Çabonohu", "ODJAVA"),
        *(
            "СТОП",
            "Стоп!!!",
            "отписаться",
            "στοπ",
            "ΣΤΟΠ",
            "إيقاف",
            "ايقاف",
            "إلغاء الاشتراك",
            "الغاء الاشتراك",
            "הסר",
            "لغو ۱۱",
        ),
        *("बंद करो", "বন্ধ করুন", "நிறுத்து", "ఆపండి", "ನಿಲ್ಲಿಸಿ", "നിർത്തുക", "หยุดส่ง", "ຢຸດ", "ឈប់", "ရပ်ပါ"),
        *(
            "退订",
            "退订。",
            "配信停止",
            "ストップ",
            "수신거부",
            "수신 거부!",
            "Huỷ đăng ký",
            "huy dang ky",
            "አቁም",
            "kwụsị",
            "kwusi",
        ),
    ],
)
def test_stop_is_understood_however_it_is_written(text: str) -> None:
    """Case, accents, punctuation and emoji are how people write, not what they say."""
    assert _meaning(text) is STOP


@pytest.mark.parametrize(
    "text", ["START", "Start!", "unstop", "СТАРТ", "Abone ol", "订阅", "START_MARKETING", "nonarrêt"]
)
def test_start_is_understood_however_it_is_written(text: str) -> None:
    """Whoever wants messages back has no other way to say so."""
    assert _meaning(text) is START


def test_ordinary_answers_mean_nothing() -> None:
    """The same number answers customers: "cancel my appointment" must not cost the business a reader."""
    phrases = [phrase.strip() for line in ORDINARY_ANSWERS.splitlines() for phrase in line.split("|")]
    said = {*phrases, *(word for phrase in phrases for word in phrase.split() if word != "stop")}
    assert [each for each in sorted(said) if _meaning(each) is not None] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "🛑", "...", "Where is the bus stop?", "I can't stop loving your shoes", "Don't stop", "nonstop"),
        *("stop " * 40, "x" * 100_000, "stopwatch", "बंद", "s t o p", "de baja"),
    ],
)
def test_a_message_that_only_contains_the_word_means_nothing(text: str) -> None:
    """People talk about stops."""
    assert _meaning(text) is None
    assert len(bare("unsubscribe me please")) < LONGEST_WORD


def test_an_installation_adds_words_of_its_own_and_they_win() -> None:
    """A business that has asked for ALTA and CANCEL for years has to be understood."""
    own = vocabulary(("Cancel", "ende", "start"), ("ALTA", "ja bitte", "stop it"))
    assert [own.meaning_of(text) for text in ("CANCEL!", "Ende", "START", "stop")] == [STOP] * 4
    assert [own.meaning_of(text) for text in ("alta", "Ja, bitte", "Stop it!")] == [START] * 3
    assert own.meaning_of("") is None
    assert vocabulary().meaning_of("cancel") is None

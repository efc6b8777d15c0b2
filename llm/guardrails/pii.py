"""Personal data: e-mail addresses, phone numbers, payment cards, IBANs, US social security numbers.

Whatever has a checksum is tested for it, so that an order number is not taken for a card.
"""

import re
from collections.abc import Callable, Iterator

from phonenumbers import Leniency, PhoneNumberMatcher
from stdnum import iban, luhn
from stdnum.us import ssn

from llm.guardrails.findings import Finding, Findings, Way, apart, last_run
from llm.guardrails.folding import fold

KINDS = ("card", "iban", "email", "ssn", "phone")  # the first wins where two overlap

EMAIL = re.compile(
    r"(?<![\w.+%'-])(?!git@)[\w.+%'-]{1,64}@(?!\dx\.)"
    r"(?:[^\W_][\w-]{0,62}\.){1,8}(?:xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w-])"
)
EMAIL_GROWS = re.compile(r"[\w.+%'-]{1,64}(?:@[\w.-]*)?\Z")
DIGITS_GROW = re.compile(r"[+(]{0,2}\d[\d \t\u00a0()./–-]{0,40}\Z|[+(]{1,2}\Z")
IBAN_GROWS = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{1,2}(?:\d{1,2}(?:[ \u00a0-]?[A-Za-z0-9]){0,30}[ \u00a0-]?)?\Z"
)
LONGEST = 80  # characters of digits or an IBAN, with what may stand between them

CARD_LIKE = re.compile(r"(?<![^\W_])(?<![.,])\d(?:[\s./–-]{0,2}\d){12,}(?![^\W_])")
CARD = re.compile(  # numbers that a brand has given out; without this one in ten would pass
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|35(?:2[89]|[3-8]\d)\d{12,15}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|62\d{14,17}|(?:50|5[6-9]|6[0-9])\d{10,17}"
)
IBAN_LIKE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ \u00a0-]?[A-Za-z0-9])")
SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
PHONE_LIKE = re.compile(r"\d(?:[^\w\n]{0,3}\d){5}")
PHONE_WORD = re.compile(
    r"(?:phone|call|cell|mobile?|tel|fax|whatsapp|sms|text|ring|handy|ruf|número|appel)\b[^\n]{0,20}$",
    re.IGNORECASE,
)
NO_PHONE = re.compile(
    r"\d{1,3}(?:[.,]\d{3})+|\d{1,3}(?:\.\d{1,3}){3}|\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{4}"
)
BETWEEN = re.compile(r"[ \u00a0–-]")


class PersonalData:
    """Looks for the kinds given; phone numbers also as people of `region` write them."""

    def __init__(self, kinds: tuple[str, ...] = (), region: str = "US") -> None:
        self._kinds = kinds or KINDS
        self._region = region

    def check(self, text: str, direction: Way) -> Findings:
        """Return the findings, none of them overlapping another."""
        folded = fold(text)
        found = [
            Finding(kind, start, end)
            for kind in self._kinds
            for start, end in FINDERS[kind](folded.text, self._region)
        ]
        return folded.findings(apart(found, KINDS) if len(found) > 1 else found)

    def growing(self, text: str) -> int:
        """Return where the last word or number begins that may become one of ours."""
        folded = fold(text)
        return folded.place(min(_grows_from(kind, folded.text) for kind in self._kinds))


def _grows_from(kind: str, text: str) -> int:
    pattern, start = {
        "email": (EMAIL_GROWS, last_run(text)),
        "iban": (IBAN_GROWS, max(0, len(text) - LONGEST)),
    }.get(kind, (DIGITS_GROW, max(0, len(text) - LONGEST)))
    match = pattern.search(text, start)
    return match.start() if match else len(text)


def _emails(text: str, region: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (match.span() for match in EMAIL.finditer(text))


def _phones(text: str, region: str) -> Iterator[tuple[int, int]]:
    if not PHONE_LIKE.search(text):
        return
    for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
        if _is_told_as_phone(match.raw_string, text[max(0, match.start - 40) : match.start]):
            yield match.start, match.end


def _is_told_as_phone(number: str, before: str) -> bool:
    """Return whether digits are meant as a phone number: most long numbers are something else."""
    if NO_PHONE.fullmatch(number):
        return False
    is_written_like_one = not number.isdigit() or (number[0] == "0" and len(number) >= 10)
    return is_written_like_one or PHONE_WORD.search(before) is not None


def _cards(text: str, region: str) -> Iterator[tuple[int, int]]:
    for run in CARD_LIKE.finditer(text):
        places = [place for place in range(*run.span()) if text[place].isdigit()]
        digits = "".join([text[place] for place in places])
        first = 0
        while first < len(places):
            length = _length_of_card(digits, places, first)
            if length:
                yield places[first], places[first + length - 1] + 1
            first += length or 1


def _length_of_card(digits: str, places: list[int], first: int) -> int:
    """Return how many digits from `first` on are a card's number; 0: none, or not whole groups."""
    if first and places[first - 1] + 1 == places[first]:
        return 0
    for end in range(first + 13, min(len(places), first + 19) + 1):
        is_whole = end == len(places) or places[end - 1] + 1 < places[end]
        if is_whole and CARD.fullmatch(digits, first, end) and luhn.is_valid(digits[first:end]):
            return end - first
    return 0


def _ibans(text: str, region: str) -> Iterator[tuple[int, int]]:
    position = 0
    while match := IBAN_LIKE.search(text, position):
        end = _end_of_iban(text, match.start())
        if end:
            yield match.start(), end
        position = end or match.end()


def _end_of_iban(text: str, start: int) -> int:
    """Return where the longest valid number ends that begins at `start`; 0: there is none."""
    number, ends = "", []
    for position in range(start, min(len(text), start + LONGEST)):
        character = text[position]
        if character.isascii() and character.isalnum():
            number += character
            is_last = not text[position + 1 : position + 2].isalnum()
            if is_last and 15 <= len(number) <= 34:
                ends.append((number, position + 1))
        elif not BETWEEN.match(character) or BETWEEN.match(text[position - 1]):
            break
    return next((end for number, end in reversed(ends) if iban.is_valid(number)), 0)


def _ssns(text: str, region: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in SSN.finditer(text) if ssn.is_valid(match.group()))


FINDERS: dict[str, Callable[[str, str], Iterator[tuple[int, int]]]] = {
    "card": _cards,
    "iban": _ibans,
    "email": _emails,
    "ssn": _ssns,
    "phone": _phones,
}

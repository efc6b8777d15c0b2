"""Instructions where only facts should be: in results of tools, in documents, or in anybody's text.

This is a list of signs, each with a weight; they add up to a score between 0 and 1. It sees what is
clumsy, copied or hidden. Whoever writes an instruction in words of their own passes it, so a model
that reads untrusted text must not be able to do harm: see `docs/guardrails.md`.
"""

import base64
import binascii
import re
from collections.abc import Iterator

from llm.guardrails.findings import Finding, Findings, Way

THRESHOLD = 0.8  # of the score; where staff have set no other
REACH = 200  # characters that a sign is long at most
_TARGET = r"instructions?|prompts?|rules|directions|guidelines|context|messages?|training|policies"
_TARGETS = rf"(?:{_TARGET}|anweisungen|regeln|instrucciones|reglas|consignes|istruzioni)"

SIGNS: tuple[tuple[str, float, re.Pattern[str]], ...] = tuple(
    (kind, weight, re.compile(pattern, re.IGNORECASE))
    for kind, weight, pattern in (
        (
            "override",
            0.9,
            r"\b(?:ignor(?:e|iere|ez|a)|disregard|forget|override|bypass|vergiss|olvida|oubliez?)\b"
            r"[^.\n]{0,40}\b(?:previous|prior|above|earlier|preceding|all|any|your|these|system"
            r"|vorherigen|bisherigen|alle|anteriores|todas|précédentes|toutes|precedenti)\b"
            rf"[^.\n]{{0,30}}\b{_TARGETS}\b",
        ),
        ("override", 0.9, r"\b(?:instrucciones|consignes|instructions) (?:anteriores|précédentes)"),
        ("override", 0.6, r"\b(?:new|updated|real|actual) (?:system )?instructions?\s*:"),
        (
            "role",
            0.5,
            r"\b(?:you are now|from now on,? you|pretend (?:to be|you are)|act as if you)\b",
        ),
        ("role", 0.6, r"\b(?:jailbreak|developer mode|DAN mode|do anything now|unrestricted ai)\b"),
        (
            "extraction",
            0.8,
            r"\b(?:reveal|print|show|repeat|output|display|leak|tell me|give me)\b[^.\n]{0,30}"
            r"\b(?:system|initial|hidden|original|secret|your) (?:prompt|instructions|message)\b",
        ),
        (
            "concealment",
            0.6,
            r"\b(?:do not|don't|never|without) (?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?|alert"
            r"(?:ing)?|notify(?:ing)?)[^.\n]{0,20}\b(?:the )?(?:user|human|anyone|this)\b",
        ),
        (
            "role_tag",
            0.8,
            r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\|>"
            r"|\[/?INST\]|<</?SYS>>|</?(?:system|assistant|system_prompt|instructions)>",
        ),
        ("role_tag", 0.4, r"(?m:^[ \t#*]{0,6}(?:system|assistant|developer)[ \t*]{0,3}:)"),
        (
            "exfiltration",
            0.5,
            r"\b(?:send|post|upload|forward|exfiltrate|append)\b[^.\n]{0,60}\bhttps?://",
        ),
        ("exfiltration", 0.5, r"!\[[^\]\n]{0,80}\]\(https?://[^)\s]{0,100}[?&][^)\s]{0,60}="),
    )
)
# Tag characters carry text that nobody sees; only three flags are written with them.
TAGS = re.compile(r"(?<!\U0001F3F4)(?<![\U000E0020-\U000E007F])[\U000E0000-\U000E007F]{1,200}")
SELECTORS = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,200}")
ZERO_WIDTH = re.compile(r"[\u200b-\u200d\u2060-\u2064\ufeff]{3,200}")
BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
HIDDEN = (("hidden_text", 1.0, TAGS), ("hidden_text", 1.0, SELECTORS))
UNSEEN = (("hidden_text", 0.6, ZERO_WIDTH), ("hidden_text", 0.4, BIDI))
INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{32,4000}={0,2}(?![A-Za-z0-9+/=])")
KINDS = tuple(dict.fromkeys([*(kind for kind, _, _ in SIGNS), "hidden_text", "encoded"]))


class Injection:
    """Looks for the signs."""

    def check(self, text: str, direction: Way) -> Findings:
        """Return each sign with its weight as the score."""
        found = list(_signs(text))
        if not text.isascii():
            found += [
                Finding(kind, *match.span(), weight)
                for kind, weight, pattern in (*HIDDEN, *UNSEEN)
                for match in pattern.finditer(text)
            ]
            found += _behind_invisible(text)
        found += [
            Finding("encoded", *match.span())
            for match in BASE64.finditer(text)
            if _says_something(match.group())
        ]
        return found

    def growing(self, text: str) -> int:
        """Return the reach of a sign: where it ends cannot be told from what there is."""
        return max(0, len(text) - REACH)


def score(findings: Findings) -> float:
    """Return how sure they are together: one that is weak alone is strong beside others."""
    doubt = 1.0
    for weight in {finding.kind: finding.score for finding in _weakest_first(findings)}.values():
        doubt *= 1 - weight
    return 1 - doubt


def _weakest_first(findings: Findings) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.score)


def _signs(text: str) -> Iterator[Finding]:
    for kind, weight, pattern in SIGNS:
        for match in pattern.finditer(text):
            yield Finding(kind, *match.span(), weight)


def _behind_invisible(text: str) -> list[Finding]:
    """Return the signs in a text whose words are broken up by characters that nobody sees."""
    if not INVISIBLE.search(text):
        return []
    places = [place for place, character in enumerate(text) if not INVISIBLE.match(character)]
    bare = "".join([text[place] for place in places])
    return [
        Finding(one.kind, places[one.start], places[one.end - 1] + 1, one.score)
        for one in _signs(bare)
        if places[one.end - 1] - places[one.start] != one.end - 1 - one.start
    ]


def _says_something(encoded: str) -> bool:
    """Return whether it is base64 for a text with a sign in it."""
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return score(list(_signs(decoded))) >= THRESHOLD / 2

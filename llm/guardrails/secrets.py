"""Keys and tokens, by the shapes that their issuers give them."""

import re
from dataclasses import dataclass

from llm.guardrails.findings import WINDOW, Finding, Findings, Way, apart, last_run
from llm.guardrails.folding import fold

WORD = r"A-Za-z0-9_-"


@dataclass(frozen=True, slots=True)
class Shape:
    """A fixed beginning, then so many characters of a set."""

    kind: str
    beginnings: tuple[str, ...]
    least: int
    most: int | None = None  # None: however many there are
    characters: str = WORD

    @property
    def pattern(self) -> str:
        """What the whole of it matches."""
        starts = "|".join(map(re.escape, self.beginnings))
        most = "" if self.most is None else self.most
        body = f"[{self.characters}]{{{self.least},{most}}}"
        return rf"(?<![A-Za-z0-9])(?:{starts}){body}(?![{self.characters}])"

    @property
    def growing(self) -> str:
        """What its beginnings match, one character of it and more."""
        return "|".join(_begun(start, f"[{self.characters}]*") for start in self.beginnings)


# The first wins where two overlap.
SHAPES = (
    Shape("anthropic_key", ("sk-ant-",), 20),
    Shape("openai_key", ("sk-",), 20),
    Shape("aws_key", ("AKIA", "ASIA", "ABIA", "ACCA"), 16, 16, "A-Z0-9"),
    Shape("github_token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), 36, None, "A-Za-z0-9"),
    Shape("github_token", ("github_pat_",), 40, None, "A-Za-z0-9_"),
    Shape("gitlab_token", ("glpat-",), 20),
    Shape("slack_token", ("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xapp-"), 10),
    Shape("google_key", ("AIza",), 35, 35),
    Shape("google_key", ("ya29.", "GOCSPX-"), 20),
    Shape("stripe_key", ("sk_live_", "rk_live_", "sk_test_", "rk_test_"), 16, None, "A-Za-z0-9"),
    Shape("hugging_face_token", ("hf_",), 30, None, "A-Za-z0-9"),
    Shape("parley_key", ("pk-",), 40, 48),
)
JWT = rf"(?<![A-Za-z0-9])eyJ[{WORD}]{{10,}}\.eyJ[{WORD}]{{10,}}(?:\.[{WORD}]*)?"
AWS_PRIVATE = (
    r"(?i:(?<=secret_access_key)|(?<=secretaccesskey)|(?<=secret access key))"
    r"[\"' \t:=]{1,8}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"  # the group is what is found
)
_NAME = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?"
_LINE = (
    r"(?:(?:Proc-Type|DEK-Info|Comment|Version|Hash): [^\r\n\\]{0,100}"
    r"|[\r\n][ \t]{0,16}|\\[rnt]|[A-Za-z0-9+/=])"
)
PEM = rf"-----BEGIN {_NAME}-----{_LINE}*(?:-----END {_NAME}-----)?"
PEM_GROWS = re.compile(
    rf"-----BEGIN {_NAME}-----{_LINE}*"
    r"(?:[A-Z][a-zA-Z-]{0,10}:?|-{1,5}[A-Z0-9 ]{0,60}-{0,4})?\Z"
    r"|-{1,5}\Z|-----[A-Z0-9 ]{1,60}-{0,4}\Z"
)
AWS_PRIVATE_GROWS = re.compile(
    r"(?i:secret_?access_?key|secret access key)[\"' \t:=]{0,8}[A-Za-z0-9/+]{0,40}\Z"
)
KINDS = tuple(dict.fromkeys(["private_key", "jwt", "aws_secret", *(one.kind for one in SHAPES)]))


class Secrets:
    """Looks for the kinds given."""

    def __init__(self, kinds: tuple[str, ...] = ()) -> None:
        wanted = kinds or KINDS
        shapes = [shape for shape in SHAPES if shape.kind in wanted]
        patterns = [(shape.kind, shape.pattern) for shape in shapes]
        begun = [shape.growing for shape in shapes]
        if "jwt" in wanted:
            patterns.append(("jwt", JWT))
            begun.append(_begun("eyJ", rf"[.{WORD}]*"))
        others = {"private_key": PEM, "aws_secret": AWS_PRIVATE}
        patterns += [(kind, pattern) for kind, pattern in others.items() if kind in wanted]
        self._patterns = [(kind, re.compile(pattern)) for kind, pattern in patterns]
        self._begun = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(begun or ['(?!)'])})\Z")
        self._has_lines = "private_key" in wanted
        self._has_context = "aws_secret" in wanted

    def check(self, text: str, direction: Way) -> Findings:
        """Return the findings, none of them overlapping another."""
        folded = fold(text)
        found = [
            Finding(kind, *match.span(match.lastindex or 0))
            for kind, pattern in self._patterns
            for match in pattern.finditer(folded.text)
        ]
        order = [kind for kind, _ in self._patterns]
        return folded.findings(apart(found, order) if len(found) > 1 else found)

    def growing(self, text: str) -> int:
        """Return where the last run begins that has the beginning of a known shape."""
        folded = fold(text)
        return folded.place(self._growing(folded.text))

    def _growing(self, text: str) -> int:
        places = [len(text)]
        if match := self._begun.search(text, last_run(text)):
            places.append(match.start())
        if self._has_lines and (match := PEM_GROWS.search(text, _last_header(text))):
            places.append(match.start())
        start = max(0, len(text) - WINDOW)
        if self._has_context and (match := AWS_PRIVATE_GROWS.search(text, start)):
            places.append(match.start())
        return min(places)


def _last_header(text: str) -> int:
    """Return where the last private key's header may begin."""
    found = text.rfind("-----BEGIN ")
    return found if found >= 0 else max(0, len(text) - 80)


def _begun(literal: str, rest: str) -> str:
    """Return a pattern for every beginning of `literal`, and for all of it with `rest`."""
    pattern = rest
    for character in reversed(literal[1:]):
        pattern = f"(?:{re.escape(character)}{pattern})?"
    return re.escape(literal[0]) + pattern

"""Which regular expressions of staff may run beside everybody's calls.

Python's engine tries every way to match, and cannot be interrupted: `(a+)+b` would stop a server.
So a pattern may not repeat what repeats already, and it has to prove itself before it is saved: it
runs in a process of its own on texts made to hurt it. What passes only ever sees short pieces.
"""

import re
import subprocess
import sys
from pathlib import Path

PIECE = 512  # characters that a pattern sees at once
LONGEST = 200  # characters of a pattern
TRIAL_SECONDS = 5.0  # of the process, with its start
SLOWEST = 0.02  # CPU seconds for a piece
MOST = 20  # patterns of a rule
MOST_CHOICES = 10  # of *, +, ?, {…} and | in a pattern

REFUSED = re.compile(r"\(\?(?!:)|\\[1-9AZz]|[*+?}][+]")
REPEATS = re.compile(r"[*+]|\{\d*,?\d*\}")
SIGN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?:|\{\d*,?\d*\}|.", re.DOTALL)
TRIAL = Path(__file__).with_name("pattern_trial.py")


class UnsafePattern(ValueError):
    """The pattern is refused; the message says why."""


def check(pattern: str) -> None:
    """Raise `UnsafePattern` unless the pattern may run; it takes a process and up to 5 seconds."""
    check_form(pattern)
    command = [sys.executable, "-I", "-S", str(TRIAL), pattern, str(PIECE), str(SLOWEST)]
    try:
        ended = subprocess.run(command, timeout=TRIAL_SECONDS, capture_output=True)
    except subprocess.TimeoutExpired:
        raise UnsafePattern("The pattern takes too long on some texts.") from None
    if ended.returncode:
        raise UnsafePattern("The pattern takes too long on some texts.")


def check_form(pattern: str) -> None:
    """Raise `UnsafePattern` for what is no pattern, or of a form that may take for ever."""
    if len(pattern) > LONGEST:
        raise UnsafePattern(f"A pattern has at most {LONGEST} characters.")
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafePattern(f"This is no regular expression: {error}.") from None
    if REFUSED.search(pattern):
        raise UnsafePattern("Groups are written (?:…); no look-around, back reference, \\A or \\Z.")
    if compiled.search(""):
        raise UnsafePattern("The pattern matches nothing at all, so it would match everywhere.")
    _check_repeats(pattern)


def width(pattern: str) -> int:
    """Return how many characters a match has at most, and no more than a piece."""
    widths = [0]  # of each open group, with all its alternatives one after the other
    last = 0  # of what a repeat would repeat
    for sign in SIGN.findall(pattern):
        if sign in ("(", "(?:"):
            widths.append(0)
        elif REPEATS.fullmatch(sign):
            widths[-1] += last * (_most(sign) - 1)
            last = 0
        elif sign not in ("|", "?"):
            last = widths.pop() if sign == ")" else int(sign not in (r"\b", r"\B"))
            widths[-1] += last
    return min(widths[0], PIECE)


def _most(repeat: str) -> int:
    """Return how often a repeat repeats at most."""
    bounds = repeat.strip("{}").split(",")[-1]
    return int(bounds) if bounds.isdecimal() else PIECE


def _check_repeats(pattern: str) -> None:
    """Raise `UnsafePattern` where something is repeated that itself repeats or has alternatives."""
    choices = 0
    groups = [False]  # whether each open group has more than one way to match
    closed = False  # the same of the group that has just ended
    for sign in SIGN.findall(pattern):
        if sign in ("^", "$"):
            raise UnsafePattern("A pattern may stand anywhere in a text: it has no ^ and no $.")
        if closed and REPEATS.fullmatch(sign):
            raise UnsafePattern("A group that is repeated may hold no *, +, {…}, ? or |.")
        if REPEATS.fullmatch(sign) or sign in ("?", "|"):
            choices += 1
            groups[-1] = True
        closed = False
        if sign in ("(", "(?:"):
            groups.append(False)
        elif sign == ")":
            closed = groups.pop()
            groups[-1] |= closed
    if choices > MOST_CHOICES:
        raise UnsafePattern(f"A pattern has at most {MOST_CHOICES} of *, +, ?, {{…}} and |.")

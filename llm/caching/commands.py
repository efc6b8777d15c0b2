"""What is said to Redis of a call that several processes wait for, and how long it counts."""

from collections.abc import Callable
from typing import Any

from core import redis
from llm.caching import pages
from llm.caching.exact import Entry
from llm.caching.pages import Page

LEASE = 2.5  # seconds; a process that says nothing for so long has lost its calls
SIGN = 0.5  # seconds between two signs of life, of those who hold and of those who wait
WANTED = 4 * SIGN  # seconds that a note in the inbox counts
LOG_KEPT = 10  # seconds after the end, for those who read slowly
LOG_FORGOTTEN = 60  # seconds without a sign of life of who writes it
MOST_NOTES = 1000  # read at once
MOST_PAGES = 500
HOLDER = 32  # characters of a holder that name its process

Command = tuple[Any, ...]
Errand = tuple[Command, Callable[[Any], None]]  # and what is done with the reply

# KEYS: lease, log, kept answer. ARGV: holder, milliseconds of the lease, of an inbox, inbox prefix.
NOTE = f"""
local holder = redis.call('GET', KEYS[1])
if not holder then return 0 end
local inbox = ARGV[4] .. string.sub(holder, 1, {HOLDER})
redis.call('RPUSH', inbox, KEYS[1])
redis.call('PEXPIRE', inbox, ARGV[3])
return 1
"""
CLAIM = f"""
local kept = redis.call('GET', KEYS[3])
if kept then return kept end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('DEL', KEYS[2])
  return 2
end
{NOTE}"""
RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
CLAIMED = 2  # what CLAIM returns to the new holder
LED = 1  # and to whoever comes later


def claim(key: str, answer_key: str, holder: str) -> Command:
    """Take the lease, or be given the answer; else leave a note with who holds it."""
    return _script(CLAIM, key, answer_key, holder)


def note(key: str) -> Command:
    """Leave a note with the holder that somebody waits; returns 0 where nobody holds the lease."""
    return _script(NOTE, key)


def renew(key: str, holder: str) -> Command:
    """Hold the lease for longer; returns 0 where somebody else does."""
    return ("EVAL", RENEW, 1, key, holder, int(LEASE * 1000))


def release(key: str, holder: str) -> Command:
    """Give the lease back."""
    return ("EVAL", RELEASE, 1, key, holder)


def take_notes(process: str) -> Command:
    """Empty the inbox of a process."""
    return ("LPOP", redis.key("inbox", process), MOST_NOTES)


def keep(entry: Entry) -> Command:
    """Keep an answer."""
    return ("SET", entry.key, entry.encoded, "EX", entry.seconds)


def write(key: str, page: Page) -> Command:
    """Add a page to the log."""
    return ("XADD", log_of(key), "*", "page", pages.encode(page))


def read(key: str, start: bytes) -> Command:
    """Read the log from there."""
    return ("XRANGE", log_of(key), start, "+", "COUNT", MOST_PAGES)


def forget_log(key: str, seconds: int) -> Command:
    """Let the log go after so many seconds."""
    return ("EXPIRE", log_of(key), seconds)


def log_of(key: str) -> str:
    """Return where the holder writes down what comes."""
    return f"{key}:log"


def _script(text: str, key: str, answer_key: str = "", holder: str = "") -> Command:
    keys = (key, log_of(key), answer_key)
    milliseconds = (int(LEASE * 1000), int(2 * WANTED * 1000))
    return ("EVAL", text, len(keys), *keys, holder, *milliseconds, redis.key("inbox", ""))

"""Numbers, money, times and states in words: the same everywhere, and never a number without its unit.

Pure, so that it can be tested by tables. What is unknown is said to be unknown and is never shown as 0. ``visible`` and
``escaped`` are the two doors for hostile text: cells, raw replies, names and a provider's words pass one of them before
they reach a screen.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jobs.estimates import Estimate
from jobs.ladder import CHECKED
from jobs.values import Problem

UNKNOWN = "unknown"
NOTHING = "–"

Tone = Literal["accepted", "dead", "running", "waiting", "paused", "cancelled", "plain"]


@dataclass(frozen=True, kw_only=True)
class State:
    """How a state is shown: a word, a sign and a tone, so that colour is never the only sign."""

    word: str
    sign: str
    tone: Tone
    help: str


#: of rows, runs, dead letters and replay outcomes; the words do not collide
STATES: dict[str, State] = {
    "accepted": State(word="accepted", sign="✓", tone="accepted", help="has a value that passes the contract"),
    "dead": State(word="dead", sign="✕", tone="dead", help="struck out, or hopeless: needs a person"),
    "waiting": State(word="waiting", sign="○", tone="waiting", help="due, held for an equal row, or on its way"),
    "due": State(word="waiting", sign="○", tone="waiting", help="waits for its turn"),
    "held": State(word="held", sign="○", tone="waiting", help="an equal row is being asked; its answer will serve"),
    "dispatched": State(
        word="on its way", sign="▸", tone="running", help="a call about it is out, or waits for a worker"
    ),
    "cancelled": State(word="cancelled", sign="⊘", tone="cancelled", help="cancelled before it had an end"),
    "running": State(word="running", sign="▸", tone="running", help="has rows to do"),
    "paused": State(word="paused", sign="||", tone="paused", help="no new calls until it is resumed"),
    "finished": State(word="finished", sign="■", tone="plain", help="every row has an end"),
    "open": State(word="open", sign="✕", tone="dead", help="needs a person"),
    "replaying": State(word="replaying", sign="▸", tone="running", help="a replay is at it"),
    "fixed": State(word="fixed", sign="✓", tone="accepted", help="a replay brought a value"),
    "taken_back": State(word="taken back", sign="↶", tone="cancelled", help="a replay's value that was undone"),
    "corrected": State(word="corrected", sign="✎", tone="accepted", help="a person gave the value"),
    "discarded": State(word="discarded", sign="⊘", tone="cancelled", help="a person said that it is not needed"),
    "same_failure": State(word="same failure", sign="=", tone="dead", help="failed again, for the same cause"),
    "new_failure": State(word="new failure", sign="≠", tone="dead", help="failed again, for another cause"),
    "rejected": State(word="rejected", sign="✕", tone="dead", help="the reply breaks the contract"),
    "doubted": State(
        word="went on", sign="↑", tone="waiting", help="a valid answer that a dearer model was asked about too"
    ),
    "failed": State(word="no reply", sign="!", tone="paused", help="the request brought no reply to judge"),
    "loading": State(word="loading", sign="○", tone="waiting", help="its rows are being stored"),
    "ready": State(word="ready", sign="✓", tone="plain", help="all its rows are stored"),
}

RULES: dict[str, str] = {
    "required": "is missing",
    "type": "has the wrong type",
    "enum": "is not one of the allowed values",
    "const": "is not the one allowed value",
    "minimum": "is too small",
    "maximum": "is too large",
    "exclusiveMinimum": "is too small",
    "exclusiveMaximum": "is too large",
    "multipleOf": "is not a multiple",
    "minLength": "is too short",
    "maxLength": "is too long",
    "pattern": "does not match the pattern",
    "format": "has the wrong format",
    "minItems": "has too few items",
    "maxItems": "has too many items",
    "uniqueItems": "has an item twice",
    "additionalProperties": "is not in the contract",
    "anyOf": "fits none of the allowed shapes",
    "oneOf": "does not fit exactly one of the allowed shapes",
    "not_json": "the reply is not JSON",
    "cut": "the reply was cut off",
    "refusal": "the model refused",
    "empty": "the reply is empty",
    "duplicate_key": "the same key stands twice",
    "not_finite": "is not a finite number",
    "surrogate": "holds half of a character",
    "too_long": "the prompt does not fit the model",
    "unreachable": "the endpoint could not be reached",
    "internal": "an error of ours",
    "doubted": "is valid, and was not left at that",
    "unanswered": "the reply, which was about several rows, holds no answer to this one",
}

OUTCOMES: dict[str, str] = {
    "throttled": "throttled: the row waits, no strike",
    "transient": "no answer: tried again, no strike",
    "blocked": "the provider refuses: the run pauses",
    "too_long": "the prompt does not fit the model",
    "internal": "an error of ours",
    "lost": "the worker died or was cut off",
}

#: why rows climb to a dearer model
CLIMBS: dict[str, str] = {
    "contract": "broke the contract twice",
    "checked": "said what is always checked",
    "unsure": "were not sure enough",
    "failed": "got no reply to judge",
}

KINDS: dict[str, str] = {"run": "run", "replay": "replay", "evaluation": "evaluation", "try": "try"}


def state(name: str) -> State:
    """How that state is shown; one that is not known here is shown by its own name."""
    return STATES.get(name) or State(word=name.replace("_", " "), sign="•", tone="plain", help="")


def rule(name: str) -> str:
    """What a broken rule says, to stand after a path."""
    return RULES.get(name, f"breaks {name!r}")


def path(text: str) -> str:
    """A problem's place as a person names it: ``$.a.b`` is ``a.b``, and ``$`` is the answer itself."""
    if text in ("$", ""):
        return "the answer"
    return text.removeprefix("$").removeprefix(".") if text.startswith(("$.", "$[")) else text


def broken(text: str, name: str) -> str:
    """A problem's place with the rule that it breaks; a rule that is a sentence needs no place when that is the answer."""
    words = rule(name)
    return words if text == "$" and words.startswith(("the ", "an ")) else f"{path(text)} {words}"


_QUOTED = re.compile(r"`(.*)`", re.DOTALL)


def cause(title: str) -> str:
    """A dead letter's title without the signs around the name that it begins with; the command line keeps them."""
    return _QUOTED.sub(r"\1", title, count=1) if title.startswith("`") else title


def number(value: int | float | None) -> str:
    """With thousands separated; whole numbers without a point."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 row``, ``1,204 rows``."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def climbed(counts: Mapping[Any, int]) -> str:
    """How many rows went on for which reason: ``12 broke the contract twice, 3 said what is always checked``."""
    return ", ".join(f"{counts[why]:,} {words}" for why, words in CLIMBS.items() if counts.get(why))


def doubt(problem: Problem) -> str:
    """Why a valid answer was not left at that."""
    where = path(problem.path)
    if problem.expected == CHECKED:
        return f"{where} is {problem.got}, which is always checked"
    if problem.path == "$":
        return "nobody tells how sure the model was"
    return f"the model gave {where} {problem.got}, and {problem.expected} is asked for"


def percent(part: float, whole: float) -> str:
    """A share, never rounded to 0 or 100 when it is neither."""
    if not whole:
        return NOTHING
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1 %"
    if 99.9 < share < 100:
        return ">99.9 %"
    return f"{share:.0f} %" if share in (0, 100) or 10 <= share < 99.5 else f"{share:.1f} %"


def money(usd: float | None) -> str:
    """US dollars with as many digits as tell something; unknown stays unknown."""
    if usd is None:
        return UNKNOWN
    if usd == 0:
        return "$0"
    size, sign = abs(usd), "-" if usd < 0 else ""
    if size < 0.000001:
        return f"{sign}<$0.000001"
    digits = 2 if size >= 1 else 3 if size >= 0.1 else 4 if size >= 0.001 else 6
    return f"{sign}${size:,.{digits}f}"


def spent(usd: float, unpriced: int, broken: int = 0) -> str:
    """Money of priced calls, and how many calls are not in it; ``broken``: those among them that broke off."""
    if not unpriced:
        return money(usd)
    calls = f"{count(unpriced, 'call')} {unknown(unpriced, broken)}"
    return f"{UNKNOWN} ({calls})" if not usd else f"{money(usd)} + {calls}"


def unknown(unpriced: int, broken: int) -> str:
    """Why so many calls are in no sum of money."""
    if not broken:
        return "without a price"
    return "that broke off" if broken == unpriced else f"without a price or that broke off ({broken:,})"


def duration(seconds: float | None) -> str:
    """A span of time in its two largest units."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, big, small_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big} {rest} {small}" if rest else f"{whole // size} {big}"
    return f"{whole} s"


def rounded(value: float) -> str:
    """An estimated number: three digits that tell something, and no more."""
    whole = round(value)
    drop = max(0, len(str(abs(whole))) - 3)
    return f"{round(whole, -drop):,}"


def about(figure: Estimate, words: Callable[[float], str]) -> str:
    """``about $1.20 ($1.05 to $1.40)``; the figure alone where no range is known, or where its ends read alike."""
    told = f"about {words(figure.about)}"
    if figure.low is None or figure.high is None:
        return told
    low, high = words(figure.low), words(figure.high)
    return told if low == high else f"{told} ({low} to {high})"


def stopped(rows: int | None, of: int, seconds: float | None, *, sure: bool) -> str:
    """Where a budget stops a run before its end: after so many of its rows, in so many seconds of work."""
    if rows is not None and seconds == 0:
        return f"the budget has stopped it after {rows:,} of {of:,} rows"
    where = "near its end" if rows is None else f"after about {rounded(rows)} of {of:,} rows"
    when = "" if seconds is None else f", in about {duration(seconds)}"
    return f"the budget {'stops' if sure else 'may stop'} it {where}{when}"


def ago(moment: float | None, now: float) -> str:
    """How long ago, or in how long, in one unit."""
    if moment is None:
        return NOTHING
    gap = now - moment
    if abs(gap) < 5:
        return "just now"
    size, unit = next((s, u) for s, u in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")) if abs(gap) >= s or s == 1)
    words = f"{int(abs(gap) // size)} {unit}"
    return f"{words} ago" if gap > 0 else f"in {words}"


def exact(moment: float | None, zone: dt.tzinfo = dt.UTC) -> str:
    """The moment to the second, with its zone."""
    if moment is None:
        return NOTHING
    return dt.datetime.fromtimestamp(moment, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def size(number_of_bytes: int) -> str:
    """A size in decimal units, as file managers show it."""
    value = float(number_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def pace(rows_a_minute: float | None) -> str:
    """How fast rows get their end."""
    if rows_a_minute is None:
        return UNKNOWN
    return f"{rows_a_minute:,.0f} rows/min" if rows_a_minute >= 10 else f"{rows_a_minute:.1f} rows/min"


def tokens(prompt: int, completion: int, cached: int = 0) -> str:
    """Tokens in and out, and how many of those in were cached."""
    return f"{prompt:,} in, {completion:,} out" + (f" ({cached:,} cached)" if cached else "")


_CONTROLS = {code: f"⟨U+{code:04X}⟩" for code in (*range(32), 0x7F) if code not in (9, 10)}
_CONTROLS |= {0: "⟨NUL⟩", 13: "⟨CR⟩", 27: "⟨ESC⟩"}
# directions, joiners and fillers that move or hide text without showing themselves
_HIDDEN = re.compile(
    "[\u0080-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with control, direction and half characters turned into signs that can be seen and sent.

    Line feeds and tabs stay. Everything else of that kind is shown by its name or code point in angle brackets, so that
    nothing in a raw reply can hide, turn or break the screen that shows it.
    """
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.translate(_CONTROLS))


def head(text: str, most: int = 200) -> str:
    """The beginning of a text on one line, as it can be shown."""
    line = " ".join(text[: most * 4 + 1].split())
    return visible(line if len(line) <= most else line[:most].rstrip() + "…")


#: where an address begins that Markdown makes a link of without being asked: behind the @, and behind www
_ADDRESS = re.compile(r"(?<=[\w.+-])@(?=[\w\\-]+\\\.\w)|\bwww(?=\\\.)", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$^=&])")


def escaped(text: str) -> str:
    """A hostile text for a label that is read as Markdown, on one line; nothing in it becomes a directive or a link.

    A colon is replaced, and what Markdown would make an address of is parted by a joiner that nobody sees.
    """
    told = re.sub(r":(?=\S)", "\u2236", _MARKDOWN.sub(r"\\\1", head(text, 500)))
    return _ADDRESS.sub("\\g<0>\u2060", told)

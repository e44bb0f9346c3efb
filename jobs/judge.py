"""A reply held to its contract: the verdict, and the words in which a model is asked again.

No value is guessed. A value is accepted if the contract holds for it as the reply wrote it, after conversions that the contract
allows by name, and if nothing in the reply says that another value was meant: not a tail that broke off, not a later attempt
that fails, not a copy of the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from jobs import reply
from jobs.contract import Contract, Finding, words
from jobs.contract.words import Part
from jobs.cursor import Stop
from jobs.echo import without_echo
from jobs.places import Reader, Spot, spots
from jobs.reading import Found, Reading
from jobs.reply import candidates
from jobs.signature import signature
from jobs.values import SIZE, Edit, Problem, Receipt, Verdict

#: characters of a reply in which the places of problems are looked for
MAX_PLACED = 500_000
#: problems named in a re-ask, and its length
MAX_COMPLAINTS, MAX_COMPLAINT = 12, 2_000

_HTML = re.compile(r"\s*(?:<!doctype\s+html|<\?xml|<html|<head|<body|<h1>)", re.IGNORECASE)
_FENCE = re.compile(r"```|~~~")
_CANNOT = r"(?:can['’]?t|cannot|can not|won['’]t|will not|(?:am |are )?(?:unable|not able))"
_ACTS = (
    r"(?:help|assist|comply|fulfill?|provide|process|answer|do|engage|create|generate|analy[sz]e|classify|discuss|continue"
    r"|determine|decide|judge|assess|evaluate|identify|extract|label|categori[sz]e|rate|score|summari[sz]e|translate"
    r"|give|produce|complete|perform|respond|return|share|offer|access|be\s+able)"
)
#: a refusal says in its first words that it is one; anything later in a text may be the record's own words
_REFUSAL = re.compile(
    r"\W*(?:"
    rf"(?:i['’]m|i am|we['’]re|we are)\s+(?:very\s+|really\s+|so\s+)?(?:sorry|afraid)\b.{{0,40}}?\b{_CANNOT}\b"
    rf"|(?:sorry|unfortunately|apologies|my apologies|i apologi[sz]e)\b.{{0,40}}?\bi(?:['’]m)?\s+{_CANNOT}\b"
    rf"|i\s+{_CANNOT}(?:\s+(?:to\s+)?{_ACTS}\b|\s*[.,;!])"
    r"|i(?:['’]m|\s+am)\s+(?:unable|not able)\s+to\b"
    r"|i\s+(?:must\s+|have\s+to\s+)?(?:decline|refuse)\b"
    r"|i\s+(?:do\s+not|don['’]t)\s+have\s+(?:enough|sufficient)\b"
    rf"|as\s+an?\s+(?:ai|artificial intelligence|(?:large )?language model)\b.{{0,60}}?\bi\s+(?:{_CANNOT}|do not|don['’]t)\b"
    r")",
    re.IGNORECASE | re.DOTALL,
)
_SURROGATE = re.compile("[\ud800-\udfff]")

How = Literal["strict", "stripped", "repaired"]


def judge(
    text: str,
    contract: Contract,
    *,
    finish_reason: str | None = None,
    refusal: str | None = None,
    asked: int = 1,
    echo: Sequence[str] = (),
    nulls_for_absent: bool = False,
) -> Verdict:
    """What is to be thought of a reply about one row; never raises on any text.

    A reply that stopped at max_tokens (``length``) is ``cut``, with one exception: if the whole text is one strict object that
    satisfies the contract, nothing of it can be missing, and only white space or a next thought was cut.

    Args:
        text: the raw reply.
        contract: what the answer must be.
        finish_reason: as the endpoint gave it, or ``SIZE``.
        refusal: the endpoint's own words of refusal, if it marks one.
        asked: which strike of the row this answers; goes into the receipt.
        echo: the cells of the record; unless a reply is one object and nothing else, an object that stands in the record is
            never its answer, be it in one cell or over several. What the template itself says is not known here: of several
            objects that are not the record's the last one counts, an example of the template too.
        nulls_for_absent: the request was held to ``Contract.strict_schema``, so null stands for an optional property left out.
    """
    if refusal or finish_reason in ("content_filter", "refusal"):
        said = refusal or text
        got = words.snippet("refused", said) if said.strip() else f"refused: {finish_reason}"
        return _rejected([_problem("refusal", "an answer", got)])
    if finish_reason == SIZE:
        start = max(0, len(text) - 20)
        got = words.snippet("too long to be read", text[start:])
        return _rejected([_problem("cut", "a reply that can be read whole", got, start, len(text))])
    reading = candidates(text)
    held = _Held(contract, reading, asked=asked, nulls_for_absent=nulls_for_absent)
    if reading.is_whole and isinstance(reading.whole_value, dict):
        verdict = held.verdict(reading.values[0], "strict")
        if finish_reason != "length":
            return verdict
        if verdict.receipt is not None:
            note = "the reply stopped at max_tokens after its object was complete"
            edit = Edit(kind="length", note=note, start=len(text), end=len(text))
            return verdict.model_copy(update={"receipt": verdict.receipt.model_copy(update={"edits": (edit,)})})
    if finish_reason == "length":
        return _rejected([_length(text, reading.stop)])
    problem = _text_problem(reading)
    if problem is not None:
        return _rejected([problem])
    return _chosen(held, without_echo(reading, echo))


def complaint(problems: Sequence[Problem]) -> str:
    """The user message of a re-ask: what was wrong with the last answer, plainly and briefly."""
    lines = [_complained(problem) for problem in problems[:MAX_COMPLAINTS]]
    if len(problems) > MAX_COMPLAINTS:
        lines.append(f"- and {len(problems) - MAX_COMPLAINTS} more problems")
    body = "\n".join(lines)
    if len(body) > MAX_COMPLAINT:
        body = body[:MAX_COMPLAINT].rpartition("\n")[0]
    return (
        "Your last answer cannot be used:\n"
        f"{body}\n"
        "Answer again with one complete JSON object that follows the instructions, and nothing else."
    )


def _complained(problem: Problem) -> str:
    where = problem.path.removeprefix("$").removeprefix(".") or "the answer"
    if problem.rule == "required":
        return f"- {where} is missing; it must be {problem.expected}"
    if problem.rule == "additionalProperties":
        return f"- {where} is not allowed; leave it out"
    if problem.rule == "cut":
        return "- the answer was cut off before its end; answer more briefly"
    return f"- {where}: expected {problem.expected}, got {problem.got}"


class _Held:
    """One reply under one contract."""

    def __init__(self, contract: Contract, reading: Reading, *, asked: int, nulls_for_absent: bool) -> None:
        self.contract = contract
        self.reading = reading
        self._asked = asked
        self._nulls_for_absent = nulls_for_absent

    def verdict(self, found: Found, how: How | None = None) -> Verdict:
        """The verdict on one object of the reply."""
        if found.flaws:
            return _rejected(
                [
                    Problem(
                        path=words.json_path(flaw.path),
                        rule=flaw.rule,
                        expected=flaw.expected,
                        got=words.snippet("key" if flaw.rule == "duplicate_key" else "number", flaw.got),
                        start=flaw.start,
                        end=flaw.end,
                    )
                    for flaw in found.flaws
                ]
            )
        doubt = reply.doubt(self.reading.text, found)
        if doubt is not None:
            return _rejected([_stopped(self.reading, doubt)])
        value, coerced = self.contract.read(found.value, nulls_for_absent=self._nulls_for_absent)
        findings = self._broken_texts(found.value)
        # what Pydantic says of a broken text or key is said already, with its place
        findings += [each for each in self.contract.problems(value) if not (findings and each.rule == "surrogate")]
        if findings:
            return _rejected(self._placed(found, findings))
        if how is None:
            edits = self.reading.edits(found)
            how = "repaired" if any(edit.kind == "repair" for edit in edits) else "stripped" if edits else "strict"
        else:
            edits = ()
        paths = tuple(words.json_path(path) for path in coerced)
        receipt = Receipt(how=how, edits=edits, coerced=paths, asked=self._asked)
        return Verdict(kind="accepted", value=value, receipt=receipt)

    def _broken_texts(self, value: object) -> list[Finding]:
        text = self.reading.text
        if text.isascii() and "\\u" not in text:
            return []
        expected = "text that UTF-8 can hold"
        return [Finding(path, "surrogate", expected, "text: a lone surrogate") for path in _surrogates(value)]

    def _placed(self, found: Found, findings: Sequence[Finding]) -> list[Problem]:
        """The findings with their places in the raw text, each told once."""
        text, spot = self.reading.text, found.spot
        if spot is None and not found.encoded and found.end - found.start <= MAX_PLACED:
            try:
                spot = Reader(text, found.start).read()
            except Stop:
                spot = None
        seen: set[tuple[tuple[Part, ...], str]] = set()
        problems = []
        for finding in findings:
            if (finding.path, finding.rule) in seen:
                continue
            seen.add((finding.path, finding.rule))
            start, end = _span(spot, finding) if spot is not None else (found.start, found.end)
            problems.append(_of(finding).model_copy(update={"start": start, "end": end}))
        return problems


def _chosen(held: _Held, values: Sequence[Found]) -> Verdict:
    """The last value that satisfies the contract, unless a later one looks like an attempt at the answer that failed."""
    reading = held.reading
    if not values:
        got = "echo: " + words.printable(reading.text[reading.values[-1].start : reading.values[-1].end], 70)
        return _rejected([_problem("not_json", "an answer of its own", got)])
    last: Verdict | None = None
    for found in reversed(values):
        if reading.broken and reading.broken[-1][0] >= found.end:
            return _rejected([_stopped(reading, reading.broken[-1][2])])
        if isinstance(found.value, list):
            verdict = _rejected([_of(Finding((), "type", "an object", words.got(found.value)), found.start, found.end)])
        else:
            verdict = held.verdict(found)
            loose = reading.loose(found) if verdict.kind == "accepted" or last is None else None
            if loose is not None:
                return _rejected([_stopped(reading, loose)])
        if verdict.kind == "accepted":
            return verdict
        if found.edits or _is_attempt(found, held.contract):
            return verdict
        last = last or verdict
    assert last is not None
    return last


def _is_attempt(found: Found, contract: Contract) -> bool:
    """Whether a value that fails was meant as the answer: it uses a name of the contract, anywhere in it."""
    names = frozenset(contract.names)
    waiting: list[Any] = [found.value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not names.isdisjoint(value):
                return True
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def _text_problem(reading: Reading) -> Problem | None:
    """What keeps a reply from being read at all, or from holding any value."""
    text = reading.text
    if reading.is_whole and not reading.values:
        got = words.got(reading.whole_value)
        return _of(Finding((), "type", "an object", got), *_trimmed(text, 0, len(text)))
    if not reading.is_whole and _HTML.match(text):
        # a page may hold objects in its scripts; none of them is an answer
        return _html(text)
    if reading.unclosed_thinking is not None:
        got = words.snippet("thinking", text[reading.unclosed_thinking :])
        return _problem("cut", "an answer behind the thinking", got, reading.unclosed_thinking, len(text))
    if reading.stop is not None:
        return _stopped(reading, reading.stop)
    prose = reading.prose
    start, end = _trimmed(text, *reading.prose_span)
    if not reading.is_whole and _REFUSAL.match(reading.lead.lstrip()[:400]):
        # an object behind it is an example of what the answer would have been
        return _problem("refusal", "an answer", words.snippet("refused", prose.strip()), start, end)
    if reading.values:
        return None
    if reading.broken:
        return _stopped(reading, reading.broken[-1][2])
    if not prose.strip() and reading.turn is not None:
        start, end = _trimmed(text, reading.turn, len(text))
        return _problem("not_json", "a JSON object", words.snippet("another turn", text[start:end]), start, end)
    if not prose.strip():
        return _problem("empty", "a JSON object", "thinking only" if reading.thinking else "nothing")
    return _problem("not_json", "a JSON object", words.snippet(_prose_shape(prose), prose.strip()), start, end)


def _prose_shape(prose: str) -> str:
    marks = list(_FENCE.finditer(prose))
    if not marks:
        return "prose"
    outside = prose[: marks[0].start()] + (prose[marks[-1].end() :] if len(marks) > 1 else "")
    return "prose around a fenced block" if outside.strip() else "a fenced block"


def _html(text: str) -> Problem:
    return _problem(
        "not_json", "a JSON object", words.snippet("HTML page", text.strip()), *_trimmed(text, 0, len(text))
    )


def _stopped(reading: Reading, stop: Stop) -> Problem:
    piece = reading.text[stop.at : stop.end]
    rule = "cut" if stop.cut else "not_json"
    return _problem(rule, stop.expected, words.snippet(stop.shape, piece), stop.at, stop.end)


def _length(text: str, stop: Stop | None) -> Problem:
    if not text.strip():
        return _problem("cut", "a complete reply", "max_tokens: nothing was said before it")
    start = stop.at if stop is not None and stop.cut else max(0, len(text.rstrip()) - 20)
    return _problem("cut", "a complete reply", words.snippet("max_tokens", text[start:]), start, len(text))


def _span(spot: Spot, finding: Finding) -> tuple[int, int]:
    """Where a finding stands: the value; with its key, if the key is wrong; the object around, if it is missing."""
    way = list(spots(spot, finding.path))
    start, last = way[-1]
    if finding.rule == "additionalProperties":
        return start, last.end
    return last.start, last.end


def _surrogates(value: object) -> Iterator[tuple[Part, ...]]:
    """The paths of texts and keys that UTF-8 cannot hold."""
    waiting: list[tuple[object, tuple[Part, ...]]] = [(value, ())]
    while waiting:
        current, path = waiting.pop()
        key = path[-1] if path else 0
        if (isinstance(current, str) and _SURROGATE.search(current)) or (
            isinstance(key, str) and _SURROGATE.search(key)
        ):
            yield path
        if isinstance(current, dict):
            waiting.extend((below, (*path, name)) for name, below in reversed(current.items()))
        elif isinstance(current, list):
            waiting.extend((below, (*path, index)) for index, below in reversed(list(enumerate(current))))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _of(finding: Finding, start: int | None = None, end: int | None = None) -> Problem:
    return Problem(
        path=words.json_path(finding.path),
        rule=finding.rule,
        expected=finding.expected,
        got=finding.got,
        start=start,
        end=end,
    )


def _problem(rule: str, expected: str, got: str, start: int | None = None, end: int | None = None) -> Problem:
    return Problem(path="$", rule=rule, expected=expected, got=got, start=start, end=end)


def _rejected(problems: Sequence[Problem]) -> Verdict:
    return Verdict(kind="rejected", problems=tuple(problems), signature=signature(problems))

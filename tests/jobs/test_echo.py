from __future__ import annotations

import pytest

from jobs.contract import Contract
from jobs.echo import without_echo
from jobs.judge import judge
from jobs.reply import candidates
from tests.jobs.malformations import OK, SCHEMA

CONTRACT = Contract.from_schema(SCHEMA)
PARTS = '{"sentiment": "positive", "tags": ["a"]}'

#: the reply, the cells, and how many of its objects may be an answer
QUOTED = {
    "in one cell": (f"The text says {OK}.", (f"Answer {OK} now",), 0),
    "with other white space": ('It says {"sentiment":"positive"}.', (OK,), 0),
    "with other quotation marks": (f"It says {OK}.", ("{'sentiment': 'positive'}",), 0),
    "with its escapes taken off": (f"It says {OK}.", ('She wrote {\\"sentiment\\": \\"positive\\"} to us',), 0),
    "with its keys in another order": ('It says {"tags": [], "sentiment": "positive"}.', ('x {"sentiment": "positive", "tags": []}',), 0),
    "a part of an object": (f"It says {OK}.", (f'{{"review": {OK}, "id": 1}}',), 0),
    "behind a bracket that is not closed": (f"It says {OK}.", (f'{{ "oops {OK}',), 0),
    "behind more text than is read as JSON": (f"It says {OK}.", ("x" * 300_000 + OK,), 0),
    "over two cells": (f"The text says {OK}.", ('Great! {"sentiment":', '"positive"} is the answer'), 0),
    "over two cells in another order": (f"The text says {OK}.", ('"positive"} is the answer', 'Great! {"sentiment":'), 0),
    "over three cells": (f"The text says {PARTS}.", ('{"sentiment": "positive"', ', "tags": [', '"a"]} it is'), 0),
    "beside an answer": (f'{{"sentiment": "negative"}}, though the text says {OK}', ('{"sentiment":', '"positive"}'), 1),
}  # fmt: skip

#: what looks like a quotation and is none
OWN = {
    "another value": (f"Here it is: {OK}", ('{"sentiment": "negative"}',), 1),
    "halves that do not meet": (f"Here it is: {OK}", ('{"sentiment": "pos', "sitive}"), 1),
    "only one half": (f"Here it is: {OK}", ('{"sentiment": ', "the rest is missing"), 1),
    "a record without braces": (f"Here it is: {OK}", ("sentiment", "positive"), 1),
    "the whole reply": (OK, (OK,), 1),
    "the whole reply in a fence": (f"```json\n{OK}\n```", (OK,), 1),
    "the whole reply behind its thinking": (f"<think>hm</think>{OK}", (OK,), 1),
}  # fmt: skip


@pytest.mark.parametrize(("text", "cells", "left"), [*QUOTED.values(), *OWN.values()], ids=[*QUOTED, *OWN])
def test_an_object_of_the_record_is_no_answer(text: str, cells: tuple[str, ...], left: int) -> None:
    """An object that stands in the record is set aside, however the model writes it; what it says of its own stays."""
    assert len(without_echo(candidates(text), cells)) == left
    verdict = judge(text, CONTRACT, echo=cells)
    assert verdict.kind == ("accepted" if left else "rejected")
    if not left:
        assert verdict.problems[0].got.startswith("echo: ")


def test_the_answer_beside_a_quotation_is_taken() -> None:
    """A quotation behind the answer does not take its place."""
    text, cells, _ = QUOTED["beside an answer"]
    assert judge(text, CONTRACT, echo=cells).value == {"sentiment": "negative"}


def test_an_example_of_the_template_is_an_answer_like_any_other() -> None:
    """The judge is told of the record, not of the template: a right answer may be one of its examples, and the last one counts."""
    example = '{"sentiment": "negative"}'
    assert judge(f"As in the example, {example}", CONTRACT, echo=("Bad.",)).value == {"sentiment": "negative"}
    assert judge(f"{OK}\n(the example was {example})", CONTRACT, echo=("Bad.",)).value == {"sentiment": "negative"}
    assert judge(f"{example} was the example.\n{OK}", CONTRACT, echo=("Bad.",)).value == {"sentiment": "positive"}


def test_a_cell_in_an_object_of_the_template_is_not_taken_for_the_record_s_object() -> None:
    """Where the template puts braces around a cell the object is the author's form, which a right answer may have too."""
    assert judge(f"The label given is right: {OK}", CONTRACT, echo=("positive",)).value == {"sentiment": "positive"}


@pytest.mark.timeout(60)
def test_a_record_made_to_keep_the_search_busy_is_searched() -> None:
    """Cells of brackets, each of which may be a part, and cells of one character, which fit together in endless ways."""
    reply = "So: " + '{"summary": "' + "{}" * 1_900 + '"}'
    other = reply.replace("summary", "summarq")
    cells = ("{" * 50_000, "}" * 50_000, "{}" * 50_000, "{summary:", *"{}[]sumary:" * 20)
    assert without_echo(candidates(reply), cells) == []
    assert len(without_echo(candidates(other), cells)) == 1

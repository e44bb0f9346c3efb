"""The wire forms, held still by golden files: a change of one is a change of ``WIRE``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from jobs.messages import (
    Ask,
    Brief,
    Complaint,
    Control,
    LaneArguments,
    Outcome,
    Remote,
    RowAsk,
    RowVerdict,
    Step,
    StepReport,
)
from jobs.options import Check, Climb, Ladder, Rung
from jobs.settings import Price
from jobs.values import Failure, FailureKind, Problem, Receipt, Usage, Verdict, VersionContent

GOLDEN = Path(__file__).parent / "golden"

EXAMPLES: dict[str, BaseModel] = {
    "lane_arguments": LaneArguments(home="h"),
    "brief": Brief(
        run=1,
        kind="run",
        content=VersionContent(template="{{ a }}", contract={"type": "object"}, settings={"temperature": 0.2}),
        connection="c",
        base_url="http://a/v1",
        model="m",
        upper=(Rung(connection="d", base_url="http://b/v1", model="n", price=Price(input=1.0, output=2.0)),),
        ladder=Ladder(
            climbs=(Climb(model="n", connection="d"),), checks=(Check(field="a", value="x"),), confidence=0.9
        ),
        confidence=True,
        echo={"a": "b"},
        timeout=60.0,
        in_flight=8,
        rpm=60,
    ),
    "ask": Ask(
        run=1,
        try_id="t",
        rows=(
            RowAsk(ordinal=3, cells={"a": "é"}, asked=2, complaint=Complaint(answer="{", problems="`x` is missing")),
        ),
        max_tokens=64,
        rung=1,
        dispatched_at=1.5,
    ),
    "outcome": Outcome(
        run=1,
        try_id="t",
        lane="l",
        kind="replied",
        ordinals=(3,),
        verdicts=(
            RowVerdict(
                ordinal=3,
                asked=1,
                verdict=Verdict(
                    kind="rejected",
                    problems=(Problem(path="$.x", rule="type", expected="integer", got="text: 5", start=1, end=4),),
                    signature="s1|type|$.x|text",
                ),
            ),
            RowVerdict(
                ordinal=4, asked=1, verdict=Verdict(kind="accepted", value={"x": 1}, receipt=Receipt(how="strict"))
            ),
        ),
        sent_at=2.0,
        seconds=0.5,
        status=200,
        finish_reason="stop",
        usage=Usage(prompt=10, completion=5, cached=2),
        model="m",
        rung=1,
        singly=Usage(prompt=20, completion=4, estimated=True),
    ),
    "failed_outcome": Outcome(
        run=1,
        try_id="t",
        lane="l",
        kind="failed",
        ordinals=(3,),
        failure=Failure(kind=FailureKind.THROTTLED, message="slow down", status=429, retry_after=2.0),
    ),
    "control": Control(state="go", in_flight=8, upper=(3,)),
    "step": Step(
        kind="read",
        batch=2,
        run=1,
        rung=1,
        token="t",
        remote=Remote(id="b", status="expired", output_file="o", error_file="e", answered=3, failed=1, words="é"),
        submitted_at=1.5,
    ),
    "step_report": StepReport(
        kind="submit", batch=2, run=1, token="t", entry="0-1", result="again", words="busy", retry_after=3.0
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_message_reads_as_it_is_written_down(name: str) -> None:
    """Each message equals its golden file and comes back from it the same."""
    written = (GOLDEN / f"{name}.json").read_text("utf-8").strip()

    assert EXAMPLES[name].model_dump_json() == written
    assert type(EXAMPLES[name]).model_validate_json(written) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_unknown_field_is_refused(name: str) -> None:
    """A message of another version is not half understood."""
    message = EXAMPLES[name]
    with pytest.raises(ValidationError, match="extra"):
        type(message).model_validate({**message.model_dump(), "new": 1})


@pytest.mark.parametrize(("name", "sent"), [("outcome", True), ("failed_outcome", False)])
def test_an_outcome_says_whether_a_request_went_out(name: str, sent: bool) -> None:
    """By the moment in which it did."""
    outcome = EXAMPLES[name]

    assert isinstance(outcome, Outcome) and outcome.sent == sent

"""Which rows go straight up, and which valid answers are doubted."""

from __future__ import annotations

import pytest

from jobs import errors, ladder
from jobs.options import Check, Climb, Ladder, Route

UP = (Climb(model="dear"),)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("dear", Climb(model="dear")),
        ("dear@other", Climb(model="dear", connection="other")),
        ("org/dear@2024@other", Climb(model="org/dear@2024", connection="other")),
        ("@cf/dear@", Climb(model="@cf/dear")),
    ],
)
def test_a_rung_is_a_model_and_may_name_its_connection(text: str, made: Climb) -> None:
    """What stands behind the last @ is the connection."""
    assert ladder.climb(text) == made
    assert str(made) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("message longer 600", Route(column="message", rule="longer", value="600")),
        ("The channel is by phone", Route(column="The channel", rule="is", value="by phone")),
        ("message matches (?i)refund|legal", Route(column="message", rule="matches", value="(?i)refund|legal")),
    ],
)
def test_a_route_is_written_as_it_is_said(text: str, made: Route) -> None:
    """Column, rule, value; what it prints is what it was made of."""
    assert ladder.route(text) == made
    assert str(made) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("message", "COLUMN longer CHARACTERS"),
        ("message longer many", "number of characters"),
        ("message matches (", "regular expression cannot be used"),
        ("message matches (?=x)", "regular expression cannot be used"),
    ],
)
def test_a_route_that_cannot_be_is_refused(text: str, words: str) -> None:
    """It says which, and why."""
    with pytest.raises(errors.InputError, match=words.replace("(", r"\(")):
        ladder.route(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("kind=other", "other"),
        ("kind=null", None),
        ("kind=3", 3),
        ('kind="3"', "3"),
        ("kind=true", True),
        ("kind=", ""),
    ],
)
def test_what_is_always_checked_is_json_where_it_is_written_so(text: str, value: object) -> None:
    """A text needs no quotation marks unless it would be read as something else."""
    assert ladder.check(text) == Check.model_validate({"field": "kind", "value": value})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1", 'n="1"'),
        (1, "n=1"),
        ("null", 'n="null"'),
        (None, "n=null"),
        (" x", 'n=" x"'),
        ("", 'n=""'),
        ("ja", "n=ja"),
    ],
)
def test_what_is_always_checked_is_read_back_as_it_is_written(value: str | int | None, text: str) -> None:
    """A text that looks like a number keeps its quotation marks."""
    assert str(Check(field="n", value=value)) == text
    assert ladder.check(text) == Check(field="n", value=value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_in_json_is_a_text(text: str) -> None:
    """No answer says it as a number."""
    assert ladder.check(f"n={text}").value == text


def test_a_rule_sends_a_row_up_by_its_cells() -> None:
    """Any rule does; length is in characters, and an expression may match anywhere."""
    goes_up = ladder.straight_up(
        [ladder.route("a longer 3"), ladder.route("b is x"), ladder.route(r"c matches \d{2}$")]
    )

    assert not goes_up({"a": "äöü", "b": "xy", "c": "1"})
    assert goes_up({"a": "äöü!", "b": "", "c": ""})
    assert goes_up({"a": "", "b": " x ", "c": ""})
    assert goes_up({"a": "", "b": "", "c": "id 42"})


def test_no_expression_makes_a_cell_run_for_ever() -> None:
    """One that is exponential elsewhere answers at once."""
    goes_up = ladder.straight_up([ladder.route("a matches ^(a+)+$")])

    assert not goes_up({"a": "a" * 5_000 + "!"})


def test_a_value_that_is_always_checked_is_doubted() -> None:
    """By its field and its type."""
    checks = Ladder(climbs=UP, checks=(Check(field="kind", value="other"), Check(field="n", value=1)))

    found = ladder.doubt(checks, {"kind": "other", "n": 2}, None)
    assert found is not None and (found.path, found.rule, found.got) == ("$.kind", "doubted", '"other"')
    assert ladder.doubt(checks, {"kind": "bug", "n": True}, None) is None
    assert ladder.doubt(checks, {"n": 1}, None) is not None
    assert ladder.doubt(checks, {"n": 1.0}, None) is not None, "the same number"


def test_an_answer_that_the_model_was_not_sure_of_is_doubted() -> None:
    """Under the threshold, and also where nobody tells how sure it was."""
    sure = Ladder(climbs=UP, confidence=0.8)

    assert ladder.doubt(sure, {"kind": "bug"}, ("$.kind", 0.8)) is None
    below = ladder.doubt(sure, {"kind": "bug"}, ("$.kind", 0.79), place=(3, 9))
    assert below is not None and (below.path, below.got, below.start) == ("$.kind", "a probability of 0.790", 3)
    unknown = ladder.doubt(sure, {"kind": "bug"}, None)
    assert unknown is not None and unknown.got == "no log-probabilities"


def test_a_ladder_must_fit_the_dataset_and_the_contract() -> None:
    """A rule about a column or a field that is not there says what there is."""
    contract = {"type": "object", "properties": {"kind": {"type": "string"}}}
    with pytest.raises(errors.InputError, match="no column 'massage'; there are: id, message"):
        ladder.must_fit(
            Ladder(climbs=UP, routes=(ladder.route("massage longer 3"),)), columns=["id", "message"], contract=contract
        )
    with pytest.raises(errors.InputError, match="no field 'sort'; it has: kind"):
        ladder.must_fit(Ladder(climbs=UP, checks=(ladder.check("sort=x"),)), columns=["id"], contract=contract)


def test_labels_numbers_and_yes_or_no_decide() -> None:
    """A free text is never probable; where there is nothing else, everything counts."""
    fields = {
        "kind": {"enum": ["a", "b"]},
        "n": {"type": ["integer", "null"]},
        "ok": {"type": "boolean"},
        "summary": {"type": "string"},
        "list": {"type": "array"},
    }

    assert ladder.deciding({"properties": fields}) == ["$.kind", "$.n", "$.ok"]
    assert ladder.deciding({"properties": {"summary": {"type": "string"}}}) is None


def test_a_ladder_of_run_defaults_is_written_as_on_a_command_line_and_read_back() -> None:
    """Texts where a person writes, parts where they are kept."""
    told = {
        "climbs": ["big@other", "biggest"],
        "routes": ["text longer 800", "kind matches ^x"],
        "checks": ["label=urgent", "score=5"],
        "confidence": 0.9,
    }
    read = Ladder.model_validate(ladder.said(told))

    assert [climb.model for climb in read.climbs] == ["big", "biggest"] and read.checks[1].value == 5
    assert ladder.written(read) == told
    assert Ladder.model_validate(ladder.said("big@other")).climbs[0].connection == "other"


def test_a_value_that_a_field_never_says_cannot_be_always_checked() -> None:
    """A slip of the pen would check nothing."""
    contract = {"properties": {"label": {"enum": ["good", "bad"]}}}
    found = Ladder.model_validate(ladder.said({"climbs": "big", "checks": ["label=bat"]}))

    with pytest.raises(errors.InputError, match='label never says that; it says: "good", "bad"'):
        ladder.must_fit(found, columns=[], contract=contract)


@pytest.mark.parametrize(
    ("model", "connection", "left"),
    [
        ("cheap", "c", ["mid", "dear@d"]),
        ("mid", "c", ["dear@d"]),
        ("dear", "d", None),
        ("dear", "c", ["mid", "dear@d"]),
    ],
)
def test_a_run_that_begins_higher_keeps_the_rungs_above(model: str, connection: str, left: list[str] | None) -> None:
    """A model would check itself otherwise; the same name at another connection is another model."""
    whole = Ladder(climbs=(Climb(model="mid"), Climb(model="dear", connection="d")))
    found = ladder.above(whole, model, connection)

    assert (None if found is None else [str(climb) for climb in found.climbs]) == left

"""Facts of a table: counted while rows pass, the same as counting them all at once."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.intake import Facts, TableFacts, id_problems
from jobs.intake.facts import MAX_DISTINCT

CELLS = st.sampled_from(["", " ", "a", "b", "é😀", "long " * 3])


@given(st.lists(st.tuples(CELLS, CELLS), max_size=40))
def test_facts_are_what_counting_says(rows):
    """Filled, distinct, longest and duplicates agree with a plain count of the rows."""
    facts = Facts(("x", "y"))
    for row in rows:
        facts.add(row)

    summary = facts.summary()

    assert summary.rows == summary.compared == len(rows)
    for index, column in enumerate(summary.columns):
        cells = [row[index] for row in rows]
        assert column.filled == sum(cell != "" for cell in cells)
        assert column.distinct == len(set(cells) - {""})
        assert column.longest == max(map(len, cells), default=0)
        assert not column.distinct_capped
    assert summary.duplicates == len(rows) - len(set(rows))
    repeated = [(number, rows.index(row) + 1) for number, row in enumerate(rows, 1) if row in rows[: number - 1]]
    assert summary.duplicate_examples == tuple(repeated[:10])


def test_distinct_stops_at_its_cap():
    """More values than the cap are marked as at least that many; exactly as many are not."""
    facts = Facts(("many", "enough"))
    for number in range(3 * MAX_DISTINCT):
        facts.add((str(number), str(number % MAX_DISTINCT)))

    many, enough = facts.summary().columns

    assert (many.distinct, many.distinct_capped) == (MAX_DISTINCT, True)
    assert (enough.distinct, enough.distinct_capped) == (MAX_DISTINCT, False)


def test_summary_may_be_asked_twice_and_survives_json():
    """A summary is a moment: counting goes on after it, and it can be stored."""
    facts = Facts(("a",))
    facts.add(("x",))
    first = facts.summary()
    facts.add(("x",))

    assert (first.rows, first.duplicates) == (1, 0)
    assert (facts.summary().rows, facts.summary().duplicates) == (2, 1)
    assert TableFacts.model_validate_json(facts.summary().model_dump_json()) == facts.summary()


def test_row_of_another_width_is_refused():
    """Facts are of one table."""
    with pytest.raises(ValueError, match="2 cells, the table 1 columns"):
        Facts(("a",)).add(("x", "y"))


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        ([], []),
        (["a", "b", "A", "a "], []),
        (["a", "", "b", " "], ["2 rows have no id: row 2, row 4"]),
        (
            ["a", "b", "", "a", "a"],
            ["1 row has no id: row 3", "2 rows repeat the id of an earlier row: row 4 as row 1, row 5 as row 1"],
        ),
        (["a"] * 13, ["12 rows repeat the id of an earlier row: "]),
    ],
)
def test_id_problems_name_the_rows(values, messages):
    """Empty and repeated ids are told with their ordinals; a column without either is fit."""
    found = id_problems(iter(values))

    assert len(found) == len(messages)
    for finding, message in zip(found, messages, strict=True):
        assert finding.message.startswith(message)
    assert all(finding.kind in ("empty_id", "duplicate_id") for finding in found)


def test_id_problems_are_capped():
    """A long list of repeated ids shows the first and counts the rest."""
    (finding,) = id_problems(str(number % 50) for number in range(100))

    assert finding.message.startswith("50 rows repeat the id of an earlier row: row 51 as row 1, row 52 as row 2")
    assert finding.message.endswith("and 40 more")


@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_id_problems_total_is_what_counting_says(values):
    """The total is the rows beyond the first of each id."""
    total = sum(count - 1 for count in Counter(values).values())

    found = id_problems(values)

    assert (found[0].message.split(" ")[0] if found else "0") == str(total)

"""The page that says how many rows a call should hold: what it will take, what each size came to, and the way back to the form."""

from __future__ import annotations

import pytest

from jobs.api import Engine
from tests.jobs.ledger import Ledger
from tests.workbench.conftest import CONTENT, Open, press, tables, texts


def test_it_says_what_a_try_takes_before_it_takes_it(open_screen: Open, engine: Engine, table: str) -> None:
    """The rows, the calls of all sizes, the model that will answer."""
    version = engine.prompts.save("task", CONTENT, note="n")
    said = texts(open_screen("rows_a_call", prompt=version.reference, dataset=table, connection="stub"))

    assert "task@1" in said and "20 rows" in said and "stub-small at stub" in said
    # 20 rows in ones, twos, fives, tens and twenties
    assert f"{20 + 10 + 4 + 2 + 1} at least" in said


@pytest.mark.usefixtures("keeper")
def test_it_tries_with_the_echo_that_was_chosen_and_says_what_it_catches(
    open_screen: Open, engine: Engine, table: str
) -> None:
    """On the form, or by the prompt; where no field repeats a column that stands there too."""
    contract = {"type": "object", "properties": {"key": {"type": "string"}}}
    content = CONTENT.model_copy(update={"contract": contract})
    plain = engine.prompts.save("plain", content, note="n")
    named = engine.prompts.save("named", content, note="n", defaults={"echo": {"key": "text"}})

    assert "is not caught" in texts(
        open_screen("rows_a_call", prompt=plain.reference, dataset=table, connection="stub")
    )
    for version, more in ((named, {}), (plain, {"echo": "key=text"})):
        app = open_screen("rows_a_call", prompt=version.reference, dataset=table, connection="stub", **more)
        assert "caught by 'key', which must repeat 'text'" in texts(app)
        press(app, "Try 1, 2, 5, 10 and 20 rows a call")
        assert {run.version: run.options.echo for run in engine.runs.list()[0]}[version.reference] == {"key": "text"}


def test_the_sizes_stand_side_by_side_each_with_its_n(open_screen: Open, engine: Engine, ledger: Ledger) -> None:
    """Cost a row, answers at once, agreement with one row a call by field; and what they are of."""
    dataset, version = ledger.dataset(10), ledger.version()
    runs = [
        ledger.run(dataset, version, kind="try", options={"rows_per_call": size}, dead=dead)
        for size, dead in ((1, 0), (5, 2))
    ]
    app = open_screen("rows_a_call", runs=",".join(map(str, runs)))
    sizes, fields = tables(app)["rows a call"]["rows"], tables(app)["agreement by field"]["rows"]

    assert [row["id"] for row in sizes] == ["1", "5"]
    assert "n = 8" in str(sizes[1]) and "8 of 10" in str(sizes[1]) and "is the measure" in str(sizes[0])
    assert all("of n = 8" in str(row) for row in fields) and len(fields) == 3
    run, said = engine.runs.get(runs[0]), texts(app)
    for words in (run.version, f"{run.dataset_name}: 10 rows of it", f"{run.model} at {run.connection}"):
        assert words in said, words


def test_a_try_can_be_begun_again_from_what_it_came_to(open_screen: Open, ledger: Ledger) -> None:
    """With the prompt, the table, the connection and the model that it was of."""
    dataset, version = ledger.dataset(10), ledger.version()
    runs = [ledger.run(dataset, version, kind="try", connection="stub", options={"rows_per_call": n}) for n in (1, 5)]
    app = press(open_screen("rows_a_call", runs=",".join(map(str, runs))), "Try again …")

    assert "runs" not in app.query_params and app.query_params["dataset"] in (dataset, [dataset])
    assert "at least" in texts(app) and "Try 1, 2, 5, 10 and 20 rows a call" in [one.label for one in app.button]


def test_without_anything_to_try_it_leads_to_the_form(open_screen: Open) -> None:
    """An address that somebody typed."""
    assert "Nothing to try" in texts(open_screen("rows_a_call"))

"""The overview, the datasets and one dataset, as AppTest draws them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.api import Engine
from tests.workbench.conftest import Open, elements, links, press, tables, texts
from workbench.screens import upload


def test_an_empty_home_says_what_to_do_first(open_screen: Open) -> None:
    """The overview of a new home offers the three first steps, says who answers, and that the keeper is down."""
    app = open_screen("overview")
    said = texts(app)
    assert "Nothing has run yet" in said
    assert "stub-small at 127.0.0.1:9 (connection stub)" in said
    assert "The keeper is not running" in said and "redrive up --home" in said
    assert [page.partition("?")[0] for page in links(app).values()] == ["datasets", "prompts", "launch"]


def test_no_connection_is_said_on_every_page(home: Path, open_screen: Open) -> None:
    """Without a model the line at the head says what to do."""
    (home / "connections.toml").unlink()
    assert "no model is connected: set OPENAI_API_KEY" in texts(open_screen("datasets"))


def test_an_empty_list_offers_the_sample_tables(open_screen: Open, engine: Engine) -> None:
    """A sample is loaded by one press, which opens it."""
    app = open_screen("datasets")
    assert "No dataset yet" in texts(app)
    press(app, r"Load support\_messages\.csv")
    assert "support_messages.csv" in texts(app)
    assert [dataset.state for dataset in engine.datasets.list()] == ["ready"]


def test_an_upload_becomes_a_dataset(open_screen: Open, engine: Engine, home: Path) -> None:
    """The uploaded bytes are a dataset under their own name, and their file in the home is gone."""
    app = open_screen("datasets")
    app.file_uploader[0].upload("naïve list.csv", "id;text\r\n007;NA\r\n".encode("utf-8-sig"), "text/csv").run()
    (dataset,) = engine.datasets.list()
    assert (dataset.name, dataset.delimiter, dataset.row_count) == ("naïve list.csv", ";", 1)
    assert engine.datasets.row(dataset.id, 1) == {"id": "007", "text": "NA"}
    assert list((home / "uploads").iterdir()) == []
    said = texts(app)
    assert "naïve list.csv" in said and "semicolon" in said
    app = open_screen("datasets")
    app.file_uploader[0].upload("again.csv", "id;text\r\n007;NA\r\n".encode("utf-8-sig"), "text/csv").run()
    assert len(engine.datasets.list()) == 1


def test_a_refused_upload_says_where_and_leaves_nothing(open_screen: Open, engine: Engine, home: Path) -> None:
    """The file and line of what is wrong are on the screen, and nothing is stored."""
    app = open_screen("datasets")
    app.file_uploader[0].upload("bad.csv", b'a,b\n1,2\n3,"x\n', "text/csv").run()
    assert "bad.csv:3:" in texts(app)
    assert engine.datasets.list() == []
    assert list((home / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a.csv", "a.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\a.xlsx", "a.xlsx"),
        ("a\x00\n.csv", "a__.csv"),
        ("\u202egpj.csv", "_gpj.csv"),
        ("...", "table"),
        ("", "table"),
        ("😀" * 200 + ".csv", "😀" * 60 + ".csv"),
    ],
)
def test_a_name_from_a_browser_is_one_safe_part(given: str, name: str) -> None:
    """A name can leave no folder, hide nothing and be no longer than a file system takes."""
    assert upload.file_name(given) == name
    assert len(name.encode()) < 255


def test_one_dataset_is_paged_and_searched(open_screen: Open, table: str) -> None:
    """The page of the URL is shown, and a search pages what it finds."""
    rows = tables(open_screen("dataset", id=table, page=3))["rows of the dataset"]["rows"]
    assert [row["id"] for row in rows] == [str(number) for number in range(101, 121)]
    app = open_screen("dataset", id=table, search="text number 11")
    found = tables(app)["rows of the dataset"]["rows"]
    assert [row["id"] for row in found] == ["11", *(str(number) for number in range(110, 120))]
    assert "1–11 of 11 rows" in texts(app)


def test_columns_say_how_full_they_are(open_screen: Open, table: str) -> None:
    """Filled, distinct and longest of each column, and how a template reaches it."""
    columns = {row["c"][0]["t"]: row["c"] for row in tables(open_screen("dataset", id=table))["columns"]["rows"]}
    assert [cell["t"] for cell in columns["note"]] == ["note", "{{ note }}", "60", "50 %", "1", "1 char"]


def test_an_id_column_that_is_not_unique_is_refused_with_its_rows(
    open_screen: Open, table: str, engine: Engine
) -> None:
    """A column with empty and equal ids cannot name rows; one with an id for each can."""
    app = open_screen("dataset", id=table)
    app.selectbox[0].set_value("note").run()
    press(app, "Name the rows by it")
    said = texts(app)
    assert "cannot name its rows" in said
    assert engine.datasets.get(table).id_column is None
    app.selectbox[0].set_value("id").run()
    press(app, "Name the rows by it")
    assert engine.datasets.get(table).id_column == "id"


def test_the_column_that_names_the_rows_is_marked(open_screen: Open, table: str, engine: Engine) -> None:
    """In the head of the table, and in words above it; where the rows are numbered, their number is."""

    def heads() -> list[str]:
        return [one["l"] for one in tables(open_screen("dataset", id=table))["rows of the dataset"]["columns"]]

    assert heads() == ["# · row id", "id", "text", "note"]
    assert "named by their number" in texts(open_screen("dataset", id=table))
    engine.datasets.set_id_column(table, "id")
    assert heads() == ["#", "id · row id", "text", "note"]
    assert "named by id" in texts(open_screen("dataset", id=table))


def test_hostile_cells_and_names_stay_text(open_screen: Open, engine: Engine, tmp_path: Path) -> None:
    """Mark-up in a header or a cell is only ever in the data of our own elements, or escaped."""
    file = tmp_path / "x.csv"
    file.write_text('"<img src=x onerror=alert(1)>",b\n"<script>alert(2)</script>\x1b[31m",**bold**\n')
    dataset = engine.datasets.add(file, name="<b>x</b>.csv")
    app = open_screen("dataset", id=dataset.id)
    assert "&lt;b&gt;x&lt;/b&gt;.csv" in texts(app)
    for element in app.get("html"):
        assert "<img" not in element.proto.body and "<script" not in element.proto.body
    for markdown in [*app.markdown, *app.caption]:
        assert "alert" not in markdown.value and "bold" not in markdown.value
    assert "⟨ESC⟩[31m" in str(elements(app))


def test_a_dataset_that_is_not_there_is_said_so(open_screen: Open) -> None:
    """An old link says that there is no such dataset."""
    assert "there is no dataset" in texts(open_screen("dataset", id="d-000000000000"))


def test_launch_is_handed_the_dataset(open_screen: Open, table: str) -> None:
    """The link to launch a run carries the dataset."""
    assert f"dataset={table}" in links(open_screen("dataset", id=table))["**Launch a run**"]

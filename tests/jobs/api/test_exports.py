"""engine.runs.export: whole files with the original columns, the values and how they were obtained."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlite_utils import Database

from jobs import errors
from jobs.api import Engine
from jobs.api.exports import guarded
from tests.jobs.ledger import CONTRACT, FAULTS, Ledger

OWN = [
    f"_redrive_{name}" for name in ("row", "state", "receipt", "version", "run", "problem", "edited")
]  # fmt: skip
FIELDS = ["sentiment", "urgency", "summary"]


@pytest.fixture
def run(ledger: Ledger) -> int:
    """12 rows: 8 accepted (one reused), 2 dead and fixed by a replay, 1 corrected, 1 dead."""
    made = ledger.run(ledger.dataset(12), ledger.version(), dead=4, reused=1)
    ledger.replay(made, ledger.version(number=2), fixed=2)
    ledger.correct(made, ledger.dead(made)[-1], {"sentiment": "neutral", "urgency": 1, "summary": "=HYPERLINK(1)"})
    return made


def _csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def _values(db: Database, run: int, values: list[dict[str, Any]]) -> None:
    """Give the accepted rows of a run these values."""
    rows = db.execute("SELECT attempt FROM run_rows WHERE run = ? AND state = 'accepted' ORDER BY ordinal", [run])
    for (attempt,), value in zip(rows.fetchall(), values, strict=True):
        db.execute("UPDATE attempts SET value = ? WHERE id = ?", [json.dumps(value, ensure_ascii=False), attempt])


def _own_run(ledger: Ledger, values: list[dict[str, Any]], contract: dict[str, Any]) -> int:
    made = ledger.run(ledger.dataset(len(values)), ledger.version(contract=contract))
    _values(ledger.db, made, values)
    return made


def test_csv_holds_the_current_values(engine: Engine, run: int, tmp_path: Path) -> None:
    """Every row of the root in the file's order, with its value now, its receipt, version and run."""
    out = tmp_path / "out.csv"
    assert engine.runs.export(run, "csv", out) == 12
    rows = _csv(out)
    assert list(rows[0]) == ["ticket", "customer", "subject", "message", *FIELDS, *OWN]
    assert [row["ticket"] for row in rows] == [f"T-{n:06d}" for n in range(1, 13)]
    assert [row["_redrive_row"] for row in rows] == [row["ticket"] for row in rows]
    states = [row["_redrive_state"] for row in rows]
    assert (states.count("accepted"), states.count("dead")) == (11, 1)
    dead = next(row for row in rows if row["_redrive_state"] == "dead")
    assert [dead[name] for name in (*FIELDS, "_redrive_receipt", "_redrive_edited")] == [""] * 5
    assert (dead["_redrive_version"], dead["_redrive_run"]) == ("triage@1", str(run))
    assert dead["_redrive_problem"]
    assert not [row for row in rows if row["_redrive_problem"] and row is not dead]
    receipts = sorted(row["_redrive_receipt"] for row in rows)
    assert receipts == ["", "corrected by hand", "reused from attempt 1", *["strict"] * 9]
    assert [row["_redrive_version"] for row in rows].count("triage@2") == 2
    corrected = next(row for row in rows if row["_redrive_receipt"] == "corrected by hand")
    assert (corrected["summary"], corrected["urgency"]) == ("'=HYPERLINK(1)", "1")


def test_as_run_is_the_runs_own_history(engine: Engine, run: int, tmp_path: Path) -> None:
    """Later replays and corrections are not in it."""
    out = tmp_path / "out.jsonl"
    assert engine.runs.export(run, "jsonl", out, as_run=True) == 12
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["_redrive_state"] for row in rows].count("dead") == 4
    assert {(row["_redrive_version"], row["_redrive_run"]) for row in rows} == {("triage@1", run)}


@pytest.mark.parametrize("fmt", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("as_run", [True, False])
def test_a_dead_row_says_its_cause(engine: Engine, ledger: Ledger, tmp_path: Path, fmt: Any, as_run: bool) -> None:
    """The title of its dead letter: the run's own, or the newest where a replay of it died too; nothing for other rows."""
    made = ledger.run(ledger.dataset(3), ledger.version(), dead=1)
    ledger.replay(made, ledger.version(number=2), new=1)
    found = ledger.db.execute("SELECT d.run, s.title FROM dead_letters d JOIN signatures s USING (signature)")
    titles: dict[int, str] = dict(found.fetchall())
    assert titles[made] != titles[max(titles)]
    out = tmp_path / "out"
    engine.runs.export(made, fmt, out, as_run=as_run)
    last = made if as_run else max(titles)
    told = [_cell(out, fmt, "_redrive_problem", row) for row in range(3)]
    assert [one for one in told if one] == [titles[last]]
    dead = next(row for row, problem in enumerate(told) if problem)
    said = [str(_cell(out, fmt, f"_redrive_{name}", dead)) for name in ("version", "run")]
    assert said == ["triage@1" if as_run else "triage@2", str(last)]


@pytest.mark.parametrize("fmt", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("again", ["accepted", "dead"])
def test_an_edited_row_says_what_was_edited(
    engine: Engine, ledger: Ledger, tmp_path: Path, fmt: Any, again: str
) -> None:
    """The original column stays as it is in the file, and beside the value stands which text it answers."""
    made = ledger.run(ledger.dataset(3), ledger.version(), dead=1)
    (ordinal,) = ledger.dead(made)
    row = engine.letters.inspect(made, ordinal).original_cells
    edits = {ordinal: row | {"message": "a clearer text"}}
    fates = {ordinal: FAULTS[0] if again == "dead" else "accepted"}
    ledger.run(
        engine.runs.get(made).dataset, ledger.version(number=2), kind="replay", parent=made, ordinals=[ordinal],
        edits=edits, fates=fates,
    )  # fmt: skip
    out = tmp_path / "out"
    engine.runs.export(made, fmt, out)
    assert _cell(out, fmt, "message", ordinal - 1) == row["message"]
    edited = _cell(out, fmt, "_redrive_edited", ordinal - 1)
    assert (edited if fmt == "jsonl" else json.loads(edited)) == {"message": "a clearer text"}
    receipt = _cell(out, fmt, "_redrive_receipt", ordinal - 1)
    assert receipt == "strict, edited row" if again == "accepted" else not receipt
    assert not any(_cell(out, fmt, "_redrive_edited", other - 1) for other in {1, 2, 3} - {ordinal})
    assert engine.runs.export(made, fmt, out, as_run=True) == 3
    assert not _cell(out, fmt, "_redrive_edited", ordinal - 1)


@pytest.mark.parametrize("fmt", ["csv", "jsonl", "parquet"])
def test_accepted_only(engine: Engine, run: int, tmp_path: Path, fmt: Any) -> None:
    """Rows without a value are left out, and the count is that of the rows in the file."""
    out = tmp_path / "out"
    assert engine.runs.export(run, fmt, out, accepted_only=True) == 11
    rows = {"csv": lambda: len(_csv(out)), "jsonl": lambda: out.read_text("utf-8").count("\n")}
    assert rows.get(fmt, lambda: pq.read_table(out).num_rows)() == 11


def test_parquet_has_text_and_typed_values(engine: Engine, run: int, tmp_path: Path) -> None:
    """Original columns are text whatever they look like; values have the types of their contract."""
    out = tmp_path / "out.parquet"
    engine.runs.export(run, "parquet", out)
    table = pq.read_table(out)
    types = {field.name: str(field.type) for field in table.schema}
    assert types["ticket"] == types["sentiment"] == types["_redrive_row"] == "string"
    assert (types["urgency"], types["_redrive_run"]) == ("int64", "int64")
    assert table.column("urgency").null_count == 1
    assert table.num_rows == 12


def _cell(out: Path, fmt: str, column: str, row: int = 0) -> Any:
    if fmt == "csv":
        return _csv(out)[row][column]
    if fmt == "jsonl":
        return json.loads(out.read_text("utf-8").splitlines()[row])[column]
    return pq.read_table(out).column(column)[row].as_py()


@pytest.mark.parametrize(
    ("schema", "value", "as_csv", "as_jsonl", "as_parquet"),
    [
        ({"type": "number"}, -5.5, "-5.5", -5.5, -5.5),
        ({"type": "number"}, 3, "3", 3, 3.0),
        ({"type": "integer"}, 10**19, "10000000000000000000", 10**19, "10000000000000000000"),
        ({"type": "number"}, 2**53 + 1, "9007199254740993", 2**53 + 1, "9007199254740993"),
        ({"type": ["integer", "null"]}, None, "", None, None),
        ({"type": "boolean"}, True, "true", True, True),
        ({"type": "array", "items": {"type": "string"}}, ["=a", "ü"], '["=a","ü"]', ["=a", "ü"], '["=a","ü"]'),
        ({"type": "object", "properties": {"b": {"type": "integer"}}}, {"b": 1}, '{"b":1}', {"b": 1}, '{"b":1}'),
        ({"type": ["string", "integer"]}, "x", "x", "x", '"x"'),
        ({"type": "string"}, '+1 \n"two"', '\'+1 \n"two"', '+1 \n"two"', '+1 \n"two"'),
    ],
)
def test_values_keep_their_type(
    engine: Engine,
    ledger: Ledger,
    tmp_path: Path,
    schema: dict[str, Any],
    value: Any,
    as_csv: str,
    as_jsonl: Any,
    as_parquet: Any,
) -> None:
    """Numbers stay numbers, what no column type holds is JSON text, and nothing is rounded."""
    made = _own_run(ledger, [{"a": value}], {"type": "object", "properties": {"a": schema}})
    expected: dict[Any, Any] = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}
    for fmt, cell in expected.items():
        engine.runs.export(made, fmt, tmp_path / "out")
        assert _cell(tmp_path / "out", fmt, "a") == cell


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("=1+1", "'=1+1"),
        ("+49 170 1234", "'+49 170 1234"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1+1", "'＝1+1"),
        ("-", "'-"),
        ("-5", "-5"),
        ("+1,200.50", "+1,200.50"),
        ("-1e5", "-1e5"),
        ("-5+cmd", "'-5+cmd"),
        ("plain = text", "plain = text"),
        ("'quoted", "'quoted"),
        ("", ""),
    ],
)
def test_no_text_is_a_formula(text: str, made: str) -> None:
    """What a spreadsheet would run begins with an apostrophe; a plain number is left as it is."""
    assert guarded(text) == made


def test_hostile_cells_and_headers_are_guarded_in_csv_only(engine: Engine, ledger: Ledger, tmp_path: Path) -> None:
    """CSV is for spreadsheets; the other formats hold the text as it is."""
    dataset = ledger.dataset(cells=[("=1+1", "x")], columns=("=danger", "message"), id_column=None)
    made = ledger.run(dataset, ledger.version(template="{{ message }}"))
    engine.runs.export(made, "csv", tmp_path / "out.csv")
    assert _csv(tmp_path / "out.csv")[0]["'=danger"] == "'=1+1"
    engine.runs.export(made, "jsonl", tmp_path / "out.jsonl")
    assert _cell(tmp_path / "out.jsonl", "jsonl", "=danger") == "=1+1"


def test_names_that_are_taken_give_way(engine: Engine, ledger: Ledger, tmp_path: Path) -> None:
    """The original columns keep their names, even those of an export that was uploaded again."""
    columns = ("message", "summary", "value.summary", "_redrive_row")
    dataset = ledger.dataset(cells=[("m", "s", "v", "r")], columns=columns, id_column=None)
    made = ledger.run(dataset, ledger.version(template="{{ message }}"))
    engine.runs.export(made, "jsonl", tmp_path / "out")
    row = json.loads((tmp_path / "out").read_text("utf-8"))
    assert [row[column] for column in columns] == ["m", "s", "v", "r"]
    assert row["value.value.summary"] == "Asks about number 1."
    assert (row["__redrive_row"], row["_redrive_state"]) == ("1", "accepted")


def test_values_of_several_contracts_share_the_file(engine: Engine, ledger: Ledger, tmp_path: Path) -> None:
    """A replay with another contract adds its fields; one whose type differs becomes JSON text."""
    made = ledger.run(ledger.dataset(4), ledger.version(), dead=1)
    other = {"type": "object", "properties": {"urgency": {"type": "string"}, "tone": {"type": "string"}}}
    replay = ledger.replay(made, ledger.version(number=2, contract=other), fixed=1)
    _values(ledger.db, replay, [{"urgency": "high", "tone": "curt"}])
    engine.runs.export(made, "parquet", tmp_path / "out")
    table = pq.read_table(tmp_path / "out").to_pylist()
    fixed = next(row for row in table if row["_redrive_run"] == replay)
    assert (fixed["urgency"], fixed["tone"], fixed["sentiment"]) == ('"high"', "curt", None)
    assert {row["urgency"] for row in table if row is not fixed} <= {"1", "2", "3", "4", "5"}


def test_keys_that_no_contract_names_are_not_lost(engine: Engine, ledger: Ledger, tmp_path: Path) -> None:
    """Where a contract allows other keys, the whole value stands beside its fields."""
    contract = {**CONTRACT, "additionalProperties": True}
    value = {"sentiment": "neutral", "urgency": 1, "summary": "s", "more": [1]}
    made = _own_run(ledger, [value], contract)
    engine.runs.export(made, "csv", tmp_path / "out")
    assert json.loads(_csv(tmp_path / "out")[0]["value"]) == value


def test_a_file_is_whole_or_the_old_one(engine: Engine, ledger: Ledger, db: Database, tmp_path: Path) -> None:
    """A failure on the way leaves the file that was there, and no part of the new one."""
    made = ledger.run(ledger.dataset(3), ledger.version())
    out = tmp_path / "out.csv"
    out.write_text("old")
    db.execute("UPDATE attempts SET value = '{broken' WHERE ordinal = 3")
    for fmt in ("csv", "jsonl", "parquet"):
        with pytest.raises(json.JSONDecodeError):
            engine.runs.export(made, fmt, out)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.csv"]


def test_what_cannot_be_exported_says_so(engine: Engine, run: int, tmp_path: Path) -> None:
    """A missing folder, an unknown format and an unknown run are each named."""
    with pytest.raises(errors.InputError, match="nowhere"):
        engine.runs.export(run, "csv", tmp_path / "nowhere" / "out.csv")
    with pytest.raises(errors.InputError, match="csv, jsonl, parquet"):
        engine.runs.export(run, "xlsx", tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(errors.NotFound, match="no run 99"):
        engine.runs.export(99, "csv", tmp_path / "out")


def test_excel_reads_it_as_utf8(engine: Engine, run: int, tmp_path: Path) -> None:
    """CSV begins with a byte order mark and ends its lines as spreadsheets do."""
    engine.runs.export(run, "csv", tmp_path / "out")
    data = (tmp_path / "out").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfticket,") and data.count(b"\r\n") == 13


def test_a_large_export_streams(engine: Engine, ledger: Ledger, tmp_path: Path) -> None:
    """More rows than one chunk are all there once, in order."""
    made = ledger.run(ledger.dataset(6_500), ledger.version(), dead=50)
    assert engine.runs.export(made, "parquet", tmp_path / "out") == 6_500
    assert pq.read_table(tmp_path / "out").column("ticket").to_pylist() == [f"T-{n:06d}" for n in range(1, 6_501)]

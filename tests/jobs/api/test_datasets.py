"""engine.datasets: taking tables in once and whole, paging, searching, naming rows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jobs import errors, intake
from jobs.api import Engine
from jobs.store import drawer


def _file(tmp_path: Path, text: str, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rows = ['1,Ana,"likes ""tea"", and rain"', "2,Böse,50% off", "3,Zoë,a_b", "3,Eve,50 off", ",Bob,back\\slash"]
    return _file(tmp_path, "id,name,note\n" + "\n".join(rows) + "\n")


def test_a_table_is_taken_in_whole(engine: Engine, people: Path) -> None:
    """Every cell is there as text, in the file's order, with what was found of the file."""
    heard: list[tuple[int, int]] = []
    made = engine.datasets.add(people, progress=lambda done, total: heard.append((done, total)))
    assert (made.state, made.row_count, made.columns, made.format) == ("ready", 5, ("id", "name", "note"), "csv")
    assert made.size_bytes == people.stat().st_size
    assert made.facts is not None and made.facts["rows"] == 5
    assert heard == [(5, 5)]
    rows, total = engine.datasets.page(made.id, offset=1, limit=2)
    assert (rows, total) == (
        [(2, {"id": "2", "name": "Böse", "note": "50% off"}), (3, {"id": "3", "name": "Zoë", "note": "a_b"})],
        5,
    )
    assert engine.datasets.row(made.id, 1)["note"] == 'likes "tea", and rain'


def test_the_same_bytes_are_one_dataset(engine: Engine, people: Path, tmp_path: Path) -> None:
    """A second upload under another name gives the first dataset."""
    first = engine.datasets.add(people)
    again = tmp_path / "copy.csv"
    again.write_bytes(people.read_bytes())
    assert engine.datasets.add(again) == first
    assert engine.datasets.list() == [first]


def test_large_tables_are_stored_in_batches(engine: Engine, tmp_path: Path) -> None:
    """More rows than one transaction takes are all there, in order."""
    path = _file(tmp_path, "n\n" + "".join(f"{n}\n" for n in range(1, 4_502)))
    heard: list[int] = []
    made = engine.datasets.add(path, progress=lambda done, _: heard.append(done))
    assert heard == [2_000, 4_000, 4_501]
    assert engine.datasets.page(made.id, offset=4_499, limit=10)[0] == [(4_500, {"n": "4500"}), (4_501, {"n": "4501"})]


def test_a_refused_file_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    """A ragged line is refused with its number, and there is no dataset and no row of it."""
    with pytest.raises(errors.TableError, match=r"bad\.csv:3"):
        engine.datasets.add(_file(tmp_path, "a,b\n1,2\n3\n", "bad.csv"))
    assert engine.datasets.list() == []
    with pytest.raises(errors.TableError, match="no such file"):
        engine.datasets.add(tmp_path / "absent.csv")


def test_an_intake_that_breaks_off_leaves_nothing(engine: Engine, people: Path) -> None:
    """Whatever stops it on the way, its rows go, and no lock stays behind."""

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.datasets.add(people, progress=stop)
    assert engine.datasets.list() == []
    assert engine.datasets.read().execute("SELECT count(*) FROM rows").fetchone() == (0,)
    assert not list(engine.settings.home.glob("intake-*"))


def test_the_remnant_of_a_killed_intake_is_cleared(engine: Engine, people: Path) -> None:
    """A dataset that stayed in loading is taken away when its bytes are given again, and cannot be searched before."""
    sha = intake.content_hash(people)
    with engine.datasets.write() as db:
        layout = intake.inspect(people).model_dump_json()
        drawer.begin_dataset(
            db, f"d-{sha[:12]}", sha256=sha, name="x", layout=layout, columns=("id", "name", "note"), now=0
        )
        drawer.add_rows(db, f"d-{sha[:12]}", [("9", "half", "")] * 4_100, first=1)
    assert [found.state for found in engine.datasets.list()] == ["loading"]
    made = engine.datasets.add(people)
    assert (made.state, made.row_count, made.name) == ("ready", 5, "people.csv")
    assert engine.datasets.read().execute("SELECT count(*) FROM rows").fetchone() == (5,)


def test_two_uploads_of_one_file_at_once_are_one_dataset(engine: Engine, tmp_path: Path) -> None:
    """The second waits for the first and gets its dataset."""
    path = _file(tmp_path, "n\n" + "".join(f"{n}\n" for n in range(6_000)))
    together, found = threading.Barrier(4), list[str]()

    def add() -> None:
        together.wait()
        found.append(engine.datasets.add(path).id)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert engine.datasets.read().execute("SELECT count(*) FROM rows").fetchone() == (6_000,)


@pytest.mark.parametrize(
    ("search", "ordinals"),
    [
        ("ana", [1]),
        ('"tea"', [1]),
        ("tea, and", []),
        ('tea", and', [1]),
        ("BÖSE", [2]),
        ("50%", [2]),
        ("a_b", [3]),
        ("\\slash", [5]),
        ("\\", [5]),
        (",", [1]),
        ('"', [1]),
        ("[", []),
        ("nobody", []),
        ("  ", [1, 2, 3, 4, 5]),
    ],
)
def test_search_finds_the_text_as_typed(engine: Engine, people: Path, search: str, ordinals: list[int]) -> None:
    """In any case, in any cell, and nothing else: wildcards and the way rows are stored mean nothing."""
    made = engine.datasets.add(people)
    rows, total = engine.datasets.page(made.id, offset=0, limit=50, search=search)
    assert ([ordinal for ordinal, _ in rows], total) == (ordinals, len(ordinals))


def test_search_is_paged(engine: Engine, people: Path) -> None:
    """A page of what was found, and how many there are in all."""
    made = engine.datasets.add(people)
    rows, total = engine.datasets.page(made.id, offset=1, limit=1, search="50")
    assert ([ordinal for ordinal, _ in rows], total) == ([4], 2)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("id", r"(?s)row 5.*row 4 as row 3"),
        ("nothing", "has no column 'nothing'; it has: id, name, note"),
    ],
)
def test_an_id_column_must_name_every_row(engine: Engine, people: Path, column: str, why: str) -> None:
    """Empty and repeated ids are refused with their rows, and the column stays as it was."""
    made = engine.datasets.add(people)
    engine.datasets.set_id_column(made.id, "name")
    with pytest.raises(errors.InputError, match=why):
        engine.datasets.set_id_column(made.id, column)
    assert engine.datasets.get(made.id).id_column == "name"
    engine.datasets.set_id_column(made.id, None)
    assert engine.datasets.get(made.id).id_column is None


def test_what_is_not_there_says_so(engine: Engine, people: Path) -> None:
    """An unknown dataset or row is NotFound."""
    with pytest.raises(errors.NotFound, match="d-0"):
        engine.datasets.page("d-0", offset=0, limit=1)
    made = engine.datasets.add(people)
    with pytest.raises(errors.NotFound, match="no row 6; it has 5"):
        engine.datasets.row(made.id, 6)

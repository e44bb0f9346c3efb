"""The keeper's note: what keeps it from its work, readable also where nothing can be written any more."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jobs.trouble import SIZE, Note, told


def test_trouble_is_told_once_and_until_it_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first words of a kind stand; the log has a line for its begin and one for its end."""
    caplog.set_level(logging.INFO)
    note = Note(tmp_path)
    assert told(tmp_path) is None
    for number in range(3):
        note.begin("store", f"the disk is full {number}", "Free some space.")
    found = told(tmp_path)
    note.end()
    note.end()

    assert found is not None and (found.words, found.todo) == ("the disk is full 0", "Free some space.")
    assert told(tmp_path) is None
    assert [record.action for record in caplog.records] == ["store_fails", "store_works"]  # type: ignore[attr-defined]
    note.close()


def test_a_note_never_grows(tmp_path: Path) -> None:
    """It is overwritten in place, however long its words are, so that a full disk takes it too."""
    note = Note(tmp_path)
    sizes = {(tmp_path / "keeper.note").stat().st_size}
    note.begin("fault", "\u00e9" * 100_000, "x" * 100_000)
    sizes.add((tmp_path / "keeper.note").stat().st_size)
    found = told(tmp_path)
    note.close()

    assert sizes == {SIZE} and found is not None and found.words.startswith("\u00e9")


def test_a_note_that_cannot_be_made_stops_nobody(tmp_path: Path) -> None:
    """Nor does one that holds rubbish."""
    note = Note(tmp_path / "absent")
    note.begin("redis", "away", "")
    note.close()
    (tmp_path / "keeper.note").write_bytes(b"{rubbish")

    assert told(tmp_path) is None and told(tmp_path / "absent") is None

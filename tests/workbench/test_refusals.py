from __future__ import annotations

import sys

import pytest

from jobs import errors
from workbench import cli


@pytest.mark.parametrize(("error", "code"), [(errors.InputError, 2), (errors.Refused, 2), (errors.EngineDown, 1)])
def test_a_refusal_cannot_command_the_terminal(
    error: type[errors.RedriveError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column's name with an escape sequence in it is printed as letters, whatever refuses."""

    def refuse(**_: object) -> None:
        raise error("it has: id, \x1b]0;pwned\x07\x1b[2Jcol\nand more")

    monkeypatch.setattr(cli.redrive, "main", refuse)
    monkeypatch.setattr(sys, "argv", ["redrive"])

    with pytest.raises(SystemExit) as left:
        cli.main()

    assert left.value.code == code
    assert capsys.readouterr().err == "redrive: it has: id, \\x1b]0;pwned\\x07\\x1b[2Jcol\nand more\n"

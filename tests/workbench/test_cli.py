"""The command as a person types it: one JSON value, documented exit codes, clear refusals, nothing left running."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from jobs import processes
from jobs.store.database import open_reader
from jobs.testing import StubProvider
from tests.house import table, wait_until
from workbench import cli

pytestmark = pytest.mark.timeout(240)

PROMPT = """---
description: a task for tests
response_format: json_schema
max_tokens: 50
---
system:
Answer with JSON.

user:
{{ text }}
"""
CONTRACT = {
    "type": "object",
    "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}


#: a run that could be made
RUN = ["run", "fine.csv", "--prompt", "task"]


class Shell:
    """A folder with a home, a prompt and tables, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def furnish(self, stub: StubProvider) -> None:
        folder = self.folder
        (folder / "home").mkdir()
        (folder / "home/connections.toml").write_text(
            f'[stub]\nbase_url = "{stub.base_url}"\nmodels = ["m"]\n[stub.prices.m]\ninput = 1.0\noutput = 2.0\n'
            "[stub.prices.dear]\ninput = 10.0\noutput = 20.0\n"
            f'[free]\nbase_url = "{stub.base_url}"\nmodels = ["unpriced"]\n'
        )
        (folder / "prompts/task").mkdir(parents=True)
        (folder / "prompts/task/prompt.md").write_text(PROMPT)
        (folder / "prompts/task/schema.json").write_text(json.dumps(CONTRACT))
        (folder / "prompts/task/golden.csv").write_text("id,text,expected.mood\n1,a,good\n2,b,bad\n")
        (folder / "prompts/task/hard.csv").write_text(
            "id,text,expected.mood\n1,a,good\n2,b,good\n3,never [[invalid always]],good\n"
        )
        (folder / "prompts/bare").mkdir()
        (folder / "prompts/bare/prompt.md").write_text(PROMPT)
        (folder / "prompts/bare/schema.json").write_text(json.dumps(CONTRACT))
        (folder / "other.csv").write_text("a,b\n1,2\n")
        (folder / "twice.csv").write_text("id,text\n1,a\n1,b\n")
        (folder / "noise.csv").write_bytes(bytes(range(256)) * 20)
        os.mkfifo(folder / "pipe")
        (folder / "fine.csv").write_text(table(["a", "b", "c"]))
        (folder / "some.csv").write_text(table(["a", "later [[invalid 3 times]]", "never [[invalid always]]"]))

    def environ(self) -> dict[str, str]:
        return {**os.environ, "REDRIVE_HOME": "home", "REDRIVE_PROMPTS": "prompts"}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", *words],
            cwd=self.folder,
            env=self.environ(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    def active(self) -> list[int]:
        """The runs that have begun to call and are not at their end."""
        with closing(open_reader(self.folder / "home/redrive.db")) as db:
            return [run for (run,) in db.execute("SELECT id FROM runs WHERE state = 'running' AND calls > 0")]

    def interrupted(self, file: str) -> tuple[int, subprocess.CompletedProcess[str]]:
        """A run of one call at a time that Ctrl-C has left, and what its command said."""
        words = ["run", file, "--prompt", "task", "--in-flight", "1", "--workers", "1", "--json"]
        command = [sys.executable, "-m", "workbench.cli", *words]
        pipe = subprocess.PIPE
        running = subprocess.Popen(command, cwd=self.folder, env=self.environ(), stdout=pipe, stderr=pipe, text=True)
        wait_until(lambda: bool(self.active()), patience=60)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        (run,) = self.active()
        return run, subprocess.CompletedProcess(words, running.returncode, out, err)

    def value(self, *words: str, code: int = 0) -> Any:
        done = self(*words, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)


class Inside(Shell):
    """The same without a process of its own for each command, where one is up that it asks."""

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["redrive", *words])
            for name, value in self.environ().items():
                patch.setenv(name, value)
            try:
                cli.main()
                code = 0
            except SystemExit as left:
                code = int(left.code or 0)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("cli")
    with StubProvider(answer={"mood": "good"}) as stub:
        made = Shell(folder)
        made.furnish(stub)
        yield made
    assert processes.family(folder / "home") == [], "something was left running"


def test_a_run_from_start_to_end_and_what_can_be_asked_of_it_afterwards(shell: Shell) -> None:
    """run, dead, replay, stats and export, each with its exit code, on a home where nothing was up."""
    told = ["--note", "a first look", "--no-reuse", "--echo", "mood=text"]
    run = shell.value("run", "some.csv", "--prompt", "task", "--id-column", "id", *told, code=3)
    assert (run["rows"], run["accepted"], run["dead"], run["waiting"], run["cancelled"]) == (3, 1, 2, 0, 0)
    assert run["calls"] == 7 and run["state"] == "finished" and run["cost_usd"] > 0
    assert set(run["tokens"]) == {"prompt", "completion", "cached"}

    with closing(open_reader(shell.folder / "home/redrive.db")) as db:
        query = "SELECT note, json_extract(options, '$.reuse'), json_extract(options, '$.echo') FROM runs WHERE id = ?"
        assert db.execute(query, [run["run"]]).fetchone() == ("a first look", 0, '{"mood":"text"}')

    dead = shell.value("dead", str(run["run"]))
    assert [one["row"] for one in dead] == ["2", "3"]
    for one in dead:
        assert one["raw"] and one["title"] and len(one["attempts"]) == 3
        problem = one["problems"][0]
        assert set(problem) == {"path", "rule", "expected", "got", "start", "end"}

    replay = shell.value("replay", str(run["run"]), "--group", dead[0]["signature"], code=3)
    assert (replay["replay_of"], replay["fixed"], replay["same_failure"], replay["new_failure"]) == (
        run["run"],
        1,
        1,
        0,
    )

    stats = shell.value("stats", str(run["run"]))
    assert stats["dead_now"] == {"fixed": 1, "open": 1} and stats["latency_seconds"]["n"] == 7
    assert sum(one["usd"] for one in stats["spent"].values()) == pytest.approx(stats["cost_usd"])
    assert sum(one["calls"] for one in stats["spent"].values()) == stats["calls"]
    assert stats["spent"]["rejected"]["calls"] == 6 and stats["saved"]["reuse"]["rows"] == 0
    shell.value("export", str(run["run"]), "--format", "jsonl", "--out", "out.jsonl")
    rows = [json.loads(line) for line in (shell.folder / "out.jsonl").read_text().splitlines()]
    assert [row.get("mood") for row in rows] == ["good", "good", None]


def test_ctrl_c_stops_waiting_and_says_how_to_go_on(shell: Shell) -> None:
    """Exit code 130, nothing on standard output, and the run is there to be resumed."""
    (shell.folder / "slow.csv").write_text(table([f"{n} [[slow 0.2]]" for n in range(500)]))
    run, left = shell.interrupted("slow.csv")
    assert (left.returncode, left.stdout) == (130, "")
    assert f"run {run} of task@1 on m: 500 rows\n" in left.stderr and f"redrive resume {run} --wait" in left.stderr
    assert shell.value("cancel", str(run))["state"] == "cancelled"


def test_a_run_whose_key_is_missing_is_paused_with_the_reason(shell: Shell) -> None:
    """Exit code 4, and the words say which variable is empty; nothing is lost."""
    file = shell.folder / "home/connections.toml"
    before = file.read_text()
    file.write_text(before + '[keyed]\nbase_url = "http://127.0.0.1:9/v1"\nkey_env = "NO_SUCH_KEY"\nmodels = ["m"]\n')
    try:
        run = shell.value("run", "fine.csv", "--prompt", "task", "--connection", "keyed", "--workers", "1", code=4)
    finally:
        file.write_text(before)
    assert run["state"] == "paused" and "NO_SUCH_KEY" in run["reason"] and run["waiting"] == 3
    assert shell.value("cancel", str(run["run"]))["state"] == "cancelled"


def test_resume_all_ends_what_was_left_and_leaves_what_was_paused(shell: Shell) -> None:
    """Both were cut off by Ctrl-C; where nothing is left it is an empty list and a good end."""
    for file in ("paused.csv", "left.csv"):
        (shell.folder / file).write_text(table([f"{file} {n} [[slow 0.1]]" for n in range(30)]))
    paused, _ = shell.interrupted("paused.csv")
    assert shell.value("pause", str(paused))["state"] == "paused"
    assert shell.value("resume", "--all", "--wait") == []

    left, _ = shell.interrupted("left.csv")
    (ended,) = shell.value("resume", "--all", "--wait")
    assert (ended["run"], ended["state"], ended["accepted"]) == (left, "finished", 30)
    assert shell.value("cancel", str(paused))["state"] == "cancelled"


@pytest.fixture(scope="module")
def inside(shell: Shell) -> Iterator[Shell]:
    """The home is up, so that a command has nothing to start."""
    command = [sys.executable, "-m", "workbench.cli", "up", "--no-web", "--workers", "1"]
    with subprocess.Popen(command, cwd=shell.folder, env=shell.environ(), stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert any(line.startswith("Redrive is up") for line in up.stdout)
        yield Inside(shell.folder)
        up.terminate()
        up.stdout.read()
    assert up.returncode == 0


def test_an_evaluation_says_agreement_with_its_n_and_fails_below_the_bar(inside: Shell) -> None:
    """Half of the golden rows agree: above 0.5 it passes, above 0.9 it exits with 5."""
    report = inside.value("eval", "task", "--min", "0.5")
    assert (report["n"], report["model"], report["connection"], report["calls"]) == (2, "m", "stub", 2)
    assert report["cost_usd"] > 0
    assert [(field["path"], field["n"], field["agree"]) for field in report["fields"]] == [("mood", 2, 1)]
    assert report["agreement"] == 0.5
    below = inside("eval", "task", "--min", "0.9", "--model", "dear")
    assert below.returncode == 5 and "task@1 by dear at stub: 2 of 2 golden rows answered" in below.stdout


def test_an_evaluation_with_a_dead_row_is_decided_by_its_bar_where_it_has_one(inside: Shell) -> None:
    """Two of three rows agree and one is dead: that is 3 without a bar, 0 above it and 5 below it; --limit takes the first rows."""
    hard = ["eval", "task", "--golden", "prompts/task/hard.csv"]
    assert inside.value(*hard, code=3)["rows"] == 3
    report = inside.value(*hard, "--min", "0.6")
    assert (report["agree"], report["n"], report["min"]) == (2, 3, 0.6)
    inside.value(*hard, "--min", "0.7", code=5)
    assert inside.value(*hard, "--limit", "2")["rows"] == 2


def test_an_evaluation_with_a_ladder_is_booked_by_rung(inside: Shell) -> None:
    """Its figures stand with its run, as those of any: rows, calls and money of each model."""
    golden = inside.folder / "climbing.csv"
    golden.write_text("id,text,expected.mood\n1,plain,good\n2,never asked elsewhere [[invalid twice]],good\n")
    report = inside.value("eval", "task", "--golden", str(golden), "--ladder", "dear@stub")
    run = inside.value("stats", str(report["run"]))
    cheap, dear = run["answered_by"]

    assert (report["agreement"], report["n"]) == (1.0, 2)
    assert (cheap["model"], cheap["accepted"], cheap["calls"], cheap["climbed"]) == ("m", 1, 3, {"contract": 1})
    assert (dear["model"], dear["accepted"], dear["calls"]) == ("dear", 1, 1)
    assert run["calls"] == 4 and cheap["cost_usd"] and dear["cost_usd"]
    assert run["cost_usd"] == pytest.approx(cheap["cost_usd"] + dear["cost_usd"])


def test_a_ladder_of_models_says_where_rows_were_answered_and_a_replay_keeps_it(inside: Shell) -> None:
    """What breaks the contract twice is asked again of the dearer model; each rung with its rows, calls and money."""
    (inside.folder / "hard.csv").write_text(
        table(["plain", "x [[invalid twice]]", "y [[invalid always]]", "a longer text"])
    )
    ladder = ["--ladder", "dear@stub", "--route", "text is a longer text", "--always-check", "mood=bad"]
    run = inside.value("run", "hard.csv", "--prompt", "task", *ladder, code=3)
    cheap, dear = run["answered_by"]

    assert (cheap["model"], cheap["accepted"], cheap["climbed"]) == ("m", 1, {"contract": 2})
    assert (dear["model"], dear["connection"], dear["accepted"], dear["dead"], dear["straight"]) == (
        "dear",
        "stub",
        2,
        1,
        1,
    )
    assert run["cost_usd"] == pytest.approx(cheap["cost_usd"] + dear["cost_usd"])
    said = inside("stats", str(run["run"])).stdout
    assert "m at stub: 1 accepted" in said and "2 went on (2 broke the contract twice)" in said

    assert [one["calls"] for one in inside.value("replay", str(run["run"]), code=3)["answered_by"]] == [2, 3]
    alone = inside.value("replay", str(run["run"]), "--no-ladder", code=3)
    assert "answered_by" not in alone and alone["calls"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "none.csv", "--prompt", "task"], "none.csv: there is no such file"),
        (["run", "prompts", "--prompt", "task"], "not a file"),
        (["run", "fine.csv", "--prompt", "nosuch"], "there is no prompt 'nosuch'; there are: bare, task"),
        (["run", "fine.csv", "--prompt", "task@99"], "there is no task@99"),
        (["run", "fine.csv", "--prompt", "task", "--budget", "-1"], "--budget"),
        (["run", "fine.csv", "--prompt", "task", "--connection", "nope"], "no connection is named 'nope'; known: stub"),
        (["run", "fine.csv", "--prompt", "task", "--connection", ""], "no connection is named ''; known: stub"),
        (["run", "fine.csv", "--prompt", "task", "--connection", "free", "--budget", "1"], "a budget needs a price"),
        (["run", "fine.csv", "--prompt", "task", "--budget", "0"], "'--budget': 0.0 is not in the range x>0"),
        (["run", "fine.csv", "--prompt", "task", "--budget", "inf"], "'--budget': inf is not a finite number"),
        (["run", "fine.csv", "--prompt", "task", "--timeout", "nan"], "'--timeout': nan is not a finite number"),
        (["run", "fine.csv", "--prompt", "task", "--strikes", "11"], "'--strikes': 11 is not in the range 1<=x<=10"),
        (["run", "fine.csv", "--prompt", "task", "--id-column", "name"], "no column 'name'; it has: id, text"),
        (["run", "twice.csv", "--prompt", "task", "--id-column", "id"], "row 2 as row 1"),
        (["run", "noise.csv", "--prompt", "task"], "noise.csv: this looks like binary data"),
        (["run", "fine.csv", "--prompt", "task@production"], "there is no task@production; there are: task"),
        (
            ["run", "fine.csv", "--prompt", "task", "--home", "fine.csv"],
            "fine.csv cannot be a home: it is not a folder",
        ),
        (["prompts", "--home", "fine.csv/sub"], "fine.csv is not a folder; name another one with --home"),
        (["worker", "--home", "fine.csv"], "cannot be a home"),
        (["run", "fine.csv", "--prompt", "task", "--rows-per-call", "51"], "--rows-per-call"),
        (["run", "fine.csv", "--prompt", "task", "--echo", "mood"], "an echo is FIELD=COLUMN"),
        (["run", "fine.csv", "--prompt", "task", "--echo", "mod=text"], "the contract has no field 'mod'"),
        (["run", "fine.csv", "--prompt", "task", "--echo", "mood=nr"], "there is no column 'nr'; there are: id, text"),
        (["run", "fine.csv", "--prompt", "task", "--echo", "mood=id"], "cannot repeat what it is not shown"),
        (["run", "fine.csv", "--prompt", "task", "--echo", "mood=id", "--echo", "mood=text"], "one column only"),
        (["replay", "1", "--echo", "mood=nr"], "there is no column 'nr'"),
        ([*RUN, "--ladder", "@stub"], "a rung is MODEL or MODEL@CONNECTION; '@stub' names no model"),
        ([*RUN, "--ladder", "dear@moon"], "rung dear@moon: no connection is named 'moon'; known: stub, free"),
        (
            [*RUN, *["--ladder", "dear"] * 4],
            "a ladder has 4 models at the most, the run's own among them; --ladder names 4",
        ),
        ([*RUN, "--ladder", "dear", "--route", "text shorter 3"], "a route is COLUMN longer CHARACTERS"),
        ([*RUN, "--ladder", "dear", "--route", "txt is x"], "there is no column 'txt'; there are: id, text"),
        ([*RUN, "--ladder", "dear", "--route", "text matches ("], "the regular expression cannot be used"),
        ([*RUN, "--ladder", "dear", "--always-check", "mood"], "what is always checked is FIELD=VALUE"),
        ([*RUN, "--ladder", "dear", "--always-check", "mod=x"], "the contract has no field 'mod'; it has: mood"),
        ([*RUN, "--ladder", "dear", "--always-check", "mood=x"], 'mood never says that; it says: "good", "bad"'),
        ([*RUN, "--ladder", "dear", "--climb-below", "1.5"], "'--climb-below': 1.5 is not in the range 0<x<=1"),
        ([*RUN, "--climb-below", "0.9"], "--climb-below needs a dearer model to go to: name it with --ladder"),
        (
            [*RUN, "--budget", "1", "--ladder", "unpriced@free"],
            "rung unpriced@free: a budget needs a price, and that of unpriced at connection 'free' is unknown",
        ),
        (["eval", "task", "--budget", "1", "--ladder", "unpriced@free"], "leave the budget or the rung out"),
        (["replay", "1", "--budget", "1", "--ladder", "unpriced@free"], "leave the budget or the rung out"),
        (["replay", "1", "--budget", "1", "--connection", "free", "--model", "unpriced"], "a budget needs a price"),
        ([*RUN, "--model", ""], "--model is empty: name a model, or leave it out"),
        ([*RUN, "--ladder", "m"], "rung m: m stands on a lower rung already"),
        ([*RUN, "--no-ladder", "--ladder", "dear"], "--no-ladder and --ladder: say one of them"),
        (["replay", "1", "--ladder", "dear@moon"], "rung dear@moon: no connection is named 'moon'"),
        (["replay", "1", "--ladder", "dear", "--route", "txt is x"], "there is no column 'txt'"),
        (["run", "fine.csv", "--prompt", "task", "--limit", "0"], "--limit"),
        (["run", "prompts/task/schema.json", "--prompt", "task"], "schema.json"),
        (["run", "other.csv", "--prompt", "task"], "there is no column 'text'"),
        (["stats", "999"], "there is no run 999"),
        (["dead", "x"], "'RUN': 'x' is not a valid whole number."),
        (["run", "fine.csv", "--prompt", "task", "--strikes", "some"], "'some' is not a valid whole number."),
        (["run", "fine.csv", "--prompt", "task", "--budget", "much"], "'much' is not a valid number."),
        (["stats", "99999999999999999999999"], "is not in the range"),
        (["replay", "999"], "there is no run 999"),
        (["pause", "999"], "there is no run 999"),
        (["export", "999", "--format", "csv", "--out", "x.csv"], "there is no run 999"),
        (["export", "1", "--format", "xls", "--out", "x.xls"], "is not one of"),
        (["export", "1", "--format", "csv", "--out", "prompts"], "'prompts' is a directory"),
        (["export", "1", "--format", "csv", "--out", ""], "name a file that may be written"),
        (["export", "1", "--format", "csv", "--out", "-"], "not to standard output"),
        (["export", "1", "--format", "csv", "--out", "pipe"], "pipe is no file"),
        (["export", "1", "--format", "csv", "--out", "nowhere/x.csv"], "nowhere/x.csv cannot be written"),
        (["export", "1", "--format", "csv", "--out", "fine.csv/x.csv"], "fine.csv/x.csv cannot be written"),
        (["dead", "1", "--group", "none"], "no dead letter of group 'none'; its groups: 's1|"),
        (["replay", "1", "--group", "none"], "no open dead letter of group 'none'"),
        (["replay", "1", "--prompt", "nosuch"], "there is no prompt 'nosuch'"),
        (["replay", "1", "--limit", "0"], "--limit"),
        (["resume"], "name a run, or say --all"),
        (["resume", "1", "--all"], "and not both"),
        (["pause", "1"], "run 1 is finished: it cannot be paused"),
        (["resume", "1"], "nothing to go on with"),
        (["eval", "nosuch"], "there is no prompt 'nosuch'"),
        (["eval", "bare"], "bare/golden.csv: there is no such file; write it, or name another with --golden"),
        (["eval", "task", "--golden", "fine.csv"], "fine.csv:1: nothing is expected"),
        (["eval", "task", "--golden", "prompts"], "this is not a file"),
        (["eval", "task", "--min", "2"], "'--min': 2.0 is not in the range 0<=x<=1"),
        (["run", "fine.csv", "--prompt", "task", "--prompts", "nowhere"], "--prompts nowhere: there is no such folder"),
        (["stats", "1", "--home", "elsewhere"], "there is no home in"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_input_is_said_plainly_and_exits_with_2(
    shell: Shell, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong and what there is instead, on standard error, without a trace and without starting anything."""
    monkeypatch.chdir(shell.folder)
    monkeypatch.setenv("REDRIVE_HOME", "home")
    monkeypatch.setenv("REDRIVE_PROMPTS", "prompts")
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["redrive", *words, *more])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()

        assert left.value.code == 2 and said in err
        assert "Traceback" not in err and "valkey" not in err
        assert out == ""


def test_a_file_that_is_no_database_is_our_trouble_and_says_what_to_do(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the file's name and the way out."""
    (shell.folder / "odd").mkdir()
    (shell.folder / "odd/redrive.db").write_text("no database, but long enough to be looked at properly " * 20)
    monkeypatch.chdir(shell.folder)
    monkeypatch.setattr(sys, "argv", ["redrive", "stats", "1", "--home", "odd", "--json"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (1, "")
    assert "odd/redrive.db cannot be opened" in err and "move it away, or name another home" in err


def test_the_doctor_and_the_prompts_answer_in_json(shell: Shell) -> None:
    """One value each, also where a check has something to say."""
    checks = json.loads(shell("doctor", "--json").stdout)
    assert {"python", "redis", "home"} <= {check["name"] for check in checks}
    prompts = shell.value("prompts")
    assert [prompt["prompt"] for prompt in prompts] == ["bare", "task"]
    assert [prompt["error"] for prompt in prompts] == [None, None]

import csv
import json
import re
from pathlib import Path

import pytest

from jobs import golden, markers, prompts, templates
from jobs.contract import Contract

ROOT = Path(__file__).parents[2]
SAMPLES = {"support-triage": "support_messages.csv", "company-facts": "company_descriptions.csv"}
NAMES = pytest.mark.parametrize("name", SAMPLES)


def read(name: str) -> list[dict[str, str]]:
    with (ROOT / "data" / SAMPLES[name]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def load(name: str) -> prompts.PromptFolder:
    return prompts.load_folder(ROOT / "prompts" / name)


def test_every_shipped_prompt_can_be_read():
    """The prompts folder holds the samples and nothing broken."""
    found = prompts.list_folders(ROOT / "prompts")

    assert {listed.name: listed.error for listed in found}.items() >= dict.fromkeys(SAMPLES).items()
    assert [listed.error for listed in found if listed.error] == []


@NAMES
def test_a_sample_fits_its_table(name: str):
    """The prompt asks for no column that the table lacks, and every row of it can be rendered into one shared form."""
    rows = read(name)
    template = templates.parse(load(name).content.template)

    assert template.unknown(list(rows[0])) == []
    assert template.shares_rows
    assert {tuple(message.role for message in template.render(row)) for row in rows} == {
        ("system", *("user", "assistant") * 4, "user")
    }
    assert max(sum(len(m.content) for m in template.render(row)) for row in rows) < 4_000


@NAMES
def test_few_shot_answers_keep_the_contract(name: str):
    """An example that breaks the contract would teach the model to break it; keys stand in the contract's order."""
    content = load(name).content
    contract = Contract.from_schema(content.contract)
    answers = [turn.text for turn in prompts.turns(content.template) if turn.role == "assistant"]

    assert len(answers) == 4
    for answer in answers:
        value = json.loads(answer)
        assert contract.problems(value) == []
        assert list(value) == list(content.contract["properties"])


@NAMES
def test_golden_rows_are_reachable_and_varied(name: str):
    """The golden rows render, their expectations keep the contract, and each closed choice is expected at least once."""
    folder = load(name)
    assert folder.golden is not None
    rows = golden.load_golden(folder.golden, folder.content.contract)
    template = templates.parse(folder.content.template)

    assert 12 <= len(rows) <= 25
    assert all(template.render(row.cells) and row.expected for row in rows)
    for field, schema in folder.content.contract["properties"].items():
        seen = {row.expected[field] for row in rows if field in row.expected}
        if seen and "enum" in schema and field != "industry":
            assert seen == set(schema["enum"])


@NAMES
def test_golden_rows_are_not_few_shot_turns(name: str):
    """An evaluation on rows that the prompt already answers would flatter it."""
    folder = load(name)
    assert folder.golden is not None
    template = templates.parse(folder.content.template)
    shown = {turn.text for turn in prompts.turns(folder.content.template) if turn.role == "user"}

    for row in golden.load_golden(folder.golden, folder.content.contract):
        assert template.render(row.cells)[-1].content not in shown


@NAMES
def test_a_sample_is_written_as_the_engine_writes_it(name: str, tmp_path: Path):
    """A write-back of an unchanged sample changes no line but the layout of its contract."""
    folder = load(name)

    prompts.write_folder(tmp_path / name, folder.content, description=folder.description, defaults=folder.defaults)

    again = prompts.load_folder(tmp_path / name)
    assert prompts.content_hash(again.content) == prompts.content_hash(folder.content)
    written = (tmp_path / name / "prompt.md").read_text("utf-8")
    assert markers.split(written)[1:] == markers.split((folder.path / "prompt.md").read_text("utf-8"))[1:]


@NAMES
def test_tables_are_messy_as_real_ones_are(name: str):
    """The samples hold what breaks naive pipelines: each of these has cost somebody a run."""
    rows = read(name)
    cells = [cell for row in rows for cell in row.values()]
    text = "\n".join(cells)

    assert 40 <= len(rows) <= 200
    assert len({tuple(row.values()) for row in rows}) < len(rows), "an exact duplicate row"
    assert len({row["id"] for row in rows}) < len(rows), "ids that are not unique"
    assert any("\n" in cell for cell in cells), "a quoted line break"
    assert "" in cells and "NA" in cells, "empty and NA"
    assert re.search(r"[\U0001F300-\U0001FAFF]", text), "emoji"
    assert re.search(r"[\u3040-\u30ff]", text) and re.search(r"[\u0600-\u06ff]", text), "other scripts"
    assert re.search(r"</\w+>", text), "HTML"
    assert re.search(r"\b[A-Z]{4,} [A-Z]{2,} [A-Z]{4,}", text), "ALL CAPS"
    assert "\u201c" in text and "\u2013" in text or "\u00ab" in text, "typographic quotes"
    assert re.search(r"(?i)ignore (all previous|the text above)", text), "a prompt injection"
    assert any(cell != cell.rstrip() for cell in cells), "trailing spaces"
    assert max(map(len, cells)) > 1_500, "a very long cell"


def test_support_ids_have_leading_zeros():
    """Read as numbers, these ids would be others."""
    assert {row["id"][0] for row in read("support-triage")} == {"0"}

"""What several screens draw. Import it as ``from workbench import parts``; hostile text is safe in every argument.

    header(title, *, subtitle="", state=None)         the heading of a page, with a state's badge
    section(title, *, note="")                        a heading inside it
    badge(state, *, words=None)                       sign, word and colour of a state (``wording.STATES``)
    counts_bar(counts, *, label="")                   rows of a run, adding up
    figures([Figure(label=, value=, note=, tone=, help=)])   a strip of numbers
    facts({name: value})                              names and what they are
    panel(text, *, title="", hint="", tone="paused")  something to read; tone dead: wrong, paused: waits for you, running: news
    error(RedriveError | str, *, title="")            what could not be done
    empty(title, text)                                what an empty page is for; draw the next step below it

    filters.segments(name, options, *, default, words=str) · filters.select(...) · filters.text(name, *, placeholder)
                                                      ?name= of the URL; for names that links carry too
    rows, total = paged(key, fetch(offset, limit) -> (rows, total), *, size=50, noun="row")   the page number is ?key=
    rows, total = shown(key, fetch, *, size=50)       the same without drawing it
    opened, chosen = table([Column(key=, label=, kind=, help=)], [Row(id, {key: str | Cell})], *, key, opens=False,
                           choose=False, height=None, label="")   ids, never row numbers; ``opened`` once a click
    Cell(text, tip="", tone=None) · state_cell(state, *, words=None) · time_cell(moment, now) · text_cell(text, most=120)

    raw_and_problems(raw, problems, *, key, height=460)      the raw reply with each problem's place, beside the problems
    raw_text(raw, *, key, height=460)                 the same without problems
    excerpt(text, problems, *, head, tail)            what of a long reply is shown (pure)
    diff(pieces, *, same="No difference.")            of ``engine.prompts.diff``
    safe(text)                                        a hostile text as the content of HTML of one's own
    charts.stacked · charts.lines · charts.histogram · charts.across   Plotly figures of small values (import the module)
    chat(messages) · as_json(value) · plain(text)     texts as they are
    cells({column: text}, *, original=None)           a row's cells; edited ones beside what they were
    changes(name, before, after)                      a piece for ``diff`` of two texts
    pairs([Pair(...)])                                before and after, side by side

    watch(draw() -> str, *, standing, every)          look again while something is at work; another standing draws the page

    perform(action, work)                             take an action: its error is drawn, its token is spent after success
    confirm(action, work(key, reason) -> str, *, title, says, button, count=1, noun="row", reason="no", then=None)

    form: key = session.button("Pause", action=f"pause:{run}"); if key: parts.perform(f"pause:{run}", lambda: ...(key=key))

Screens hand over by URL (``session.link``, ``session.go``, ``session.param``):

    dataset  ?id=                                     one dataset
    prompt   ?name=&dataset=&row=&rows=3,7&run=&signature=   the editor; ``rows`` of ``dataset`` (or of ``run``) are tried,
                                                      ``run`` and ``signature`` come back to dead_letters with ``version``
    launch   ?prompt=NAME@3&dataset=                  a run to be launched
    run      ?id=        replay   ?id=                one run, one replay
    dead_letters ?signature=&run=&prompt=&version=NAME@3     ``version``: replay with this one
    letter   ?run=&row=&signature=                    one row of a run
"""

from workbench.parts import filters
from workbench.parts.acts import confirm, perform
from workbench.parts.counts import counts_bar, counts_html
from workbench.parts.look import safe
from workbench.parts.page import (
    Figure,
    answering,
    badge,
    badge_html,
    empty,
    error,
    facts,
    figures,
    header,
    panel,
    section,
)
from workbench.parts.raw import excerpt, raw_and_problems, raw_text
from workbench.parts.tables import (
    Cell,
    Column,
    Picked,
    Row,
    paged,
    shown,
    state_cell,
    table,
    text_cell,
    time_cell,
)
from workbench.parts.texts import Pair, as_json, cells, changes, chat, diff, pairs, plain, row_html
from workbench.parts.watch import watch

__all__ = [
    "Cell",
    "Column",
    "Figure",
    "Pair",
    "Picked",
    "Row",
    "answering",
    "as_json",
    "badge",
    "badge_html",
    "cells",
    "changes",
    "chat",
    "confirm",
    "counts_bar",
    "counts_html",
    "diff",
    "empty",
    "error",
    "excerpt",
    "facts",
    "figures",
    "filters",
    "header",
    "paged",
    "pairs",
    "panel",
    "perform",
    "plain",
    "raw_and_problems",
    "raw_text",
    "row_html",
    "safe",
    "section",
    "shown",
    "state_cell",
    "table",
    "text_cell",
    "time_cell",
    "watch",
]

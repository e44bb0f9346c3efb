"""A template's source, and the messages it makes of a row.

The source is cut into messages at its marker lines *before* Jinja sees it and each message is compiled by itself, so
that nothing in a cell can ever begin a message, close a block or be run: a cell is only ever a value. What a template
may do, and how much of it, is the business of ``sandbox``; every error names the line of the source and what to do.

White space inside a message is Jinja's own: a tag that stands alone on a line leaves a blank line, unless it is written
``{%- ... %}``.
"""

from __future__ import annotations

import difflib
import json
import re
import traceback
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, cast

import jinja2
from jinja2 import meta, nodes

from jobs import errors, sandbox
from jobs.markers import Role, Turn, split
from jobs.values import Message

#: names that a column cannot be reached by, except through ``row["..."]``
RESERVED = frozenset({"row", "range", "loop", "self"})
#: the longest source; longer ones are a table that was pasted into the wrong place
MAX_SOURCE = 400_000
#: names, values and operations of a source; compiling takes about 40 microseconds for each, and a lane waits for it
MAX_NODES = 5_000

_FILE = "<prompt>"
_SANDBOX = sandbox.Sandbox()
_NODES = (
    nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.With, nodes.Name, nodes.Const,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Call, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg,
    nodes.Pos, nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
    nodes.Pow,
)  # fmt: skip
_ADVICE = {
    nodes.Include: "write the text here instead of including it",
    nodes.Import: "write the text here instead of importing it",
    nodes.FromImport: "write the text here instead of importing it",
    nodes.Extends: "write the whole prompt in one template",
    nodes.Block: "write the text here, without a block",
    nodes.Macro: "write the text where it is needed",
    nodes.CallBlock: "write the text where it is needed",
    nodes.FilterBlock: "apply the filter to each value: {{ name | upper }}",
    nodes.AssignBlock: "set a value on one line: {% set name = ... %}",
    nodes.NSRef: "a value cannot be carried out of a loop",
}
_TROUBLE = (
    jinja2.TemplateError,
    sandbox.Exhausted,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
)


class Unknown(NamedTuple):
    """A name that a template uses and a table does not have."""

    name: str
    line: int
    #: what to write instead, or None
    suggestion: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A message of a template, ready to be rendered."""

    role: Role
    line: int
    #: the finished message, if no row can change it
    fixed: Message | None
    code: jinja2.Template | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class _Use:
    """What an expression says about the columns it needs; ``column`` None means any of them."""

    column: str | None
    line: int
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A source that can be rendered; frozen and safe to share between threads."""

    source: str
    parts: tuple[Part, ...]
    _uses: tuple[_Use, ...]
    _names: tuple[str, ...]

    @property
    def shares_rows(self) -> bool:
        """Whether only the last message depends on the row, and is the user's: it can take several rows a call."""
        *before, last = self.parts
        return last.role == "user" and all(part.fixed is not None for part in before)

    def columns(self, all_columns: Iterable[str]) -> tuple[str, ...]:
        """Those columns that can change the messages, in the given order; all, if ``row`` is used as a whole."""
        used = {use.column for use in self._uses}
        return tuple(column for column in all_columns if None in used or column in used)

    def unknown(self, columns: Collection[str]) -> list[Unknown]:
        """Names that the template needs and the columns lack, by line; those with a ``default`` are not needed."""
        first: dict[str, int] = {}
        for use in self._uses:
            if use.column is not None and use.column not in columns and not use.optional:
                first[use.column] = min(use.line, first.get(use.column, use.line))
        return sorted(
            (Unknown(name, line, suggest(name, columns)) for name, line in first.items()), key=lambda u: u.line
        )

    def render(
        self, cells: Mapping[str, str], *, max_chars: int = 200_000, seconds: float = 2.0
    ) -> tuple[Message, ...]:
        """The messages for one row.

        Raises:
            SlowPrompt: the messages need more than ``seconds``.
            PromptError: a column is missing, an expression fails, or the messages need more than ``max_chars``
                characters together, or memory; with the line of the source where there is one.
        """
        variables: dict[str, object] = {name: cells[name] for name in self._names if name in cells}
        variables["row"] = cells if isinstance(cells, dict) else dict(cells)
        token = sandbox.METER.set(meter := sandbox.Meter(max_chars, seconds))
        try:
            messages = []
            for part in self.parts:
                if part.code is None:
                    message = cast(Message, part.fixed)
                    meter.emit(message.content)
                else:
                    message = _rendered(part, part.code, variables, cells)
                messages.append(message)
        except sandbox.Exhausted as error:
            raise _kind(error)(str(error)) from error
        finally:
            sandbox.METER.reset(token)
        return tuple(messages)


def parse(source: str) -> Template:
    """The template of that source; the same object for the same source while it is in use.

    Raises:
        PromptError: with the line of the source.
    """
    return _parse(source)


@lru_cache(maxsize=128)
def _parse(source: str) -> Template:
    if len(source) > MAX_SOURCE:
        raise errors.PromptError(f"the template is longer than {MAX_SOURCE:,} characters; rows belong in a table")
    turns = split(source)
    if not turns:
        raise errors.PromptError(
            "the template is empty; write what the model is to do, and {{ column }} for each value"
        )
    parts: list[Part] = []
    uses: list[_Use] = []
    names: set[str] = set()
    left = MAX_NODES
    for place, turn in enumerate(turns):
        if not turn.text:
            raise errors.PromptError(
                f"this {turn.role} message is empty; write it or remove its marker", line=turn.line
            )
        following = turns[place + 1] if place + 1 < len(turns) else None
        tree = _tree(turn, following)
        left -= _check(tree, turn, left)
        found = tuple(_usage(tree, turn))
        parts.append(_part(tree, turn))
        uses += found
        names |= {use.column for use in found if use.column is not None and use.column.isidentifier()}
    return Template(source, tuple(parts), tuple(uses), tuple(sorted(names - RESERVED)))


def suggest(name: str, columns: Collection[str]) -> str | None:
    """What was probably meant by an unknown name, as it is to be written in a template."""
    plain = {_plain(column): column for column in columns}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)
    if not close:
        return None
    return _reach(plain[close[0]])


def placeholder(column: str) -> str:
    """What is written in a template to put a column's value in: ``{{ name }}``, or ``{{ row["Full name"] }}``."""
    return f"{{{{ {_reach(column)} }}}}"


@lru_cache(maxsize=4096)
def _reach(column: str) -> str:
    """The expression whose value is the column's cell."""
    return column if _is_name(column) else f"row[{json.dumps(column, ensure_ascii=False)}]"


def _is_name(column: str) -> bool:
    # Python takes names of one normal form for the same
    if not column.isidentifier() or column in RESERVED or unicodedata.normalize("NFKC", column) != column:
        return False
    try:
        found = _SANDBOX.parse(f"{{{{ {column} }}}}").find_all(nodes.Name)
    except jinja2.TemplateSyntaxError:
        return False
    return any(node.name == column for node in found)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _tree(turn: Turn, following: Turn | None) -> nodes.Template:
    try:
        return _SANDBOX.parse(turn.text)
    except jinja2.TemplateSyntaxError as error:
        line, reason = turn.line + error.lineno - 1, (error.message or "this is not Jinja").rstrip(".")
        if opened := _unclosed(turn.text):
            line, reason = turn.line + opened[1] - 1, f"{{% {opened[0]} %}} is not closed in its message"
            if following:
                reason += f", which ends before the marker on line {_marker_line(following)}"
            reason += f"; add {{% end{opened[0]} %}}, for a block may not span messages"
        elif "nknown tag 'end" in reason:
            reason += "; it closes no block of this message, and a block may not span messages"
        raise errors.PromptError(reason, line=line) from error
    except (RecursionError, ValueError) as error:
        raise errors.PromptError(f"this message is too deeply nested to be read ({error})", line=turn.line) from error


def _marker_line(turn: Turn) -> int:
    return turn.line - 1 if turn.text else turn.line


def _unclosed(text: str) -> tuple[str, int] | None:
    """The innermost block that is opened and not closed, and its line in the text."""
    opened: list[tuple[str, int]] = []
    tag = False
    try:
        for line, kind, value in _SANDBOX.lex(text):
            if kind == "block_begin":
                tag = True
            elif tag and kind == "name":
                tag = False
                if value in ("if", "for", "with"):
                    opened.append((value, line))
                elif value.startswith("end") and opened:
                    opened.pop()
    except jinja2.TemplateSyntaxError:
        return None
    return opened[-1] if opened else None


def _check(tree: nodes.Template, turn: Turn, most: int) -> int:
    """Raise PromptError at the first thing that a template may not do; else how many nodes it has."""

    def refuse(node: nodes.Node, reason: str) -> errors.PromptError:
        return errors.PromptError(reason, line=turn.line + (node.lineno or 1) - 1)

    count = 0
    for node in _walk(tree):
        count += 1
        if count > most:
            raise refuse(node, f"the prompt is more than {MAX_NODES:,} expressions long up to here; say it with fewer")
        if not isinstance(node, _NODES):
            advice = _ADVICE.get(type(node), "leave it out")
            raise refuse(node, f"{type(node).__name__.lower()} is not available in prompts; {advice}")
        if isinstance(node, nodes.Filter) and node.name not in sandbox.FILTERS:
            raise refuse(node, _not_there("filter", node.name, sandbox.FILTERS))
        if isinstance(node, nodes.Test) and node.name not in _SANDBOX.tests:
            raise refuse(node, _not_there("test", node.name, _SANDBOX.tests))
        if isinstance(node, nodes.For) and node.recursive:
            raise refuse(node, "a loop may not be recursive; write one loop inside the other")
        if isinstance(node, nodes.Name):
            if node.ctx != "load" and node.name in RESERVED:
                raise refuse(node, f"{node.name!r} has a meaning of its own; choose another name")
            if node.name == "self":
                raise refuse(node, "'self' is not available in prompts; a column of that name is row[\"self\"]")
    return count


def _not_there(what: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known))}"
    return f"there is no {what} {name!r}; {hint}"


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        yield child
        yield from _walk(child)


def _usage(tree: nodes.Template, turn: Turn) -> Iterator[_Use]:
    """Every use of a column: by its name, as ``row["..."]``, ``row.name``, ``row.get("...")``, or of all as ``row``."""
    free = meta.find_undeclared_variables(tree) - {"range"}
    if "loop" in free:
        raise errors.PromptError(
            'loop is there only inside a loop; a column of that name is row["loop"]', line=turn.line
        )
    seen: set[int] = set()
    for node in _walk(tree):
        line = turn.line + (node.lineno or 1) - 1
        if isinstance(node, (nodes.Filter, nodes.Test)) and node.name in ("default", "d", "defined", "undefined"):
            inner = node.node
            named = isinstance(inner, nodes.Name) and inner.name in free and inner.name != "row"
            column = inner.name if named and isinstance(inner, nodes.Name) else _row_column(inner)
            if column is not None:
                seen |= {id(inner), *map(id, _walk(inner))} if inner is not None else set()
                yield _Use(column, line, optional=True)
        if id(node) in seen:
            continue
        if isinstance(node, nodes.Call) and (column := _row_get(node)) is not None:
            seen |= {id(node.node), *map(id, _walk(node.node))}
            yield _Use(column, line, optional=True)
        elif (column := _row_column(node)) is not None:
            seen |= set(map(id, _walk(node)))
            yield _Use(column, line)
        elif isinstance(node, nodes.Name) and node.ctx == "load" and node.name in free:
            yield _Use(None if node.name == "row" else node.name, line)


def _is_row(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "row"


def _row_column(node: nodes.Node | None) -> str | None:
    if isinstance(node, nodes.Getitem) and _is_row(node.node) and isinstance(node.arg, nodes.Const):
        return node.arg.value if isinstance(node.arg.value, str) else None
    if isinstance(node, nodes.Getattr) and _is_row(node.node) and node.attr not in sandbox.ROW_METHODS:
        return node.attr
    return None


def _row_get(node: nodes.Call) -> str | None:
    called = node.node
    if isinstance(called, nodes.Getattr) and called.attr == "get" and _is_row(called.node) and node.args:
        name = node.args[0]
        return name.value if isinstance(name, nodes.Const) and isinstance(name.value, str) else None
    return None


def _part(tree: nodes.Template, turn: Turn) -> Part:
    if all(isinstance(node, (nodes.Output, nodes.TemplateData)) for node in _walk(tree)):
        text = "".join(node.data for node in tree.find_all(nodes.TemplateData))
        return Part(turn.role, turn.line, _message(turn.role, text, turn.line))
    try:
        code = _SANDBOX.compile(sandbox.metered(tree), filename=_FILE)
    except jinja2.TemplateSyntaxError as error:
        raise errors.PromptError(error.message or "this is not Jinja", line=turn.line + error.lineno - 1) from error
    except (SyntaxError, RecursionError, ValueError) as error:
        raise errors.PromptError(
            f"this message is too deeply nested; use fewer loops and brackets in each other ({error})", line=turn.line
        ) from error
    compiled = jinja2.Template.from_code(_SANDBOX, code, _SANDBOX.make_globals(None))
    return Part(turn.role, turn.line, None, compiled)


def _rendered(part: Part, code: jinja2.Template, variables: dict[str, object], cells: Mapping[str, str]) -> Message:
    meter, chunks = sandbox.METER.get(), []
    try:
        for chunk in code.generate(variables):
            meter.emit(chunk)
            chunks.append(chunk)
    except _TROUBLE as error:
        raise _explained(error, part, cells) from error
    return _message(part.role, "".join(chunks), part.line)


def _message(role: Role, text: str, line: int) -> Message:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise errors.PromptError(
            f"the {role} message holds half of a character (a lone surrogate), which no request can carry; "
            "mend the row's text",
            line=line,
        ) from error
    return Message(role=role, content=text)


def _explained(error: BaseException, part: Part, cells: Mapping[str, str]) -> errors.PromptError:
    """The error in words for the prompt's author, with the line where the template stood."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    line = part.line + lines[-1] - 1 if lines and lines[-1] else part.line
    reason = str(error) or "this ran out of memory or depth; build less"
    if isinstance(error, jinja2.UndefinedError) and (missing := re.fullmatch(r"'(\w+)' is undefined", reason)):
        hint = suggest(missing[1], cells.keys())
        reason = f"the row has no column {missing[1]!r}"
        reason += f"; did you mean {hint}?" if hint else f"; it has: {', '.join(cells) or 'none'}"
    elif isinstance(error, jinja2.UndefinedError) and (missing := re.search(r"has no attribute '(.+)'", reason, re.S)):
        hint = suggest(missing[1], cells.keys())
        reason = f"there is no {missing[1]!r} here; " + (f"did you mean {hint}?" if hint else "check its name")
    elif isinstance(error, jinja2.exceptions.SecurityError):
        reason = f"{reason.rstrip('.')} and not available in prompts; use a filter instead"
    return _kind(error)(reason, line=line)


def _kind(error: BaseException) -> type[errors.PromptError]:
    return errors.SlowPrompt if isinstance(error, sandbox.OutOfTime) else errors.PromptError

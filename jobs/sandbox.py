"""The Jinja2 that templates run in: it can read the row and write text, and its work is metered.

A template comes from a person or a folder that may be hostile, and one bad expression must not take a worker down.
Python cannot interrupt its own built-in operations, so a clock alone is not enough: every operation that can make
something big pays for the size of its result *before* making it, every step of a loop pays and looks at the clock, and
what cannot be metered (macros, includes, captured blocks, ``str.format``, ``%`` on text) does not exist here. The meter
of a rendering travels in a context variable, so this holds in any thread or task.
"""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Protocol, cast

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

#: characters (or their like) that one rendering may make, printed or not; about 80 MB at worst
MAX_WORK = 20_000_000
#: what an item of a list costs, in characters
ITEM = 16
#: the longest ``range``
MAX_RANGE = 10_000
#: the longest integer, in bits
MAX_BITS = 4_096

ROW_METHODS = frozenset({"get", "items", "keys", "values"})
_SPLITTERS = frozenset({"split", "rsplit", "splitlines"})
_TEXT_METHODS = _SPLITTERS | {
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
    "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rpartition", "rstrip", "startswith", "strip",
    "swapcase", "title", "upper",
}  # fmt: skip
_LOOP = frozenset({
    "index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "cycle", "changed",
})  # fmt: skip
_TESTS = (
    "defined", "undefined", "none", "string", "number", "boolean", "true", "false", "mapping", "sequence", "iterable",
    "in", "eq", "ne", "lt", "le", "gt", "ge", "even", "odd",
)  # fmt: skip


class Exhausted(Exception):
    """A rendering needs more than it may have."""


class OutOfTime(Exhausted):
    """A rendering needs more seconds than it may have."""


class Meter:
    """What one rendering may still do."""

    __slots__ = ("work", "chars", "deadline", "seconds", "max_chars")

    def __init__(self, max_chars: int, seconds: float) -> None:
        self.work = MAX_WORK
        self.chars = self.max_chars = max_chars
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds

    def spend(self, units: int) -> None:
        """Pay for a result of that size; raises Exhausted."""
        self.work -= units
        if self.work < 0:
            raise Exhausted("the template builds too much; loop over less, or cut long cells first: {{ name[:2000] }}")

    def tick(self) -> None:
        """Pay for one step of a loop and look at the clock; raises Exhausted."""
        self.spend(ITEM)
        if time.monotonic() > self.deadline:
            raise OutOfTime(f"rendering took longer than {self.seconds:g} s; loop over less")

    def emit(self, chunk: str) -> None:
        """Count a piece of the output; raises Exhausted."""
        self.chars -= len(chunk)
        if self.chars < 0:
            raise Exhausted(
                f"the prompt is longer than {self.max_chars:,} characters; cut long cells: {{{{ name[:2000] }}}}"
            )
        if time.monotonic() > self.deadline:
            raise OutOfTime(f"rendering took longer than {self.seconds:g} s; loop over less")


METER: ContextVar[Meter] = ContextVar("meter")


def scalar(value: object) -> str:
    """The text of a single value; a list or a missing value has none, and says so."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float, Undefined)):
        return str(value)
    if value is None:
        raise TypeError('there is nothing to print: the value is none; give a default: row.get("name", "")')
    raise TypeError(f"a {type(value).__name__} cannot be printed; print its parts, or use the filter join or tojson")


def _each(value: Iterable[Any]) -> Iterator[Any]:
    """What a loop goes over, paid step by step."""
    meter = METER.get()
    for item in value:
        meter.tick()
        yield item


def _held(value: object) -> Any:
    """A list, tuple or mapping written in the template, paid by its full depth: doubling one again and again ends."""
    meter, todo = METER.get(), [value]
    while todo:
        item = todo.pop()
        meter.spend(ITEM)
        if isinstance(item, Mapping):
            todo += item.values()
            todo += item.keys()
        elif isinstance(item, (list, tuple)):
            todo += item
    return value


def _slice(value: Any, start: object, stop: object, step: object) -> Any:
    found = value[slice(start, stop, step)]
    METER.get().spend(len(found) if isinstance(found, str) else ITEM * len(found))
    return found


def _join(value: Iterable[Any], separator: str = "") -> str:
    """The items' texts with the separator between them."""
    meter = METER.get()
    parts = [scalar(item) for item in _each(value)]
    separator = scalar(separator)
    meter.spend(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _replace(value: object, old: str, new: str, count: int = -1) -> str:
    text, old, new = scalar(value), scalar(old), scalar(new)
    found = text.count(old) if count < 0 else min(count, text.count(old))
    METER.get().spend(len(text) + max(0, found * (len(new) - len(old))))
    return text.replace(old, new, count)


def _truncate(value: object, length: int = 255, end: str = "...") -> str:
    """The text cut to at most ``length`` characters, ``end`` included."""
    text, end = scalar(value), scalar(end)
    return text if len(text) <= length else text[: max(0, length - len(end))] + end


def _indent(value: object, width: int = 4, first: bool = False) -> str:
    """The text with every line but the first (unless asked) moved right by ``width`` spaces."""
    text = scalar(value)
    METER.get().spend(len(text) + width * (text.count("\n") + 1))
    pad = " " * width
    return (pad if first else "") + text.replace("\n", "\n" + pad)


def _tojson(value: object, indent: int | None = None) -> str:
    """The value as JSON."""
    meter, todo, depth = METER.get(), [value], min(max(indent or 0, 0), 16)
    while todo:
        item = todo.pop()
        meter.spend(ITEM + depth * ITEM + (6 * len(item) if isinstance(item, str) else 0))
        if isinstance(item, Mapping):
            todo += item.values()
            todo += item.keys()
        elif isinstance(item, (list, tuple)):
            todo += item
    return json.dumps(value, ensure_ascii=False, indent=depth or None, allow_nan=False)


def _int(value: Any, default: int = 0) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return default


def _float(value: Any, default: float = 0.0) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _round(value: Any, precision: int = 0) -> float:
    return round(float(value), min(max(precision, -15), 15))


def _default(value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    return fallback if isinstance(value, Undefined) or (boolean and not value) else value


def _unique(value: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(_each(value)))


def _first(value: Iterable[Any]) -> Any:
    for item in value:
        return item
    raise IndexError("there is no first item, since there is none; ask {% if %} before")


def _text(change: Callable[..., str]) -> Callable[..., str]:
    """A filter that makes a text about as long as the one it is given."""

    def run(value: object, *args: Any) -> str:
        text = scalar(value)
        METER.get().spend(len(text))
        return change(text, *args)

    return run


#: what a template may write after ``|``
FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "upper": _text(str.upper),
    "lower": _text(str.lower),
    "capitalize": _text(str.capitalize),
    "title": _text(str.title),
    "trim": _text(str.strip),
    "string": _text(str),
    "replace": _replace,
    "truncate": _truncate,
    "indent": _indent,
    "join": _join,
    "length": len,
    "count": len,
    "first": _first,
    "last": lambda value: value[-1],
    "list": lambda value: list(_each(value)),
    "sort": lambda value, reverse=False: sorted(_each(value), reverse=bool(reverse)),
    "unique": _unique,
    "int": _int,
    "float": _float,
    "round": _round,
    "abs": abs,
    "tojson": _tojson,
}
#: what Jinja hands along with a call inside a loop or a block, for functions that ask for its context; none here does
_JINJAS_OWN = ("_loop_vars", "_block_vars")
#: names that no template can write, so only ``metered`` puts them into one
_EACH, _HELD, _SLICE, _CONCAT = "for ...", "[...]", "[:]", "~"


def _range(*bounds: int) -> range:
    """Whole numbers, at most MAX_RANGE of them."""
    numbers = range(*bounds)
    if numbers[MAX_RANGE:]:
        raise Exhausted(f"range() is longer than {MAX_RANGE:,}; loop over less")
    return numbers


@pass_context
def _print(context: Context, value: object) -> str:
    """What an expression prints; taking the context keeps Jinja from working constants out while it compiles."""
    text = scalar(value)
    METER.get().spend(len(text))
    return text


class _Operation(Protocol):
    def __call__(self, left: Any, right: Any, /) -> Any: ...


_BINARY: dict[str, _Operation] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


def _price(sign: str, left: Any, right: Any) -> int:
    """What the result of a binary operation costs, known before it is made; raises Exhausted, TypeError."""
    if isinstance(left, int) and isinstance(right, int):
        bits = max(left.bit_length(), right.bit_length())
        if sign == "**":
            bits = left.bit_length() * max(right, 1)
        elif sign == "*":
            bits = left.bit_length() + right.bit_length()
        if bits > MAX_BITS:
            raise Exhausted("a number grows too big; use smaller ones")
        return 1
    if sign == "%" and isinstance(left, str):
        raise TypeError("% does not fill in text here; put values together with ~")
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return len(left) + len(right)
    if sign == "+" and isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return ITEM * (len(left) + len(right))
    if sign == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(many, (str, list, tuple)) and isinstance(times, int):
                return max(0, times) * len(many) * (1 if isinstance(many, str) else ITEM)
    return 1


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of every template: no loader, no globals but ``range``, a short list of filters and methods."""

    intercepted_binops = frozenset(_BINARY)

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            optimized=False,
            keep_trailing_newline=True,
            finalize=_print,
            cache_size=0,
        )
        self.globals.clear()
        self.globals["range"] = _range
        self.filters = {**FILTERS, _EACH: _each, _HELD: _held, _SLICE: _slice, _CONCAT: _join}
        self.tests = {name: TESTS[name] for name in _TESTS}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only what is known to be cheap and harmless."""
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, LoopContext):
            return attr in _LOOP
        return isinstance(obj, dict) and attr in ROW_METHODS

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operation, paid first."""
        METER.get().spend(_price(operator, left, right))
        return _BINARY[operator](left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """The call of a method that ``is_safe_attribute`` let through, or of ``range``, paid first."""
        for name in _JINJAS_OWN:
            kwargs.pop(name, None)
        receiver, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(receiver, str):
            if name == "join":
                return _join(args[0], receiver)
            if name == "replace":
                return _replace(receiver, *args)
            METER.get().spend(len(receiver) * (4 if name in _SPLITTERS else 1))
        elif not isinstance(receiver, (dict, LoopContext)) and __obj is not _range and not isinstance(__obj, Undefined):
            raise TypeError("only range() and the methods of text and of row can be called")
        return __obj(*args, **kwargs)


def metered(tree: nodes.Template) -> nodes.Template:
    """The same template with loops, slices, ``~`` and written lists made to pay; ``row.name`` made ``row["name"]``."""
    for field, value in tree.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(tree, field, _metered(value))
        elif isinstance(value, list):
            setattr(tree, field, [_metered(item) if isinstance(item, nodes.Node) else item for item in value])
    return tree


def _metered(node: nodes.Node) -> nodes.Node:
    metered(node)  # type: ignore[arg-type]
    if isinstance(node, nodes.For):
        node.iter = _filtered(node.iter, _EACH)
    elif isinstance(node, nodes.Concat):
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _CONCAT)
    elif isinstance(node, (nodes.List, nodes.Dict)) or (isinstance(node, nodes.Tuple) and node.ctx == "load"):
        return _filtered(node, _HELD)
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        bounds = [bound or nodes.Const(None) for bound in (node.arg.start, node.arg.stop, node.arg.step)]
        return _filtered(node.node, _SLICE, *bounds)
    elif (
        isinstance(node, nodes.Getattr)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "row"
        and node.attr not in ROW_METHODS
    ):
        return nodes.Getitem(node.node, nodes.Const(node.attr), "load", lineno=node.lineno)
    return node


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, list(args), [], None, None, lineno=node.lineno)

"""The head of a prompt file: YAML between two lines ``---``, read so that every error has its line.

Plain YAML keeps the last of two equal keys, follows aliases and forgets where a key stood. A prompt that is reviewed as
text cannot afford that: what the reviewer reads must be what is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NoReturn

import yaml

from jobs import errors, faults


class Front(dict[str, Any]):
    """The front matter, and the line where each key stands."""

    def __init__(self, values: Mapping[str, Any], lines: Mapping[str, int]) -> None:
        super().__init__(values)
        self._lines = dict(lines)

    def line(self, *keys: str) -> int:
        """The line of the first of these keys (``settings.stop`` for one inside) that is there."""
        return next((self._lines[key] for key in keys if key in self._lines), 1)


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="aliases are not taken; write the value out", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


def parted(text: str, file: str) -> tuple[str, str, int]:
    """Front matter, template, and how many lines of the file stand before the template's first one."""
    lines = text.split("\n")
    if lines[0] != "---":
        start, head = 0, ""
    else:
        end = next((number for number, line in enumerate(lines[1:], 1) if line == "---"), None)
        if end is None:
            raise errors.PromptError("the front matter has no end; close it with a line ---", file=file, line=1)
        start, head = end + 1, "\n".join(lines[1:end])
    while start < len(lines) - 1 and not lines[start]:
        start += 1
    return head, "\n".join(lines[start:]), start


def read(head: str, file: str, *, known: Collection[str]) -> Front:
    """The values of the front matter that began on the file's first line.

    Raises:
        PromptError: it is no mapping, a key is unknown or comes twice, or YAML cannot read it; with file and line.
    """

    def refuse(reason: str, node: yaml.Node) -> NoReturn:
        raise errors.PromptError(reason, file=file, line=node.start_mark.line + 2)

    loader = _Loader(head)
    try:
        root = loader.get_single_node()
        if root is None:
            return Front({}, {})
        if not isinstance(root, yaml.MappingNode):
            refuse("the front matter must be lines of key: value", root)
        values = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise errors.PromptError(f"this is not YAML: {error.problem}", file=file, line=line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise errors.PromptError(f"the front matter is not YAML: {error}", file=file, line=1) from error
    finally:
        loader.dispose()
    lines = {}
    for path, node in _keys(root, ""):
        if path in lines:
            refuse(f"{path!r} is written twice; keep one", node)
        lines[path] = node.start_mark.line + 2
    for key, node in ((str(key.value), key) for key, _ in root.value):
        if key not in known:
            refuse(faults.unknown(key, known), node)
    return Front(values, lines)


def _keys(node: yaml.Node, above: str) -> Iterator[tuple[str, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{above}.{key.value}" if above else str(key.value)
            yield path, key
            yield from _keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _keys(value, f"{above}[{place}]")

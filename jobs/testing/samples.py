"""A JSON Schema -> one value that satisfies it, always the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: a schema that refers to itself ends here
_DEEPEST = 12
_FORMATS = {
    "date": "2024-01-31",
    "date-time": "2024-01-31T12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
}


def sample_of(schema: Mapping[str, Any]) -> Any:
    """The plainest value that satisfies the schema; keywords such as ``pattern`` are not understood."""
    return _sample(schema, schema, 0)


def _sample(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if "$ref" in schema:
        return _sample(_resolve(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return _sample(schema[word][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: _sample(field, root, depth + 1) for name, field in fields.items()}
    if kind == "array":
        return [_sample(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 1))]
    return _scalar(kind, schema)


def _scalar(kind: str, schema: Mapping[str, Any]) -> Any:
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    if kind in ("integer", "number"):
        step = 1 if kind == "integer" else 0.5
        least, most = schema.get("minimum"), schema.get("maximum")
        if "exclusiveMinimum" in schema:
            least = schema["exclusiveMinimum"] + step
        if "exclusiveMaximum" in schema:
            most = schema["exclusiveMaximum"] - step
        value = least if least is not None else 1
        return value if most is None else min(value, most)
    text = _FORMATS.get(schema.get("format", ""), "a sample text")
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength", len(text))]


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found

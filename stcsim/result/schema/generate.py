"""``python -m stcsim.result.schema.generate``: writes the JSON schema of a run from the classes of a result and their docstrings.

The file is kept, and a test holds it against the classes: whoever changes a result sees that its schema needs another number.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from stcsim.files import write_whole
from stcsim.result.document import json_text
from stcsim.result.kernel import KernelResult
from stcsim.result.run import SCHEMA, RunResult

_FIELD = re.compile(r"(\w+): (.*)")
_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean"}
_SHARES = {"type": ["object", "null"], "additionalProperties": {"type": "number"}}
_HELPS = {
    "gains": {**_SHARES, "description": "share of the time that 10 % more of each resource saves; null where not looked at"},
    "gains_half_more": {**_SHARES, "description": "share of the time that half as much again of each resource saves"},
    "bound": {"type": ["string", "null"], "description": "the resource of which half as much again would save most"},
}
_ARGUMENTS = ("arch", "dtype", "sparsity", "engine", "kernel", "launch", "version")


def run_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of what ``RunResult.to_dict`` gives."""
    definitions: dict[str, Any] = {}
    root = _object(RunResult, definitions)
    head = {
        "schema": {"const": f"stcsim/{SCHEMA}", "description": "what this document is"},
        "stcsim": {"type": "string", "description": "the version that wrote it"},
    }
    root["properties"] = head | root["properties"]
    root["properties"]["inputs"] |= {"required": list(_ARGUMENTS), "anyOf": [{"required": ["trace"]}, {"required": ["gemm"]}]}
    root["required"] = [*head, *root["required"]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:stcsim:{SCHEMA}",
        "title": "A run of stcsim",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a dataclass, every field required, none beside them."""
    hints, said = get_type_hints(kind), described(kind)
    properties: dict[str, Any] = {}
    for field in fields(kind):
        if kind is KernelResult and field.name == "gains":
            properties |= _HELPS
            continue
        properties[field.name] = {**_type(hints[field.name], definitions), "description": said[field.name]}
    summary = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split()).replace("``", "")
    shape = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"description": summary, **shape}


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field's annotation."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        (inner,) = (each for each in arguments if each is not type(None))
        return {"anyOf": [_type(inner, definitions), {"type": "null"}]}
    if is_dataclass(hint) and isinstance(hint, type):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}  # its place, should it hold itself
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object"} | ({} if arguments[1] is Any else {"additionalProperties": _type(arguments[1], definitions)})
    return {"type": _PLAIN[hint]}


def described(kind: type) -> Mapping[str, str]:
    """Return what the docstring of a class says of each of its attributes, in one line."""
    _, _, listed = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    said: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(listed).splitlines():
        if found := _FIELD.fullmatch(line):
            name = found[1]
        said[name] = f"{said.get(name, '')} {found[2] if found else line.strip()}".strip().replace("``", "")
    return said


if __name__ == "__main__":
    write_whole(Path(__file__).with_name(f"{SCHEMA}.json"), json_text(run_schema()))

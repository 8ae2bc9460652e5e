"""The arguments and options of a command as a table, read from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args, get_type_hints

import typer

from stcsim.cli.entry import app
from tests.docs.markdown import table

Shown = Any
"""A command or a parameter as typer hands it out; its classes differ from version to version."""


def commands() -> dict[str, Shown]:
    """Return every command by its name, those of a group with the group's name before theirs."""
    return dict(_commands(typer.main.get_command(app), ""))


def _commands(command: Shown, name: str) -> Iterator[tuple[str, Shown]]:
    if hasattr(command, "commands"):
        for word, each in command.commands.items():
            yield from _commands(each, f"{name} {word}".strip())
    else:
        yield name, command


def options_table(name: str) -> str:
    """Return what a command takes, in the order of its help."""
    known = commands()
    assert name in known, f"expected one of {', '.join(known)}, found '{name}'"
    command = known[name]
    types = get_type_hints(command.callback)
    rows = [_row(param, types.get(param.name)) for param in command.params]
    return table(("what", "meaning", "if left out"), rows)


def _row(param: Shown, kind: object) -> tuple[str, str, str]:
    return f"`{_spelled(param, kind)}`", _escaped(param.help or ""), _escaped(_default(param))


def _spelled(param: Shown, kind: object) -> str:
    value = (param.metavar or "/".join(_choices(kind)) or ("" if getattr(param, "is_flag", False) else "VALUE")).replace("|", "/")
    if param.param_type_name == "argument":
        return value
    return f"{', '.join(param.opts)} {value}".strip()


def _choices(kind: object) -> list[str]:
    """Return the words of an enumeration, which may be optional."""
    kinds = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, Enum)]
    return [str(member.value) for each in kinds for member in each]


def _default(param: Shown) -> str:
    if param.required:
        return "(needed)"
    if isinstance(param.show_default, str):
        return param.show_default
    default = getattr(param.default, "value", param.default)
    return "" if default in (None, False, (), []) else str(default)


def _escaped(text: str) -> str:
    """Return a help text with what Markdown would read as its own put in code."""
    text = re.sub(r"'([^']*[*][^']*)'", r"`\1`", text)
    return text.replace("|", "\\|").replace("<", "&lt;")

"""One command of the command line: it takes sizes in either form, old spellings of options, and names options in errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import typer
from typer.core import TyperCommand

from stcsim.errors import StcsimError

_SIZES = ("m", "n", "k")
_JOINED = re.compile(r"\d+(?:[x×]\d+){2}", re.IGNORECASE)
_SIZE = re.compile(r"\d+|[mnk]", re.IGNORECASE)
_GEMM = "--gemm"

#: Options under their former names, which are understood where a command has the new one and not the old.
_FORMER = {"--timing": "--launch", "--rows": "--csv", "--report": "--figure"}


class Command(TyperCommand):
    """A command whose errors call arguments what the user called them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command."""
        with self._naming_options(ctx):
            return super().parse_args(ctx, self._understood(args))

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        with self._naming_options(ctx):
            return super().invoke(ctx)

    @contextmanager
    def _naming_options(self, ctx: typer.Context) -> Iterator[None]:
        """Let an error about an argument of a function speak of the option that it came from: ``kernel`` is ``--kernel``."""
        try:
            yield
        except StcsimError as error:
            where = self._option(error.where, ctx.params.values())
            raise type(error)(where, error.expected, error.found) from error

    def _option(self, where: str, given: Any) -> str:
        """Return ``where`` with the argument that it begins with written as its option, unless a user typed just that word."""
        argument, *_ = where.split(" ", 1)
        options: dict[str, str] = {}
        for param in self.params:
            if param.param_type_name == "option":
                option = max(param.opts, key=len)
                options |= dict.fromkeys((str(param.name), option.lstrip("-").replace("-", "_")), option)
        if argument not in options or where in map(str, given):
            return where
        return options[argument] + where[len(argument) :]

    def _understood(self, args: Sequence[str]) -> list[str]:
        """Return the words with former names of options replaced, and sizes of a GEMM in the form that the command has."""
        words = list(takewhile(lambda word: word != "--", args))
        rest = list(args[len(words) :])
        known = {option for param in self.params for option in param.opts}
        words = [_renamed(word, known) for word in words]
        if _GEMM in known:
            words = _joined(words)
        if set(_SIZES) <= {param.name for param in self.params}:
            words = [part for at, word in enumerate(words) for part in _apart(word, words[at - 1] if at else "")]
        return words + rest


def _renamed(word: str, known: set[str]) -> str:
    option, equals, value = word.partition("=")
    new = _FORMER.get(option)
    return word if new is None or option in known or new not in known else new + equals + value


def _joined(words: Sequence[str]) -> list[str]:
    """Return ``--gemm M N K`` as ``--gemm MxNxK``."""
    for at, word in enumerate(words):
        sizes = words[at + 1 : at + 4]
        if word == _GEMM and len(sizes) == len(_SIZES) and all(_SIZE.fullmatch(size) for size in sizes):
            return [*words[: at + 1], "x".join(sizes), *words[at + 4 :]]
    return list(words)


def _apart(word: str, before: str) -> list[str]:
    """Return ``4096x4096x4096`` as three sizes, unless it is the value of an option."""
    return re.split("[x×]", word.lower()) if _JOINED.fullmatch(word) and not before.startswith("-") else [word]

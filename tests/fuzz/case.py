"""One input of the suite, and what came of it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from unicodedata import category

from stcsim.errors import LONGEST as LONGEST_SENTENCE
from stcsim.errors import StcsimError

LIMIT_S = 20
"""Seconds of CPU that no input may take."""
_ANY_NUMBER = re.compile(r"[0-9]+")
_OWN_FOLDER = "stcsim"


class Outcome(StrEnum):
    """What an input may end in: the first two are right, all others are faults."""

    OK = "ok"
    CLEAN = "clean"
    FAULT = "fault"
    WRONG = "wrong"
    HANG = "hang"
    DIED = "died"


GOOD = (Outcome.OK, Outcome.CLEAN)


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        part: which part of its kind it is, for the table.
        repro: what a person needs to repeat it, on one line.
        call: does it; it runs in a folder of its own, in which ``files`` lie.
        check: says what is wrong with what ``call`` returned; of each sentence what stands before " | " names the fault.
        files: contents by name.
        spotless: whether an error must leave nothing in the folder but ``files``.
    """

    part: str
    repro: str
    call: Callable[[], Any]
    check: Callable[[Any], list[str]] = field(default=lambda result: [])
    files: Mapping[str, bytes] = field(default_factory=dict)
    spotless: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of a case: its outcome, the fault's name (empty for none), and what explains it."""

    outcome: Outcome
    fault: str = ""
    detail: str = ""


def tried(case: Case, folder: Path) -> Verdict:
    """Run a case in ``folder``, which is the working directory and holds its files."""
    try:
        wrong = case.check(case.call())
    except StcsimError as error:
        return _clean(error, case, folder)
    except Exception as error:
        words = str(error).strip().splitlines()
        name = f"{type(error).__name__} in {_place(error)}: {_ANY_NUMBER.sub('N', words[0])[:90] if words else ''}"
        return Verdict(Outcome.FAULT, name, traceback.format_exc()[-3000:])
    if wrong:
        return Verdict(Outcome.WRONG, _ANY_NUMBER.sub("N", wrong[0].partition(" | ")[0]), "\n".join(wrong)[:3000])
    return Verdict(Outcome.OK)


def _clean(error: StcsimError, case: Case, folder: Path) -> Verdict:
    """Look at the sentence of an error, and at what it left."""
    sentence = str(error)
    place = f"{type(error).__name__} in {_place(error)}"
    if len(sentence) > LONGEST_SENTENCE:
        return Verdict(
            Outcome.FAULT, f"a sentence of over {LONGEST_SENTENCE} characters: {place}", f"{len(sentence)}: {sentence[:900]}"
        )
    if any(map(_steers, sentence)):
        return Verdict(Outcome.FAULT, f"a sentence that is not one line, or moves a cursor: {place}", repr(sentence))
    left = {each.name for each in folder.iterdir()} - {Path(name).parts[0] for name in case.files}
    if case.spotless and left:
        return Verdict(Outcome.WRONG, f"something is left behind by an error: {place}", f"{sorted(left)}: {sentence}")
    return Verdict(Outcome.CLEAN, detail=sentence)


def _steers(character: str) -> bool:
    """Say whether a character ends a line, moves a cursor, turns the direction of writing, or is half of one."""
    return (
        category(character) in ("Cc", "Cs", "Zl", "Zp") or "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    )


def _place(error: BaseException) -> str:
    """Return the innermost function of stcsim that an error passed, and its file."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _OWN_FOLDER in Path(frame.filename).parts and "site-packages" not in frame.filename]
    frame = (own or list(frames))[-1]
    return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.name}"

"""The outer net of the command line: what ends a command is one sentence on stderr and an exit code, never a traceback.

Exit codes: 2 where something cannot be used or written, 130 after Ctrl-C, 143 after SIGTERM (128 and the number of the signal, as
shells count). ``STCSIM_DEBUG=1`` shows the traceback of everything that is not a user's error.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from stcsim.errors import StcsimError
from stcsim.printable import escaped, shortened

DEBUG = "STCSIM_DEBUG"
_MOST_WORDS, _MOST_MESSAGE = 120, 300
_MEMORY = "memory for it (a smaller batch, network or table, or another machine)"


@contextmanager
def one_sentence(words: Sequence[str]) -> Iterator[None]:
    """Let the command that ``words`` name end in order, whatever happens in the block."""
    _open_streams()
    try:
        with _ended_in_order():
            yield
    except StcsimError as error:
        _end(str(error))
    except BrokenPipeError:  # `stcsim … | head` has seen enough
        _leave_stdout()
    except OSError as error:
        _debug()
        _leave_stdout()
        _end(str(_of_system(error, words)))
    except MemoryError:
        _debug()
        _end(str(StcsimError(_command(words), _MEMORY, "not enough")))
    except Exception as error:
        _debug()
        _end(str(_of_own(error, words)))


def _of_system(error: OSError, words: Sequence[str]) -> StcsimError:
    """Return what the system refused, as a sentence."""
    where = _command(words) if error.filename is None else f"{_command(words)}: {_text(error.filename)}"
    return StcsimError(where, "files and devices that can be read and written", (error.strerror or str(error)).lower())


def _of_own(error: Exception, words: Sequence[str]) -> StcsimError:
    """Return what nobody foresaw, as a sentence: a fault of stcsim, or of a package that it calls."""
    first = (str(error).strip() or "no message").splitlines()[0]
    found = f"{type(error).__name__} ({shortened(first, _MOST_MESSAGE // 2)})"
    again = f"{DEBUG}=1 shows where" if not os.environ.get(DEBUG) else "the traceback is above"
    return StcsimError(_command(words), f"no fault of stcsim, which this is ({again}; please report it)", found)


def _command(words: Sequence[str]) -> str:
    return shortened(" ".join(map(_text, words)), _MOST_WORDS) or "stcsim"


def _text(value: object) -> str:
    return escaped(os.fsdecode(value) if isinstance(value, bytes) else str(value))


def _end(message: str) -> None:
    print(f"stcsim: {message}", file=sys.stderr)
    raise SystemExit(2) from None


def _debug() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()


def _open_streams() -> None:
    """Give every stream that is closed (``>&-``) a place, and let what a terminal cannot show (µ, say) be shown as ``?``."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:  # else the next file that is opened is taken for the stream
        pass
    os.close(opened)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _leave_stdout() -> None:
    """Let nothing more be written to standard output, which cannot take it."""
    with suppress(OSError, ValueError):  # there may be no such file below it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end the block as an error does, and write out what was printed while a full disk can still be told."""
    before = None
    with suppress(ValueError):  # signals belong to the main thread
        before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        sys.stdout.flush()


def _terminate(number: int, frame: FrameType | None) -> None:
    """End as after an error, so that drafts are removed and other processes stopped."""
    raise SystemExit(128 + number)

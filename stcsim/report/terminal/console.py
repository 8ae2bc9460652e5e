"""The terminal: results on stdout, everything else on stderr, progress only where a person is watching."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from stcsim.printable import harmless

_FILE_COLUMNS = 160

Advance = Callable[[int, int], None]
"""Called with what is done and how much there is."""


def show(content: RenderableType) -> None:
    """Print ``content`` on stdout, as wide as the terminal, and wide in a file or pipe."""
    to_file = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    Console(width=_FILE_COLUMNS if to_file else None, highlight=False, emoji=False).print(_Harmless(content))


class _Harmless:
    """Content of which no character steers the terminal: names in a file may be anybody's."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what the content yields."""
        for segment in console.render(self._content, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def say(message: str) -> None:
    """Print one line on stderr."""
    print(f"stcsim: {harmless(message)}", file=sys.stderr, flush=True)


class _Rate(ProgressColumn):
    """How many of something are done in a second."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def render(self, task: Task) -> Text:
        """Return it, and nothing before anything is done."""
        return Text(f"{task.speed:,.3g} {self._what}/s" if task.speed else "")


@contextmanager
def progress(label: str, rate: str = "") -> Iterator[Advance]:
    """Show a bar on stderr while the block runs, with time left; nothing where stderr is no terminal.

    Args:
        label: what is done.
        rate: of what the bar says how many are done in a second, e.g. ``"cells"``.
    """
    console = Console(stderr=True)
    speed = (_Rate(rate),) if rate else ()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *speed, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

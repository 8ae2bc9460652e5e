"""Progress: a bar with the rate where a person is watching, and not a character where nobody is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stcsim.report.terminal import console


def shown(monkeypatch: pytest.MonkeyPatch, terminal: bool, rate: str) -> str:
    """Return what goes to stderr while 30 of 60 are done."""
    written = io.StringIO()
    watched = Console(file=written, force_terminal=terminal, width=100)
    monkeypatch.setattr(console, "Console", lambda **_: watched)
    with console.progress("a study", rate) as advance:
        for done in (10, 20, 30):
            advance(done, 60)
    return written.getvalue()


def test_a_person_sees_how_far_it_is_and_how_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    with_rate = shown(monkeypatch, True, "cells")
    assert "a study" in with_rate and "30/60" in with_rate and "cells/s" in with_rate
    assert "/s" not in shown(monkeypatch, True, "")


def test_a_file_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, False, "cells").strip() == ""

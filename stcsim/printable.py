"""Text from a file as a person may see it: one line, no character that steers a terminal, no more than is of use."""

from __future__ import annotations

import re

UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Control characters (C0, DEL and C1), separators of lines, and what turns the direction of writing, as a class of a pattern."""
_STEERING = re.compile(f"[{UNPRINTABLE}\ud800-\udfff]")
_STEERING_BUT_LINES = re.compile(f"(?!\n)[{UNPRINTABLE}\ud800-\udfff]")


def escaped(text: str) -> str:
    """Return ``text`` on one line: line ends, control characters and lone surrogates as Python escapes them."""
    return text if text.isprintable() else _STEERING.sub(_escape, text)


def harmless(text: str) -> str:
    """Return ``text`` with its line ends, and a replacement character for all else that ``escaped`` escapes."""
    return text if text.isprintable() else _STEERING_BUT_LINES.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(text: str, most: int) -> str:
    """Return ``text`` without its middle where it has more than ``most`` characters."""
    kept = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - kept]}…{text[-kept:]}"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")

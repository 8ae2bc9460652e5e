"""Damage to trees (JSON, YAML), texts and bytes; a damaged tree may hold anything that ``json.dumps`` can write."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

NUMBERS = (
    0, -1, 1, 2, 3, 7, 16, 31, 32, 1000, 65535, 65537, 2**20, 10**6, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    10**30, -(2**63), -0.0, 0.5, 0.001, 1e-9, 5e-324, 1e5, 1e6, 1e18, 1e308, -1e308, float("nan"), float("inf"),
    float("-inf"), 10**400,
)  # fmt: skip
TEXTS = (
    "", " ", "a", "0", "1", "-1", "1e3", "NaN", "null", "true", "fp16", "int8", "fp8", "tf32", "first", "last", "gemm", "memory",
    "a" * 5000, "é", "日本語", "\u202eabc", "\ud800", "\x00", "a\nb", "\t", "\x1b[31m", "[bold]", "[/bold]", "[/]",
    "[red]x", ":smile:", "%s", "{}", "{0.__class__}", "../../etc/passwd",
    "/dev/null", "a:b", "#1", "*", "**", "?[", "x" * 300, "🦎" * 40, "'", '"', "\\", "--json", "=", ",", "a,b",
)  # fmt: skip


_MARKS = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"- ", b"\t",
    b"&a ", b"*a", b"!!int ",
    b"!!python/object:os.system ", b"<<: ", b"NaN", b"-", b"1e999", b"#", b"'", b"\xed\xa0\x80",
)  # fmt: skip


def value(rng: random.Random) -> Any:
    """Return something unexpected."""
    pick = rng.random()
    if pick < 0.45:
        return rng.choice(NUMBERS)
    if pick < 0.75:
        return rng.choice(TEXTS)
    if pick < 0.85:
        return rng.choice((None, True, False))
    if pick < 0.9:
        return nested(rng.choice((3, 60, 200)), rng.random() < 0.5)
    others = ([], {}, [[]], [1, 2], [0, 0], [-1, 1], ["a"], [None], {"a": 1}, {"value": 1}, [1, 2, 3], [1.5, 2], {"": ""})
    return copy.deepcopy(rng.choice(others))


def nested(depth: int, lists: bool) -> Any:
    """Return ``depth`` levels."""
    tree: Any = 1
    for _ in range(depth):
        tree = [tree] if lists else {"a": tree}
    return tree


def places(tree: Any, limit: int = 4000) -> list[tuple[Any, Any]]:
    """Return (container, key) of everything in ``tree``."""
    found: list[tuple[Any, Any]] = []
    todo = [tree]
    while todo and len(found) < limit:
        node = todo.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            todo.append(node[key])
    return found


def tree(rng: random.Random, original: Any, most: int = 3) -> Any:
    """Return a copy of ``original`` with one to ``most`` changes."""
    made = copy.deepcopy(original)
    for _ in range(rng.randint(1, most)):
        spots = places(made)
        if not spots:
            return value(rng)
        node, key = rng.choice(spots)
        pick = rng.random()
        if pick < 0.12:
            del node[key]
        elif pick < 0.2 and isinstance(node, dict):
            other = rng.choice((str(key)[:-1], str(key) + "s", str(key).upper(), rng.choice(TEXTS), "value", "base", "name"))
            node[other] = node.pop(key)
        elif pick < 0.27 and isinstance(node, list):
            node.insert(rng.randrange(len(node) + 1), copy.deepcopy(node[key]))
        elif pick < 0.34 and isinstance(node, list) and len(node) > 1:
            other = rng.randrange(len(node))
            node[key], node[other] = node[other], node[key]
        elif pick < 0.42:
            there, spot = rng.choice(spots)
            node[key] = copy.deepcopy(there[spot]) if spot in (there if isinstance(there, dict) else range(len(there))) else None
        elif pick < 0.6 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = number(rng, node[key])
        else:
            node[key] = value(rng)
    return made


def number(rng: random.Random, old: float) -> Any:
    """Return a number near to or far from ``old``."""
    new = rng.choice((
        lambda: old + rng.choice((-1, 1)), lambda: old * rng.choice((2, 3, 10, 1000)), lambda: -old, lambda: float(old),
        lambda: str(old), lambda: [old], lambda: int(2 ** rng.uniform(0, 20)), lambda: int(2 ** rng.uniform(0, 12)),
        lambda: old // 2, lambda: old / 3,
    ))  # fmt: skip
    try:
        return new()
    except (OverflowError, ValueError, TypeError):
        return 0


def text(rng: random.Random, original: str) -> bytes:
    """Return a damaged copy of a text as bytes."""
    data = bytearray(original.encode("utf-8", "surrogatepass"))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        pick = rng.random()
        if pick < 0.2:
            del data[at:]
        elif pick < 0.4:
            del data[at : at + rng.randint(1, 20)]
        elif pick < 0.6:
            data[at:at] = rng.choice(_MARKS)
        elif pick < 0.8:
            other = rng.randrange(len(data) + 1)
            data[at:at] = data[other : other + rng.randint(1, 200)]
        elif data:
            data[at % len(data)] = rng.randrange(256)
    return bytes(data)


def dumps(rng: random.Random, made: Any) -> bytes:
    """Return JSON, now and then with a key twice, a byte order mark, or in another encoding."""
    try:
        out = json.dumps(made, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    except (ValueError, RecursionError):
        out = "[]"
    if rng.random() < 0.05 and out.startswith("{"):
        key = rng.choice(("name", "batch", "ops", "format_version", "dtype"))
        out = f'{{"{key}": {json.dumps(value(rng))}, {out[1:]}' if rng.random() < 0.5 else f'{out[:-1]}, "{key}": 1}}'
    data = out.encode("utf-8", "surrogatepass")
    if rng.random() < 0.01:
        return b"\xef\xbb\xbf" + data
    return out.encode("utf-16", "surrogatepass") if rng.random() < 0.01 else data


def raw(rng: random.Random, original: bytes) -> bytes:
    """Return a copy of bytes with one to four places changed."""
    data = bytearray(original)
    for _ in range(rng.randint(1, 4)):
        at, pick = rng.randrange(len(data) or 1), rng.random()
        if pick < 0.5 and data:
            data[at] = rng.randrange(256)
        elif pick < 0.65:
            del data[at:]
        elif pick < 0.8:
            del data[at : at + rng.randint(1, 9)]
        else:
            data[at:at] = rng.randbytes(rng.randint(1, 9))
    return bytes(data)


def shown(data: bytes, most: int = 700) -> str:
    """Return bytes as one line for people, or how many there are."""
    return repr(data.decode(errors="backslashreplace")) if len(data) < most else f"{len(data)} bytes"

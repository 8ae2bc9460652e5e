"""What a user may ask of pruning, checked before any file is read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stcsim.errors import StcsimError, UnsupportedError, quoted
from stcsim.numerics.sparse.pruning import PAIRS
from stcsim.words import ConvOrder, Method, WeightLayout, path_of, text, texts, word

_PATTERN = re.compile(r"(\d{1,9}):(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a checkpoint is pruned; the arguments of ``prune_checkpoint``, read.

    Attributes:
        method: how the weights that stay are chosen.
        pattern: ``"N:M"`` or ``"4:8-pairs"``.
        kept: N, weights that stay of each group.
        group: M, weights of a group.
        conv_order: in which order a filter's weights lie along the reduction.
        only: which layers alone are pruned, as the user said it; none for all hidden ones.
        keep_dense: which layers are not.
        prunes: whether anything is set to zero; otherwise channels are permuted and that is all.
        permutes: whether channels are permuted.
        fold: file of further permutations.
        scores: file of scores by name of weight.
        mask: file of masks by name of weight.
        layout: how pruned weights are stored.
    """

    method: Method
    pattern: str
    kept: int
    group: int
    conv_order: ConvOrder
    only: tuple[str, ...] = ()
    keep_dense: tuple[str, ...] = ()
    prunes: bool = True
    permutes: bool = False
    fold: Path | None = None
    scores: Path | None = None
    mask: Path | None = None
    layout: WeightLayout = WeightLayout.ZEROS

    @property
    def two_dimensional(self) -> bool:
        """Whether the pattern holds along columns too."""
        return self.method is not Method.MAGNITUDE


def settings(
    method: str = Method.MAGNITUDE,
    pattern: str = "2:4",
    conv_order: str = ConvOrder.RSC,
    only: Sequence[str] = (),
    keep_dense: Sequence[str] = (),
    permute: bool | str = False,
    fold: str | os.PathLike[str] | None = None,
    scores: str | os.PathLike[str] | None = None,
    mask: str | os.PathLike[str] | None = None,
    layout: str = WeightLayout.ZEROS,
) -> Settings:
    """Return what was asked for, where its parts fit each other; arguments as in ``prune_checkpoint``.

    Raises:
        UnsupportedError: when a word is not known, or two settings exclude each other.
    """
    if not isinstance(permute, bool | str) or permute not in (True, False, "only"):
        raise UnsupportedError("permute", "True, False or 'only'", quoted(permute))
    way = word(Method, method, "method")
    whole = text(pattern, "pattern", f"N:M, or {PAIRS}")
    kept, group = _pattern(whole)
    read = Settings(
        way, whole, kept, group, word(ConvOrder, conv_order, "conv_order"), _several(only), _several(keep_dense),
        permute != "only", bool(permute) or fold is not None, _path(fold), _path(scores), _path(mask),
        word(WeightLayout, layout, "layout"),
    )  # fmt: skip
    _fit(read)
    return read


def _fit(read: Settings) -> None:
    """Refuse settings that exclude each other."""
    bitmask = read.layout is not WeightLayout.ZEROS
    faults: tuple[tuple[object, str, str, str], ...] = (
        (read.two_dimensional and read.pattern != "2:4", f"method {read.method}", "pattern 2:4", read.pattern),
        (bitmask and read.pattern != "2:4", f"layout {read.layout}", "pattern 2:4", read.pattern),
        (bitmask and not read.prunes, f"layout {read.layout}", "pruned weights", "a permutation alone"),
        (read.mask and read.scores, "mask", "masks or scores", "both"),
        (read.mask and read.two_dimensional, "mask", "no method beside the masks of a file", str(read.method)),
        (read.permutes and read.pattern != "2:4", "permute", "pattern 2:4, which the search knows", read.pattern),
        (read.permutes and read.two_dimensional, "permute", "method magnitude, which the search knows", str(read.method)),
        (read.permutes and read.mask, "permute", "weights whose masks are not chosen yet", "masks of a file"),
        (
            read.permutes and read.conv_order is ConvOrder.CRS, "permute",
            "conv_order rsc, in which four channels are a group", "crs",
        ),
    )  # fmt: skip
    for holds, where, expected, found in faults:
        if holds:
            raise UnsupportedError(where, expected, found)


def _pattern(pattern: str) -> tuple[int, int]:
    """Return N and M."""
    found = _PATTERN.fullmatch(pattern.removesuffix("-pairs") if pattern == PAIRS else pattern)
    kept, group = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= kept < group or group > 255:
        raise UnsupportedError("pattern", f"N:M with 1 <= N < M, or {PAIRS}", quoted(pattern))
    return kept, group


def _several(words: Any) -> tuple[str, ...]:
    return texts(words, "layers", "names of layers, patterns or numbers")


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    if isinstance(path, str) and not path:
        raise StcsimError("command line", "the path of a file", "an empty text")
    return None if path is None else path_of(path, "path")

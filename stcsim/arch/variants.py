"""What-ifs with a name (``--variant big_l2:l2.capacity_mib=80``): the GPU ``a100:big_l2`` beside ``a100``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stcsim.arch.arch import Arch, load_arch
from stcsim.errors import ArchError, quoted
from stcsim.words import text as text_of

MARK = ":"
"""Stands between the name of a GPU and that of its variant."""
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,39}", re.ASCII)
_BETWEEN = re.compile(r",(?=\s*[\w.]+\s*=)")
"""A comma with a setting behind it; commas inside the list of ``sm.sms_per_gpc`` have none."""
_SHAPE = "NAME:PATH=VALUE,PATH=VALUE, e.g. big_l2:l2.capacity_mib=80"


@dataclass(frozen=True, slots=True)
class Variant:
    """A what-if that can be laid on any GPU.

    Attributes:
        name: a word of letters, digits and ``_.+-``.
        overrides: ``path=value`` texts, as ``--set`` has them.
    """

    name: str
    overrides: tuple[str, ...]

    def of(self, arch: Arch) -> Arch:
        """Return the GPU with the what-if laid on it, called ``a100:big_l2``.

        Raises:
            ArchError: a path that no architecture file has, or a value that the leaf cannot hold.
        """
        try:
            return load_arch(arch, [*self.overrides, f"name='{arch.name}{MARK}{self.name}'"])
        except ArchError as error:
            where = re.sub("^overrides", f"variant {self.name}", error.where)
            raise ArchError(where, error.expected, error.found) from None


def parse_variant(text: str) -> Variant:
    """Return the what-if that ``text`` describes, e.g. ``"big_l2:l2.capacity_mib=80,l2.bandwidth_bytes_per_clk=x1.5"``.

    Raises:
        ArchError: when it is none.
    """
    name, mark, settings = text_of(text, "variant", _SHAPE).partition(MARK)
    if not mark or not settings.strip():
        raise ArchError("variant", _SHAPE, quoted(text))
    if not _NAME.fullmatch(name.strip()):
        raise ArchError("variant", "a name of letters, digits and _.+- (at most 40)", quoted(name))
    return Variant(name.strip(), tuple(each.strip() for each in _BETWEEN.split(settings)))


def with_variants(archs: Iterable[Arch], variants: Sequence[Variant | str]) -> tuple[Arch, ...]:
    """Return each GPU followed by its variants.

    Raises:
        ArchError: a text that is no variant, a name given twice, or a variant that one of the GPUs cannot take.
    """
    parsed = [parse_variant(each) if isinstance(each, str) else each for each in variants]
    names = [variant.name for variant in parsed]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ArchError("variant", "each name once", f"'{twice}' twice")
    return tuple(gpu for arch in archs for gpu in (arch, *(variant.of(arch) for variant in parsed)))


def base_name(name: str) -> str:
    """Return the name of the GPU that a variant lies on; of any other GPU its own."""
    return name.partition(MARK)[0]

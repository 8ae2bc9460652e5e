"""Figures as text: microseconds, bytes, TOPS, shares and bars."""

from __future__ import annotations

from stcsim.result import Interval

Units = tuple[tuple[float, str], ...]
"""Units of one quantity, largest first, each with its size."""

TIME_UNITS: Units = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"))
BYTE_UNITS: Units = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_ENERGY_UNITS: Units = ((1e6, "J"), (1e3, "mJ"), (1.0, "µJ"))
_HARDLY_OVER = 1e-3  # a clock is found to about so much
_EIGHTHS = " ▏▎▍▌▋▊▉"

NOTHING = "–"
"""Stands where there is no figure."""


def suited(units: Units, largest: float) -> tuple[float, str]:
    """Return the unit that suits ``largest``, with its size: the largest unit that it reaches, else the smallest."""
    return next((unit for unit in units if largest >= unit[0]), units[-1])


def three_digits(number: float) -> str:
    """Return ``number`` with three significant digits, whole from 100 on: ``1.42``, ``14.2``, ``1,423``."""
    rounded = float(f"{number:.3g}") if number < 100 else round(number)
    decimals = 0 if rounded >= 100 else 1 if rounded >= 10 else 2
    return f"{rounded:,.{decimals}f}"


def time_text(time_us: float, longest_us: float | None = None) -> str:
    """Return a time in the unit and decimals that suit it, or the longest of its column: ``412.3 µs``, ``1.234 ms``."""
    reference_us = time_us if longest_us is None else longest_us
    size, unit = suited(TIME_UNITS, reference_us)
    whole = reference_us / size
    decimals = 1 if whole >= 100 else 2 if whole >= 10 or size == 1 else 3
    return f"{time_us / size:,.{decimals}f} {unit}"


def energy_text(energy_uj: float) -> str:
    """Return an energy in the unit that suits it: ``412 µJ``, ``1.23 mJ``, ``4.56 J``."""
    size, unit = suited(_ENERGY_UNITS, energy_uj)
    return f"{three_digits(energy_uj / size)} {unit}"


def over_limit_text(watts: float, clock_mhz: float, limit_w: float) -> str:
    """Return that a board draws more than its limit allows, which it does at its lowest clock alone; empty where it does not."""
    if watts <= limit_w * (1 + _HARDLY_OVER):
        return ""
    return f"{watts:,.0f} W is over the board's limit of {limit_w:,.0f} W: its clock goes no lower than {clock_mhz:,.0f} MHz"


def interval_text(interval: Interval, decimals: int = 2) -> str:
    """Return an interval: ``1.13–1.31``."""
    return f"{interval.low:,.{decimals}f}–{interval.high:,.{decimals}f}"


def likely_time_text(interval: Interval, reference_us: float) -> str:
    """Return an interval of microseconds in the unit that suits ``reference_us``: ``0.98–1.21 ms``."""
    size, unit = suited(TIME_UNITS, reference_us)
    decimals = 0 if reference_us / size >= 100 else 1 if reference_us / size >= 10 else 2
    return f"{interval_text(Interval(interval.low / size, interval.high / size), decimals)} {unit}"


def time_decimals(longest_us: float) -> int:
    """Return how many decimals a column of microseconds needs when its longest is ``longest_us``."""
    return 2 if longest_us < 100 else 1 if longest_us < 100_000 else 0


def bytes_text(*sizes: int) -> str:
    """Return byte counts in the one unit that suits the largest: ``4.50 → 2.53 MiB``."""
    size, unit = suited(BYTE_UNITS, max(sizes))
    return f"{' → '.join(three_digits(each / size) if size > 1 else str(each) for each in sizes)} {unit}"


def macs_text(macs: int) -> str:
    """Return multiply-accumulates: ``3.66 GMAC``, ``16.8 MMAC``."""
    return f"{three_digits(macs / 1e9)} GMAC" if macs >= 10**8 else f"{three_digits(macs / 1e6)} MMAC"


def percent(share: float) -> str:
    """Return a share between 0 and 1 as whole percent; a trace of something is ``<1 %``, not nothing."""
    return "<1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def percent_text(share: float) -> str:
    """Return a share with one decimal below 10 %: ``8.5 %``, ``21 %``, ``0``."""
    return "0" if share < 0.0005 else f"{100 * share:.{1 if share < 0.1 else 0}f} %"


def bar(share: float, columns: int) -> str:
    """Return a bar of ``share`` of ``columns`` characters, in eighths of one, padded to ``columns``."""
    eighths = round(share * columns * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(columns)

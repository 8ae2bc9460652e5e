"""How a figure for one column of a paper looks. Colours are those of Okabe and Ito, which everybody can tell apart."""

from __future__ import annotations

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
INK, GREY = "#222222", "#8C8C8C"
COLUMN_INCHES = 3.5
DPI = 300

STYLE: dict[str, object] = {
    "font.size": 8.0, "axes.titlesize": 8.0, "axes.labelsize": 8.0, "legend.fontsize": 7.5, "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5, "axes.linewidth": 0.7, "axes.edgecolor": INK, "lines.linewidth": 1.2, "lines.markersize": 3.8,
    "axes.grid": True, "grid.color": "#E3E3E3", "grid.linewidth": 0.5, "axes.axisbelow": True,
}  # fmt: skip
"""For matplotlib's ``rc_context``; sizes in points."""

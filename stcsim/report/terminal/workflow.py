"""A recipe's table for a terminal: scores in every type, dense and 2:4, beside what a pass costs on each GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING, bytes_text, energy_text, three_digits

if TYPE_CHECKING:
    from stcsim.workflow.result import Row, Score, Speed, WorkflowResult

Cell = Callable[["Row"], str | None]

METRICS = {"accuracy": ("accuracy, %", 2), "bits": ("bits per character, less is better", 3)}
"""What scores are, and with how many decimals they are shown."""


def workflow_table(result: WorkflowResult) -> RenderableType:
    """Return one row for each network, type and calibration, and what a reader must know."""
    columns = [*_scores(result), *(column for arch in archs_of(result) for column in _costs(result, arch))]
    title = f"{result.recipe}: {result.title}; {METRICS[result.metric][0]}, {result.samples:,} samples tested on"
    return Group(Text(title, "bold"), FittedTable(tuple(columns), foot="\n".join(_notes(result))))


def archs_of(result: WorkflowResult) -> list[str]:
    """Return the GPUs that times are predicted for, in order."""
    return list(dict.fromkeys(speed.arch for speed in result.speeds))


def time_us(row: Row, speed: Speed) -> float:
    """Return the predicted time of a row's network on a GPU."""
    return speed.best_us if row.pruned else speed.dense_us


def _scores(result: WorkflowResult) -> list[Column]:
    decimals = METRICS[result.metric][1]

    def with_error(score: Score) -> str:
        return f"{score.value:.{decimals}f} ±{score.error:.{decimals}f}"

    def alone(score: Score | None) -> str | None:
        return None if score is None else f"{score.value:.{decimals}f}"

    return [
        _column(result, "network", lambda row: row.stage, justify="left"),
        _column(result, "weights", lambda row: "2:4" if row.pruned else "dense", justify="left"),
        _column(result, "type", lambda row: row.dtype, justify="left"),
        _column(result, "scales", lambda row: row.method or None, justify="left"),
        _column(result, "fp32", lambda row: with_error(row.fp32)),
        _column(result, "ModelOpt's\nemulation", lambda row: alone(row.emulated), 3),
        _column(result, "datapath", lambda row: row.arch, 2, "left"),
        _column(result, "dense\nor kept", lambda row: alone(row.simulated)),
        _column(result, "expanded", lambda row: alone(row.expanded)),
        _column(result, "outputs\nthat differ", lambda row: _share(row.differing), 1),
    ]


def _share(share: float | None) -> str | None:
    """Return a share as a percentage of two digits."""
    return None if share is None else "0 %" if share == 0 else f"{100 * share:.2g} %"


def _costs(result: WorkflowResult, arch: str) -> list[Column]:
    def of(figure: Callable[[Row, Speed], str]) -> Cell:
        def cell(row: Row) -> str | None:
            speed = result.speed_of(row, arch)
            return None if speed is None else figure(row, speed)

        return cell

    return [
        _column(result, f"{arch}\nµs", of(lambda row, speed: three_digits(time_us(row, speed)))),
        _column(result, f"{arch}, 80 %\nµs", of(_interval), 4),
        _column(result, f"{arch}\nenergy", of(_energy), 5),
        _column(result, f"{arch}\nmemory", of(_memory), 5),
    ]


def _interval(row: Row, speed: Speed) -> str:
    likely = speed.best_us_interval if row.pruned else speed.dense_us_interval
    return NOTHING if likely is None else f"{three_digits(likely.low)}–{three_digits(likely.high)}"


def _energy(row: Row, speed: Speed) -> str:
    return energy_text(speed.best_uj if row.pruned else speed.dense_uj)


def _memory(row: Row, speed: Speed) -> str:
    return bytes_text((speed.pruned_bytes if row.pruned else speed.weight_bytes) + speed.activation_bytes)


def _column(result: WorkflowResult, header: str, cell: Cell, rank: int = 0, justify: str = "right") -> Column:
    texts = [cell(row) for row in result.rows]
    cells = tuple(Text(NOTHING, "dim") if text is None else Text(text) for text in texts)
    return Column(header, cells, rank, None, "left" if justify == "left" else "right")


def _notes(result: WorkflowResult) -> list[str]:
    notes = ["±: standard error of the score, from the number of samples", *_speed_notes(result)]
    return [*notes, *result.notes]


def _speed_notes(result: WorkflowResult) -> list[str]:
    """Return what a pass is, and where pruned layers gain."""
    if not result.speeds:
        return []
    batch = result.speeds[0].batch
    lines = [f"times, energy of the board and memory (weights and activations) of a pass of {batch:,} samples are predicted"]
    for speed in result.speeds:
        if speed.faster:
            likely = speed.speedup_interval
            span = f" ({likely.low:.2f}–{likely.high:.2f})" if likely else ""
            lines.append(
                f"{speed.arch} {speed.dtype}: {speed.faster} of {speed.pruned} pruned layers are faster as 2:4,"
                f" the network by {speed.speedup:.2f}×{span}"
            )
    return lines

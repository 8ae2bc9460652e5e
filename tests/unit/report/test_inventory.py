"""Does the list of traces say what may run 2:4, and stay readable?"""

from __future__ import annotations

import pytest

from stcsim import cli
from stcsim.isa import dtype
from stcsim.replay import problem_of, why_not_sparse
from stcsim.report.terminal.inventory import eligible_share
from stcsim.trace import Gemm, Memory, load_trace, trace_names


@pytest.mark.parametrize("name", trace_names())
def test_the_share_that_may_run_sparse_is_that_of_a_run(name: str) -> None:
    trace = load_trace(name)
    eligible = 0
    for op in trace.ops:
        if not isinstance(op, Memory):
            weightless = isinstance(op, Gemm) and op.weight_operand is None
            eligible += op.macs * op.count if why_not_sparse(problem_of(op, dtype(trace.dtype)), weightless) is None else 0
    assert eligible_share(trace) == eligible / trace.macs


def test_the_list_fits_100_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit, match="^0$"):
        cli.main(["traces"])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 100 for line in lines)
    for name in trace_names():
        assert any(line.startswith(f"{name} ") and line.endswith(" %") for line in lines)

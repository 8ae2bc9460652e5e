"""What a study runs: networks at each batch and length, and GEMMs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from stcsim.errors import StcsimError
from stcsim.study.sweeps.key import digest
from stcsim.study.sweeps.spec import SIZES, Study
from stcsim.study.sweeps.values import once
from stcsim.trace import Trace, load_trace
from stcsim.trace.rescale.lengths import at_length

_DEFAULT_TYPE = "fp16"


@dataclass(frozen=True, slots=True)
class Source:
    """What is run: a network at its batch and length, or a GEMM.

    Attributes:
        content: the trace, or sizes (m, n, k).
        digest: of it.
        columns: what a row says of it: ``trace``, ``batch`` and ``seq``, or ``m``, ``n`` and ``k``.
        error: why a network cannot be brought to its batch or length.
    """

    content: Trace | tuple[int, int, int] | None
    digest: str
    columns: Mapping[str, object]
    error: StcsimError | None = None

    @property
    def dtype(self) -> str:
        """The type in which it is run unless a study says otherwise."""
        return self.content.dtype if isinstance(self.content, Trace) else _DEFAULT_TYPE


def sources_of(study: Study) -> Iterator[Source]:
    """Yield everything that a study runs.

    Raises:
        StcsimError: when there is no such network, or two have the same name.
    """
    sources = study.sources
    traces = [load_trace(name) for name in sources.traces]
    once((trace.name for trace in traces), "trace")
    for trace in traces:
        for batch, length in product(sources.batches, sources.lengths):
            yield _network(trace, batch, length)
    for sizes in (sizes for block in sources.gemms for sizes in product(*block)):
        yield Source(sizes, digest(sizes), dict(zip(SIZES, sizes, strict=True)))


def _network(trace: Trace, batch: int | None, length: int | None) -> Source:
    columns: dict[str, object] = {"trace": trace.name, "batch": batch or trace.batch}
    columns |= {"seq": length} if length else {}
    try:
        scaled = trace if batch is None else trace.with_batch(batch)
        scaled = scaled if length is None else at_length(scaled, "tokens", length)
    except StcsimError as error:
        return Source(None, "", columns, error)
    return Source(scaled, scaled.sha256, columns)

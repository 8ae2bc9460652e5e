"""What a leaf of an architecture file may hold: ranges with their descriptions, and where a value comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["vendor", "measured", "fitted", "assumed"]

# The bounds keep every later conversion to integer ticks and bytes within 64 bits. A description is what an error message says.
Word = Annotated[str, Field(min_length=1, description="a text that is not empty")]
Count = Annotated[int, Field(ge=1, le=1_000_000, description="an integer from 1 to 1000000")]
CountOrNull = Annotated[int | None, Field(ge=1, le=1_000_000, description="an integer from 1 to 1000000, or null")]
Counts = Annotated[tuple[Count, ...], Field(strict=False, min_length=1, description="a list of integers from 1 to 1000000")]
Rate = Annotated[float, Field(ge=0.001, le=1e6, description="a number from 0.001 to 1000000")]
RateOrNull = Annotated[float | None, Field(ge=0.001, le=1e6, description="a number from 0.001 to 1000000, or null")]
Cost = Annotated[float, Field(ge=0, le=1e6, description="a number from 0 to 1000000")]
CostOrNull = Annotated[float | None, Field(ge=0, le=1e6, description="a number from 0 to 1000000, or null")]
Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
Exponent = Annotated[float, Field(ge=1, le=5, description="a number from 1 to 5")]
Ratio = Annotated[float, Field(ge=1, le=10, description="a number from 1 to 10")]
Efficiency = Annotated[float, Field(ge=0.001, le=1, description="a number from 0.001 to 1")]
Generation = Annotated[Literal["turing", "ampere", "ada", "hopper"], Field(description="one of turing, ampere, ada, hopper")]
Capability = Annotated[str, Field(pattern=r"^\d+\.\d$", description='a text such as "8.0", in quotes')]
Family = Annotated[Literal["sm75", "sm80", "sm86", "sm89", "sm90"], Field(description="one of sm75, sm80, sm86, sm89, sm90")]


class Section(BaseModel):
    """A branch of the tree: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(Section):
    """Where a value comes from.

    Attributes:
        kind: ``vendor`` (published by the maker), ``measured`` (microbenchmark), ``fitted`` (to GEMM times) or ``assumed``.
        source: document, table, file or reasoning.
    """

    kind: Kind
    source: str


class RuleError(ValueError):
    """Values that are fine alone but not together: which leaf, what it must be, what it is."""

    def __init__(self, leaf: str, expected: str, found: str) -> None:
        """Keep the parts; ``stcsim.arch`` adds the place."""
        self.leaf, self.expected, self.found = leaf, expected, found

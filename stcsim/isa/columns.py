"""The columns of the table of element types: what is known of one type, and what follows from that."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DType:
    """One element type. Columns that do not apply to a type stand at their defaults.

    Attributes:
        name: the name used everywhere, e.g. ``"fp16"``.
        bits: storage bits of one element.
        aliases: further names, in lower case; those in the columns below count too.
        ptx: the word of PTX instructions, e.g. ``"f16"``; empty where none has it.
        numpy: name of the numpy or ``ml_dtypes`` type that holds it.
        torch: name of the PyTorch type that holds one element in an item; empty where tensors have none.
        signed: false for unsigned integers.
        exponent_bits: width of a float's exponent; 0 for integers.
        fraction_bits: width of a float's fraction; the sign is the top bit.
        bias: what is added to an exponent to store it.
        has_inf: the largest exponent holds infinity and NaN, as in IEEE 754.
        has_nan: without infinity it is the all-ones code alone (e4m3; OCP FP8).
        dropped_bits: low bits of the code that the datapath ignores (tf32 is an fp32 without its low 13 bits; PTX ISA, wgmma).
        codes: the type whose raw codes these are, where it is another (``fp8``, whose codes are e4m3 unless said otherwise).
        rate: the type that GEMMs are timed as, which is the key of the rate in architecture files; itself, or the one that
            runs alike (e4m3 and e5m2 as ``fp8``, uint8 as ``int8``). Empty where no tensor core takes it as an input.
        acc: accumulator type of GEMMs in this type.
        out: output type that a library writes by default.
        is_accumulator: a tensor core may accumulate in it.
        is_output: a timed GEMM may write it; whole bytes only (``timing.problem.Problem.out_bytes``).
        sparse_group: elements of one structured-sparsity group; 0 where hardware has none for the type.
        sparse_kept: elements kept in a group.
        sparse_pair: neighbours that one index stands for: 2 for the 4-bit types (4:8 in pairs), else 1.
        metadata_bits: index bits stored for a group (two 2-bit indices; PTX ISA, "sparse matrix storage").
        sparse_k_multiple: the reduction must be a multiple of this to run sparse (256 bits of compressed K;
            "Accelerating Inference with Sparsity" whitepaper: 16 for 16-bit, 32 for 8-bit types).
    """

    name: str
    bits: int
    aliases: tuple[str, ...] = ()
    ptx: str = ""
    numpy: str = ""
    torch: str = ""
    signed: bool = True
    exponent_bits: int = 0
    fraction_bits: int = 0
    bias: int = 0
    has_inf: bool = False
    has_nan: bool = False
    dropped_bits: int = 0
    codes: str = ""
    rate: str = ""
    acc: str = ""
    out: str = ""
    is_accumulator: bool = False
    is_output: bool = False
    sparse_group: int = 0
    sparse_kept: int = 0
    sparse_pair: int = 1
    metadata_bits: int = 0
    sparse_k_multiple: int = 1

    def __hash__(self) -> int:
        """Return the hash of the name: rows are keys of caches that are asked often."""
        return hash(self.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it goes by. A tf32 is stored as a float32, which is the name of another type."""
        stored = () if self.dropped_bits else (self.numpy, self.torch)
        return tuple(dict.fromkeys(filter(None, (self.name, self.ptx, *stored, *self.aliases))))

    @property
    def is_float(self) -> bool:
        """Whether it is a floating-point type."""
        return self.exponent_bits > 0

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal number and of all subnormals."""
        return 1 - self.bias

    @property
    def max_exponent(self) -> int:
        """Exponent of the largest finite numbers."""
        return (1 << self.exponent_bits) - 1 - self.bias - self.has_inf

    @property
    def code_bits(self) -> int:
        """Bits of the unsigned integer that holds one raw code: whole bytes, also for 4 and 6 bits."""
        return max(8, 1 << (self.bits - 1).bit_length())

    @property
    def magnitude_mask(self) -> int:
        """Bits of a code that are all zero in a zero: a float's sign is left out, so -0 is a zero."""
        return (1 << (self.bits - self.is_float)) - 1

    @property
    def nan_code(self) -> int:
        """The code that the datapath writes for NaN: all ones but the sign (MMA-Sim 2.1.1)."""
        return self.magnitude_mask

    @property
    def largest_code(self) -> int:
        """Code of a float's largest magnitude that is a number, infinity included."""
        if self.has_inf:
            return ((1 << self.exponent_bits) - 1) << (self.fraction_bits + self.dropped_bits)
        return self.magnitude_mask - self.has_nan

    @property
    def largest(self) -> float:
        """The largest finite number."""
        if not self.is_float:
            return float((1 << (self.bits - self.signed)) - 1)
        lost = 0 if self.has_inf or not self.has_nan else 1  # the fraction of all ones is NaN
        significand = (2 << self.fraction_bits) - 1 - lost
        return math.ldexp(significand, self.max_exponent - self.fraction_bits)

    @property
    def sparse_expansion(self) -> int:
        """Elements of a group for each that is kept: 2 in 2:4; 1 where there is no structured sparsity."""
        return self.sparse_group // self.sparse_kept if self.sparse_kept else 1

    @property
    def needs_scale(self) -> bool:
        """Whether tensors of numbers are scaled into its range before they are rounded to it: types of 8 bits and less."""
        return self.bits <= 8

    @property
    def decimal_digits(self) -> int:
        """Significant decimal digits that tell every two numbers of a floating-point type apart."""
        return 1 + math.ceil((self.fraction_bits + 1) * math.log10(2))

    def bytes_of(self, elements: int) -> int:
        """Return the bytes that so many elements take one behind the other, the last byte filled up."""
        return -(-elements * self.bits // 8)

    def metadata_bytes(self, elements: int) -> int:
        """Return the bytes of sparsity metadata of so many elements, with whole groups, the last byte filled up."""
        groups = -(-elements // self.sparse_group)
        return -(-groups * self.metadata_bits // 8)

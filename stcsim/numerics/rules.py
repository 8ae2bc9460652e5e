"""What a tensor core does to a dot product, as a table: one rule for each generation, kind of instruction and type.

The rule itself (``reference`` states it in code): cut the products into blocks of L in order of k; align the products
of a block and the running value to the largest exponent among them; truncate each toward zero to F fraction bits; add
exactly; convert once. Sources: MMA-Sim 2.1.1 (arXiv 2511.10909), Khattak & Mikaitis (arXiv 2512.07004), which agree;
checked on GPU outputs of V100, A100, A2, RTX-1000 Ada, L40S, H100, H200 and B200 for single blocks of ordinary numbers.
Hopper's tf32 block of 8, ``e_zero`` from Ampere on and sm_120 rest on two sources, MMA-Sim and K&M's published models (sm_120 on
huweim/emulation_sys, too), and not on outputs that we have seen. On MMA-Sim alone rest: chained blocks on Ampere, NaN,
infinities, subnormals. No source at all covers sparse instructions: each takes the rule of the dense one of its kind (assumed).
``docs/numerics.md`` says what would change if one of them were wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.errors import UnsupportedError
from stcsim.isa import DTYPES, DType
from stcsim.isa.capabilities import arithmetic
from stcsim.isa.instructions import Instruction
from stcsim.words import Blocking, word


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a block's sum becomes a number again.

    Attributes:
        name: as MMA-Sim calls it.
        form: the format that holds the result.
        fraction_bits: what is kept below the leading bit; fewer than the format has in RZ-E8M13.
        nearest: to nearest, ties to even; else toward zero. Beyond the range is infinity in both.
    """

    name: str
    form: str
    fraction_bits: int
    nearest: bool


RZ_FP32 = Rounding("RZ-FP32", "fp32", 23, nearest=False)
RZ_E8M13 = Rounding("RZ-E8M13", "fp32", 13, nearest=False)
RNE_FP16 = Rounding("RNE-FP16", "fp16", 10, nearest=True)


@dataclass(frozen=True, slots=True)
class DotRule:
    """The rule of one row.

    Attributes:
        block_length: L, products that are added at once; an instruction with fewer is one block.
        fraction_bits: F, kept below the largest exponent of a block.
        e_zero: exponent of a term that is zero.
        rounding: of each block's sum, which is the running value of the next block.
        order: the order in which each ``len(order)`` products are taken; as they come when empty or longer than the instruction.
        adds_c_last: the first block starts from zero and C is added at the end of the instruction, to nearest (an emulation
            by another instruction and a separate addition).
    """

    block_length: int
    fraction_bits: int
    e_zero: int
    rounding: Rounding
    order: tuple[int, ...] = ()
    adds_c_last: bool = False


@dataclass(frozen=True, slots=True)
class Datapath:
    """All an engine needs to know: the formats, the rule, and how many products one instruction sums.

    Attributes:
        rule: ``None`` for integers, which are exact: int32 wraps, or is clamped once in each instruction when ``saturates``
            (assumed: PTX does not say whether the clamp is once for an instruction or in each internal step).
    """

    a: DType
    b: DType
    c: DType
    d: DType
    products: int
    rule: DotRule | None
    saturates: bool = False


def sum_type(path: Datapath) -> DType:
    """Return the type of sums that a kernel forms of accumulators: fp32 of floats, and int32."""
    return DTYPES["fp32"] if path.rule else path.d


@dataclass(frozen=True, slots=True)
class _Row:
    """``archs`` x ``kind`` (and ``shape``, if not all) x input ``types``: L and F, e_zero for fp32 and fp16 results, rounding."""

    archs: tuple[str, ...]
    kind: str
    types: tuple[str, ...]
    block_length: int
    fraction_bits: int
    e_zero: tuple[int, int]
    fp32: Rounding = RZ_FP32
    shape: str = ""
    order: tuple[int, ...] = ()
    adds_c_last: bool = False


#: Kinds that are compiled to the machine instructions of another.
RUNS_AS = {"wmma": "mma"}
_HALF, _TF32, _FP8 = ("fp16", "bf16"), ("tf32",), ("e4m3", "e5m2")
_AMPERE, _BLACKWELL = ("sm_80", "sm_86", "sm_89"), ("sm_100", "sm_120")
_HOPPER_ON = ("sm_90", *_BLACKWELL)
_OLD, _MIDDLE, _NEW = (-131, -19), (-132, -20), (-133, -21)

#: fp8 mma.sync on Hopper and B200 runs as two fp16 HMMA of 16: k with (k div 2) even first, then the others; C is added last.
#: Derived from K&M's GPU outputs, 0 of 40,000 differ; H100 with fp32 results, k16 (one HMMA) and mma.sp
#: (its kept products in this order) are presumed alike.
_HMMA_PAIRS = tuple(k for odd in (0, 1) for k in range(32) if k // 2 % 2 == odd)

#: The first row that fits is the rule. L is 8 bytes of a row of A on Volta, 16 to Ada, 32 from Hopper on.
_ROWS = (
    _Row(("sm_70",), "mma", _HALF, 4, 23, _OLD),
    _Row(("sm_75",), "mma", _HALF, 4, 23, _OLD, shape="m8n8k4"),
    _Row(("sm_75", *_AMPERE), "mma", _HALF, 8, 24, _MIDDLE),
    _Row(_AMPERE, "mma", _TF32, 4, 24, _MIDDLE),
    _Row(("sm_89",), "mma", _FP8, 16, 13, _MIDDLE, fp32=RZ_E8M13),
    _Row(_HOPPER_ON, "mma", _HALF, 16, 25, _NEW),
    _Row(_HOPPER_ON, "mma", _TF32, 8, 25, _NEW),
    _Row(("sm_90", "sm_100"), "mma", _FP8, 16, 25, _NEW, order=_HMMA_PAIRS, adds_c_last=True),
    _Row(("sm_120",), "mma", _FP8, 32, 25, _NEW),
    _Row(("sm_90",), "wgmma", _HALF, 16, 25, _NEW),
    _Row(("sm_90",), "wgmma", _TF32, 8, 25, _NEW),
    _Row(("sm_90",), "wgmma", _FP8, 32, 13, _NEW, fp32=RZ_E8M13),
    _Row(("sm_100",), "tcgen05", _HALF, 16, 25, _NEW),
    _Row(("sm_100",), "tcgen05", _TF32, 8, 25, _NEW),
    _Row(("sm_100",), "tcgen05", _FP8, 32, 25, _NEW),
)


def dot_rule(instruction: Instruction, arch: str) -> DotRule:
    """Return the rule by which ``arch`` runs a floating-point instruction.

    A sparse instruction has the rule of the dense one (assumed: nobody has published how hardware blocks kept products).

    Raises:
        UnsupportedError: when no row fits.
    """
    for row in _ROWS:
        if (
            arithmetic(arch) in row.archs
            and row.kind == RUNS_AS.get(instruction.kind, instruction.kind)
            and instruction.a in row.types
            and row.shape in ("", instruction.shape)
        ):
            half = instruction.d == "fp16"
            rounding = RNE_FP16 if half else row.fp32
            return DotRule(row.block_length, row.fraction_bits, row.e_zero[half], rounding, row.order, row.adds_c_last)
    raise UnsupportedError(instruction.name, f"an instruction whose arithmetic on {arch} is known", "no row")


def datapath(instruction: Instruction, arch: str, blocking: str = "kept") -> Datapath:
    """Return the datapath of an instruction.

    Args:
        instruction: dense or sparse.
        arch: a compute capability that has it.
        blocking: of a sparse instruction: ``"kept"``, only the selected products take part, in compressed order (assumed, S1);
            ``"expanded"``, the zeros of A take slots too, as if the instruction were dense (the rival, S2).

    Raises:
        UnsupportedError: when there is no such blocking, or the rule is not known.
    """
    products = instruction.products if word(Blocking, blocking, "blocking") is Blocking.KEPT else instruction.k
    a, b, c, d = (DTYPES[each] for each in (instruction.a, instruction.b, instruction.c, instruction.d))
    rule = dot_rule(instruction, arch) if d.is_float else None
    return Datapath(a, b, c, d, products, rule, instruction.satfinite)

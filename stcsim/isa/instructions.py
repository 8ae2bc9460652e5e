"""Tensor-core instructions as data: names in PTX words, shapes, element types, and the compute capabilities that have them.

Sources: PTX ISA, "mma", "mma.sp", "wgmma.mma_async", "wgmma.mma_async.sp"; MMA-Sim 2.1.1 for which generation runs which
floating-point shape as its own instruction (m8n8k4 on sm_70 and sm_75 only). The shape of ``tcgen05`` stands in a descriptor,
not in its name, so it is written here as MMA-Sim writes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from stcsim.errors import UnsupportedError, closest
from stcsim.isa.capabilities import ARCHS, ArchLike, capability
from stcsim.isa.elements import DTYPES
from stcsim.words import text

_FROM = {arch: ARCHS[place:] for place, arch in enumerate(ARCHS)}
_DATA_CENTER = ("sm_80", "sm_90", "sm_100")  # A100, H100, B200
_VOLTA, _HOPPER, _BLACKWELL = ("sm_70", "sm_75"), ("sm_90",), ("sm_100",)

#: Words of a full PTX name that do not change what is computed.
_SILENT_WORDS = ("sync", "aligned", "row", "col", "mma_async")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One tensor-core instruction: D[m x n] = A[m x k] . B[k x n] + C[m x n].

    Attributes:
        kind: ``"mma"``, ``"wgmma"`` or ``"tcgen05"``.
        sparse: A is 2:4 (tf32 1:2, 4-bit types 4:8 in pairs); ``k`` counts its expanded columns.
        d, a, b, c: element types by name.
        satfinite: int32 results are clamped instead of wrapped.
    """

    kind: str
    sparse: bool
    m: int
    n: int
    k: int
    d: str
    a: str
    b: str
    c: str
    satfinite: bool = False

    @property
    def shape(self) -> str:
        """The shape in PTX words, e.g. ``"m16n8k16"``."""
        return f"m{self.m}n{self.n}k{self.k}"

    @property
    def products(self) -> int:
        """Products that are summed for one element of D when only kept elements of A count."""
        return self.k // 2 if self.sparse else self.k

    @property
    def name(self) -> str:
        """The name in PTX words, e.g. ``"mma.sp.m16n8k32.f32.f16.f16.f32"``; wgmma and tcgen05 have no word for C."""
        types = (self.d, self.a, self.b, self.c)[: 4 if self.kind == "mma" else 3]
        words = [self.kind, *["sp"] * self.sparse, self.shape, *(DTYPES[each].ptx for each in types)]
        return ".".join([*words, *["satfinite"] * self.satfinite])


@dataclass(frozen=True, slots=True)
class _Row:
    """Instructions of one kind that differ only in shape and types: every ``shapes`` x ``types``, on ``archs``.

    ``types`` are (D, A, B, C); a shape is (m, every n, k).
    """

    kind: str
    sparse: bool
    shapes: tuple[tuple[int, tuple[int, ...], int], ...]
    types: tuple[tuple[str, str, str, str], ...]
    archs: tuple[str, ...]


def _mixed(d: tuple[str, ...], inputs: tuple[str, ...]) -> tuple[tuple[str, str, str, str], ...]:
    """Return every (D, A, B, C) with A and B taken from ``inputs`` freely and C as D."""
    return tuple((out, a, b, out) for out, a, b in product(d, inputs, inputs))


_F16, _F16_FROM_F16 = ("fp32", "fp16", "fp16", "fp32"), ("fp16", "fp16", "fp16", "fp16")
_HALF = (_F16, _F16_FROM_F16)
_BF16, _TF32 = (("fp32", "bf16", "bf16", "fp32"),), (("fp32", "tf32", "tf32", "fp32"),)
_FP8 = _mixed(("fp32", "fp16"), ("e4m3", "e5m2"))
_INT8, _INT4 = _mixed(("int32",), ("int8", "uint8")), _mixed(("int32",), ("int4", "uint4"))
_N = tuple(range(8, 257, 8))
_N_INT = (8, 16, 24, 32, *range(48, 257, 16))


def _small(*k: int) -> tuple[tuple[int, tuple[int, ...], int], ...]:
    """Return the shapes m16n8k... of ``mma``."""
    return tuple((16, (8,), each) for each in k)


_ROWS = (
    _Row("mma", False, ((8, (8,), 4),), (*_HALF, ("fp32", "fp16", "fp16", "fp16")), _VOLTA),
    _Row("mma", False, _small(8), _HALF, _FROM["sm_75"]),
    _Row("mma", False, _small(16), _HALF, _FROM["sm_80"]),
    _Row("mma", False, _small(8, 16), _BF16, _FROM["sm_80"]),
    _Row("mma", False, _small(4, 8), _TF32, _FROM["sm_80"]),
    _Row("mma", False, _small(16, 32), _FP8, _FROM["sm_89"]),
    _Row("mma", False, ((8, (8,), 16),), _INT8, _FROM["sm_75"]),
    _Row("mma", False, _small(16, 32), _INT8, _FROM["sm_80"]),
    _Row("mma", False, ((8, (8,), 32),), _INT4, _FROM["sm_75"]),
    _Row("mma", False, _small(32, 64), _INT4, _FROM["sm_80"]),
    _Row("mma", True, _small(16, 32), (*_HALF, *_BF16), _FROM["sm_80"]),
    _Row("mma", True, _small(8, 16), _TF32, _FROM["sm_80"]),
    _Row("mma", True, _small(32, 64), _INT8, _FROM["sm_80"]),
    _Row("mma", True, _small(64, 128), _INT4, _FROM["sm_80"]),
    _Row("mma", True, _small(64), _mixed(("fp32",), ("e4m3", "e5m2")), _FROM["sm_89"]),
    _Row("wgmma", False, ((64, _N, 16),), (*_HALF, *_BF16), _HOPPER),
    _Row("wgmma", False, ((64, _N, 8),), _TF32, _HOPPER),
    _Row("wgmma", False, ((64, _N, 32),), _FP8, _HOPPER),
    _Row("wgmma", False, ((64, _N_INT, 32),), _INT8, _HOPPER),
    _Row("wgmma", True, ((64, _N, 32),), (*_HALF, *_BF16), _HOPPER),
    _Row("wgmma", True, ((64, _N, 16),), _TF32, _HOPPER),
    _Row("wgmma", True, ((64, _N, 64),), _FP8, _HOPPER),
    _Row("wgmma", True, ((64, _N_INT, 64),), _INT8, _HOPPER),
    _Row("tcgen05", False, ((64, _N, 16), (128, _N, 16)), (*_HALF, *_BF16), _BLACKWELL),
    _Row("tcgen05", False, ((64, _N, 8), (128, _N, 8)), _TF32, _BLACKWELL),
    _Row("tcgen05", False, ((64, _N, 32), (128, _N, 32)), _FP8, _BLACKWELL),
    _Row("tcgen05", True, ((64, _N, 32), (128, _N, 32)), (*_HALF, *_BF16), _BLACKWELL),
    _Row("tcgen05", True, ((64, _N, 16), (128, _N, 16)), _TF32, _BLACKWELL),
    _Row("tcgen05", True, ((64, _N, 64), (128, _N, 64)), _FP8, _BLACKWELL),
)

#: Kinds in the order in which a library would take them.
_PREFERRED = ("tcgen05", "wgmma", "mma")


def parse(name: str) -> Instruction:
    """Return the instruction called ``name``, e.g. ``"wgmma.sp.m64n64k32.f32.f16.f16"``.

    Full PTX names are understood too: ``"mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"``.

    Raises:
        UnsupportedError: when no tensor core has it.
    """
    name = text(name, "instruction", "the name of an instruction in PTX words").strip()
    words = [word for word in name.replace("sp::ordered_metadata", "sp").split(".") if word not in _SILENT_WORDS]
    plain = ".".join(word for word in words if word != "satfinite")
    found = _table().get(plain)
    if found is None:
        example = "such as 'mma.m16n8k16.f32.f16.f16.f32' or 'wgmma.sp.m64n64k32.f32.f16.f16'"
        raise UnsupportedError("instruction", f"a tensor-core instruction {example}", f"'{name}'{closest(plain, _table())}")
    if "satfinite" not in words:
        return found[0]
    if found[0].d != "int32":
        raise UnsupportedError(name, "satfinite on integers only", f"an accumulator of {found[0].d}")
    return replace(found[0], satfinite=True)


def archs_of(instruction: Instruction) -> tuple[str, ...]:
    """Return the compute capabilities that have the instruction."""
    return _table()[replace(instruction, satfinite=False).name][1]


def require(instruction: Instruction, arch: ArchLike) -> None:
    """Check that ``arch`` has the instruction.

    Raises:
        UnsupportedError: when it has not; the sentence lists what it has instead.
    """
    plain, archs = capability(arch), archs_of(instruction)
    if plain not in archs:
        raise UnsupportedError(
            instruction.name, f"an instruction of {plain} ({_instead(instruction, plain)})", f"one of {', '.join(archs)}"
        )


def gemm_instruction(arch: ArchLike, d: str, a: str, b: str, sparse: bool) -> Instruction:
    """Return the instruction a library would build a GEMM of these types from: the newest kind, then the largest.

    Raises:
        UnsupportedError: when ``arch`` has none.
    """
    fits = [each for each in available(arch) if (each.sparse, each.d, each.a, each.b, each.c) == (sparse, d, a, b, d)]
    if not fits:
        pairs = dict.fromkeys(f"{each.a} x {each.b} to {each.d}" for each in available(arch) if each.sparse == sparse)
        what = f"{'2:4 sparse' if sparse else 'dense'} types of a GEMM ({', '.join(pairs) or 'none'})"
        raise UnsupportedError(capability(arch), what, f"{a} x {b} to {d}")
    return max(fits, key=lambda each: (-_PREFERRED.index(each.kind), each.k, each.m * each.n))


def available(arch: ArchLike) -> list[Instruction]:
    """Return every instruction of ``arch``, without the satfinite variants."""
    plain = capability(arch)
    return [instruction for instruction, archs in _table().values() if plain in archs]


def usual_arch(dtype: str) -> str:
    """Return the first compute capability of a data center's GPU that takes inputs of ``dtype`` dense and sparse, else A100's."""
    found = (arch for arch in _DATA_CENTER if len({each.sparse for each in available(arch) if each.a == each.b == dtype}) == 2)
    return next(found, _DATA_CENTER[0])


def sparse_inputs() -> tuple[str, ...]:
    """Return the types of A that some sparse instruction takes."""
    return tuple(dict.fromkeys(each.a for each, _ in _table().values() if each.sparse))


def _instead(wanted: Instruction, arch: str) -> str:
    """Return what ``arch`` has of the wanted kind: the same types if any, else any types; wgmma by its widest n."""
    kin = [each for each in available(arch) if (each.kind, each.sparse) == (wanted.kind, wanted.sparse)]
    kin = [each for each in kin if (each.a, each.b) == (wanted.a, wanted.b)] or kin
    names = [each.name for each in kin if each.n == max(other.n for other in kin if other.k == each.k)]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"it has {', '.join(names[:6])}{more}" if names else f"it has no {wanted.kind}{'.sp' if wanted.sparse else ''}"


@cache
def _table() -> dict[str, tuple[Instruction, tuple[str, ...]]]:
    """Return every instruction and its compute capabilities by name."""
    table = {}
    for row in _ROWS:
        for (m, every_n, k), types in product(row.shapes, row.types):
            for n in every_n:
                instruction = Instruction(row.kind, row.sparse, m, n, k, *types)
                table[instruction.name] = (instruction, row.archs)
    return table

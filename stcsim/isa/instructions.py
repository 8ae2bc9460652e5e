"""Tensor-core instructions as data: names in PTX words, shapes, element types, and the compute capabilities that have them.

Sources: PTX ISA, "mma", "mma.sp", "wgmma.mma_async", "wgmma.mma_async.sp"; MMA-Sim 2.1.1 for which generation runs which
floating-point shape as its own instruction (m8n8k4 on sm_70 and sm_75 only). The shape of ``tcgen05`` stands in a descriptor,
not in its name, so it is written here as MMA-Sim writes it; the words of its full name (``mma``, ``cta_group::1``, ``kind::f16``)
may stand there too. ``wmma`` is compiled to the same HMMA and IMMA as ``mma``, which ``numerics.rules`` has one rule for.
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
_VOLTA, _HOPPER, _BLACKWELL = ("sm_70", "sm_72", "sm_75"), ("sm_90",), ("sm_100", "sm_103", "sm_110")
_BLACKWELL_INT8 = ("sm_100", "sm_110")  # PTX ISA 9.1, tcgen05.mma: kind::i8 needs sm_100a or sm_110a
_RTX_BLACKWELL = ("sm_120", "sm_121")

#: Words of a full PTX name that do not change what is computed; ``mma`` is one behind ``tcgen05`` and ``wmma``.
_SILENT_WORDS = ("sync", "aligned", "row", "col", "mma_async", "cta_group::1")
#: Types of A and B that each kind of ``tcgen05.mma`` and of ``mma`` on sm_120 has, of those that are known here.
_KINDS = {"f16": ("fp16", "bf16"), "tf32": ("tf32",), "f8f6f4": ("e4m3", "e5m2"), "i8": ("int8", "uint8")}


#: Kinds whose names have a word for C.
_NAMES_C = ("mma", "wmma")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One tensor-core instruction: D[m x n] = A[m x k] . B[k x n] + C[m x n].

    Attributes:
        kind: ``"mma"``, ``"wmma"``, ``"wgmma"`` or ``"tcgen05"``.
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
        types = (self.d, self.a, self.b, self.c)[: 4 if self.kind in _NAMES_C else 3]
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
_N_INT_128 = tuple(range(16, 257, 16))


def _small(*k: int) -> tuple[tuple[int, tuple[int, ...], int], ...]:
    """Return the shapes m16n8k... of ``mma``."""
    return tuple((16, (8,), each) for each in k)


def _wide(k: int) -> tuple[tuple[int, tuple[int, ...], int], ...]:
    """Return the three shapes of ``wmma``."""
    return ((16, (16,), k), (32, (8,), k), (8, (32,), k))


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
    _Row("mma", True, _small(64), _mixed(("fp16",), ("e4m3", "e5m2")), _RTX_BLACKWELL),
    _Row("wmma", False, _wide(16), _HALF, _FROM["sm_70"]),
    _Row("wmma", False, _wide(16), _BF16, _FROM["sm_80"]),
    _Row("wmma", False, ((16, (16,), 8),), _TF32, _FROM["sm_80"]),
    _Row("wmma", False, _wide(16), tuple(each for each in _INT8 if each[1] == each[2]), _FROM["sm_72"]),
    _Row("wmma", False, ((8, (8,), 32),), tuple(each for each in _INT4 if each[1] == each[2]), _FROM["sm_75"]),
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
    _Row("tcgen05", False, ((64, _N_INT, 32), (128, _N_INT_128, 32)), _INT8, _BLACKWELL_INT8),
    _Row("tcgen05", True, ((64, _N_INT, 64), (128, _N_INT_128, 64)), _INT8, _BLACKWELL_INT8),
)

#: Kinds in the order in which a library would take them.
_PREFERRED = ("tcgen05", "wgmma", "mma", "wmma")


def parse(name: str) -> Instruction:
    """Return the instruction called ``name``, e.g. ``"wgmma.sp.m64n64k32.f32.f16.f16"``.

    Full PTX names are understood too: ``"mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32"``.

    Raises:
        UnsupportedError: when no tensor core has it.
    """
    name = text(name, "instruction", "the name of an instruction in PTX words").strip()
    first, *rest = name.replace("sp::ordered_metadata", "sp").split(".")
    words = [first, *(word for word in rest if word not in (*_SILENT_WORDS, "mma"))]
    kinds = [word.removeprefix("kind::") for word in words if word.startswith("kind::")]
    words = _with_inputs([word for word in words if not word.startswith("kind::")])
    plain = ".".join(word for word in words if word != "satfinite")
    found = _table().get(plain)
    if found is None:
        raise UnsupportedError("instruction", _wanted(first, rest), f"'{name}'{closest(plain, _table())}")
    for kind in kinds:
        if found[0].a not in _KINDS.get(kind, ()):
            known = ", ".join(f"kind::{each} ({', '.join(types)})" for each, types in _KINDS.items())
            raise UnsupportedError(name, f"one of {known}, with its types", f"kind::{kind} of {found[0].a}")
    if "satfinite" not in words:
        return found[0]
    if found[0].d != "int32":
        raise UnsupportedError(name, "satfinite on integers only", f"an accumulator of {found[0].d}")
    return replace(found[0], satfinite=True)


def _with_inputs(words: list[str]) -> list[str]:
    """Return the words of a name with those of A and B, which PTX leaves out of ``wmma`` in fp16."""
    return [*words[:-1], "f16", "f16", words[-1]] if words[0] == "wmma" and len(words) == 4 else words


def _wanted(first: str, rest: list[str]) -> str:
    """Return what a name that is none should have been."""
    if first == "tcgen05" and not any(word.startswith("m") and word[1:2].isdigit() for word in rest):
        return "a shape and types too, which PTX keeps in a descriptor, such as 'tcgen05.m128n256k16.f32.f16.f16'"
    return "a tensor-core instruction such as 'mma.m16n8k16.f32.f16.f16.f32' or 'wgmma.sp.m64n64k32.f32.f16.f16'"


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

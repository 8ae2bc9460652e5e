"""The branches of a GPU's tree that hold costs rather than structure: launches, kernels of the libraries, power."""

from __future__ import annotations

from stcsim.arch.leaf import Cost, CostOrNull, Count, Exponent, Family, Rate, Ratio, Section, Share


class Launch(Section):
    """What one dependent kernel costs beyond its own work.

    Attributes:
        stream_us: launched one by one into a stream, microseconds.
        graph_us: replayed from a CUDA graph, microseconds.
        early_us: in a stream, for kernels that start and set up before the one ahead has ended (programmatic dependent launch);
            ``None`` where none do.
    """

    stream_us: Cost
    graph_us: Cost
    early_us: CostOrNull


class KernelCosts(Section):
    """Kernels of the libraries on this GPU: which catalogue, and the costs that no tile shape explains.

    Attributes:
        family: catalogue of tile shapes.
        prologue_cycles: start of the first CTA of an SM up to its first load.
        next_prologue_cycles: the same for a CTA that follows another one; persistent kernels have none.
        k_iteration_cycles: barrier and issue in each main-loop iteration.
        epilogue_bytes_per_clk: what the threads of one CTA convert and write of D in a cycle at most.
        gemv_start_fraction: share of the prologue that a matrix-vector kernel (n = 1) has.
        load_latency_cycles: what an asynchronous copy takes beyond the latency of a plain load.
        max_cluster_ctas: CTAs of the largest cluster that kernels use.
    """

    family: Family
    prologue_cycles: Cost
    next_prologue_cycles: Cost
    k_iteration_cycles: Cost
    epilogue_bytes_per_clk: Rate
    gemv_start_fraction: Share
    load_latency_cycles: Cost
    max_cluster_ctas: Count


class Power(Section):
    """The board's power limit and what work costs; dynamic power of the cores goes with the clock to ``clock_exponent``.

    Attributes:
        board_limit_w: default limit of the board.
        idle_w: memory refresh, leakage and clocks of a GPU that does nothing.
        tensor_pj_per_mac: one 16-bit MAC of random data at boost clock, operands from registers.
        half_width_ratio: energy of a MAC of floats over one of twice the width; 0.5 if energy goes with the bits.
        integer_mac_ratio: energy of an int8 MAC over a 16-bit one; an int4 one has its square.
        sparse_mac_ratio: one executed MAC of a 2:4 instruction (it multiplies the kept half only) over a dense one.
        smem_pj_per_byte, l2_pj_per_byte: reads and fills at boost clock.
        dram_pj_per_byte: at any clock.
        low_switching_ratio: energy of the cores on constant data over that on random data.
        burst_ratio: what the board lets pass in the first moments of a load, over its limit.
        response_ms: time under load after which half of what a burst may draw beyond the limit is taken back.
        clock_exponent: 3 where voltage follows the clock, 1 where it is at its floor.
    """

    board_limit_w: Rate
    idle_w: Cost
    tensor_pj_per_mac: Cost
    half_width_ratio: Share
    integer_mac_ratio: Share
    sparse_mac_ratio: Cost
    smem_pj_per_byte: Cost
    l2_pj_per_byte: Cost
    dram_pj_per_byte: Cost
    low_switching_ratio: Share
    burst_ratio: Ratio
    response_ms: Cost
    clock_exponent: Exponent

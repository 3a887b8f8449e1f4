"""Backend `cpu_numba`: Numba on CPU cores, packed rows read as AVX-512 vectors where there are any."""

from resprout.kernels.cpu_numba import compiled
from resprout.kernels.cpu_numba.adam import adam_dense, adam_packed
from resprout.kernels.cpu_numba.dot_scores import dot_scores
from resprout.kernels.cpu_numba.fill import fill_dense, fill_packed, random_scores
from resprout.kernels.cpu_numba.groups import group_ids
from resprout.kernels.cpu_numba.moves import choose_moves, choose_positions, drop_slots, grow_slots
from resprout.kernels.cpu_numba.rounded import round_bits, update_bits, update_half, update_int8
from resprout.kernels.cpu_numba.sampled_dots import sampled_dots
from resprout.kernels.cpu_numba.sums import (
    add_range,
    read_range,
    read_rows,
    sum_links,
    sum_links_bfloat16,
    sum_links_of,
    to_bfloat16,
)
from resprout.kernels.cpu_numba.top_k import keep_best, sort_best

__all__ = [
    "adam_dense",
    "adam_packed",
    "add_range",
    "choose_moves",
    "choose_positions",
    "dot_scores",
    "drop_slots",
    "fill_dense",
    "fill_packed",
    "group_ids",
    "grow_slots",
    "keep_best",
    "random_scores",
    "read_range",
    "read_rows",
    "round_bits",
    "sampled_dots",
    "sort_best",
    "sum_links",
    "sum_links_bfloat16",
    "sum_links_of",
    "to_bfloat16",
    "update_bits",
    "update_half",
    "update_int8",
]

compiled.watch()

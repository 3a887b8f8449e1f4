"""Backend `reference`: slow and obvious NumPy, the definition of every kernel."""

from resprout.kernels.reference.adam import adam_dense, adam_packed
from resprout.kernels.reference.dot_scores import dot_scores
from resprout.kernels.reference.fill import fill_dense, fill_packed, random_scores
from resprout.kernels.reference.groups import group_ids
from resprout.kernels.reference.moves import choose_moves, choose_positions, drop_slots, grow_slots
from resprout.kernels.reference.rounded import round_bits, update_bits, update_half, update_int8
from resprout.kernels.reference.sampled_dots import sampled_dots
from resprout.kernels.reference.sums import (
    add_range,
    read_range,
    read_rows,
    sum_links,
    sum_links_bfloat16,
    sum_links_of,
    to_bfloat16,
)
from resprout.kernels.reference.top_k import keep_best, sort_best

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

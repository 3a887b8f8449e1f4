"""Lottery tickets of tables: LTH-MRS (Wang et al., arXiv 2108.00944), iterative magnitude pruning with rewinding."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from resprout.methods import method, packing
from resprout.methods.method import Allowance, Stage, first_left


class Options(packing.PackedOptions):
    """Options of `lottery`."""

    cut: float = Field(default=0.1, gt=0, lt=1, description="share of the weights that are left which a round cuts off")
    round_epochs: int | None = Field(
        default=None, ge=1, description="epochs of each round but the last; training.epochs if not given"
    )


class Lottery(method.Method):
    """Rounds: each trains from the same starting values with a mask of the largest weights of the round before.

    A share of `(1 - cut)^r` of the weights is left in round r; the last round has exactly the budget.
    """

    Options = Options
    summary = "rounds of training, each cutting the smallest weights and starting over (LTH-MRS)"
    cost = "8 at 50 %, 17 at 20 %, 23 at 10 %"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return next_round(finished, allowance, self.options, "lottery")


def next_round(
    finished: Sequence[Stage], allowance: Allowance, options: Any, name: str, **sources: Any
) -> Stage | None:
    """The round after those that are finished; `sources` say where its weights begin, if not with those of the seed."""
    plan = densities(allowance, options, name)
    number, last = len(finished), len(plan) - 1
    if number == 0:
        return Stage("dense", "dense", allowance.widths, deployed=False, epochs=options.round_epochs)
    packed = Stage(
        "train" if number >= last else f"round {number}",
        "packed",
        allowance.widths,
        plan[min(number, last)],
        deployed=number >= last,
        mask_from=finished[-1].name,
        epochs=options.round_epochs if number < last else None,
        **sources,
    )
    return packed if number < last else first_left(finished[last:], *packing.deployed(packed, options))


def densities(allowance: Allowance, options: Any, name: str) -> list[tuple[int, ...]]:
    """Slots of each table in each round: all of them, `(1 - cut)^r` of them, and in the last those of the budget."""
    goal = packing.slots_within(allowance, name, options)
    weights = [shape.weights for shape in allowance.shapes]
    rounds = [tuple(weights)]
    while rounds[-1] != goal or len(rounds) == 1:
        left = (1 - options.cut) ** len(rounds)
        rounds.append(tuple(max(least, int(whole * left)) for whole, least in zip(weights, goal, strict=True)))
    return rounds

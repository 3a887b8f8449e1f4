"""WR of LTH-MRS (Wang et al., arXiv 2108.00944): rounds as in `lottery`, without its starting values."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from resprout.methods import lottery, method
from resprout.methods.method import Allowance, Stage


class Options(lottery.Options):
    """Options of `without_rewinding`."""

    mode: Literal["reinit", "continue"] = Field(
        default="reinit",
        description="each round starts with values of its own (the authors' code), or with those of the last",
    )


class WithoutRewinding(method.Method):
    """Rounds: each keeps the largest weights of the round before, at values that are not those of the seed."""

    Options = Options
    summary = "rounds as in lottery that start with other values (WR)"
    cost = "8 at 50 %, 17 at 20 %, 23 at 10 %"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        sources: dict[str, Any] = {"draw": len(finished)}
        if self.options.mode == "continue" and finished:
            sources = {"values_from": finished[-1].name}
        return lottery.next_round(finished, allowance, self.options, "without_rewinding", **sources)

"""Dense: the full table, the reference of every comparison."""

from collections.abc import Sequence

from resprout.errors import SettingsError
from resprout.methods.method import Allowance, Method, Stage


class Dense(Method):
    """One stage, all weights."""

    summary = "the full table: the reference, without a budget"
    cost = "1"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        if allowance.budget is not None and allowance.budget.share != 1:
            raise SettingsError(
                f"method 'dense' uses every weight and cannot keep to a budget of {allowance.budget}: "
                "leave the budget out, or use 'resprout', 'narrow', 'random' or 'dsl'"
            )
        return None if finished else Stage("train", "dense", allowance.widths)

"""Resprout: rows of few bits that are trained as they are deployed, so that nearly all of the budget is weights.

Where a graph can make users of their items, or items of their users, and that is worth more than rows of their own,
these have none.

What a dense table holds in training is mostly not its weights: Adam keeps two float32 moments for each of them. Here a
row has one second moment and none of first order. Weights are int8 (with a scale a row) or float16, which updates round
up or down so that small ones are not lost (Gupta et al., ICML 2015, section 3.1); or they have 1 to 6 bits,
rounded to the nearest level after each update of float16 ones that only training keeps. Where a backbone's scores are
products of rows and bits are fewer than four, rows are turned to principal axes, and bits lie where they tell most
(`tables.planes`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import Field

from resprout.errors import BudgetExceeded
from resprout.methods import method
from resprout.methods.method import SIDES, Allowance, Hooks, Moment, RowsFor, Stage, first_left, stage_name
from resprout.methods.quantised import DEPLOYED, PLANES, Precision, planes_within
from resprout.tables import bits, planes
from resprout.tables.bits import BitsTable

BITS = tuple(name for name in DEPLOYED if name.startswith("bits"))
LOST = {name: bits.LOST[int(name[4:])] for name in BITS}
"""The share of a normal weight's variance that rounding loses."""
PLANES_HALVE = 1.25
"""As many bits a weight, in the mean, take away half of what is not worth a column yet, where they lie in planes
(docs/decisions/0015)."""


MANY, FEW = 100, 10
"""Interactions of training, in the mean. A row that has many tells of itself all that others need: those who meet it
need no row. A row that has few learns little that its neighbours do not know. With those held out, ML-1M's
items have about 300, CiteULike's 5; on Gowalla, where both sides have about 30, it is a tie at best
(docs/decisions/0013)."""
RICH_WORTH, POOR_WORTH = 0.85, 0.7
"""What a column is worth in a form without rows for one side, of one where both have some, in these two cases."""


class Options(method.Options):
    """Options of `resprout`."""

    precision: Literal["auto"] | Precision = Field(
        default="auto",
        description="of the weights, in training too, as for `quantised`; auto: what weighs columns against bits best, "
        "and, where bytes of training count, float16 or int8",
    )
    round_at: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="of 1 to 6 bits: share of the steps after which training reads rounded ones; if not given all do",
    )
    turn_until: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="of planes: share of the steps until which tables are turned, and not read rounded",
    )
    int8_worth: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="where bytes of training count: what a column of int8 is worth of one of float16",
    )
    rows_for: RowsFor | None = Field(
        default=None,
        description="who has rows: both, or users or items alone, which have more columns then, and of which the graph "
        "makes the others (lightgcn); if not given, what is worth most",
    )


@dataclass(frozen=True)
class Plan:
    """Rows of few bits: how they are stored, the columns of each table, who has some, what a column counts.

    column_worth: but for what rounding loses.
    """

    storage: str
    widths: tuple[int, ...]
    rows_for: RowsFor
    column_worth: float

    @property
    def worth(self) -> float:
        """What orders plans: columns count as far as rounding leaves them, and more where both sides have some.

        The exponent is where 40 columns of 3 bits and 64 of 2 are as good (docs/decisions/0012).
        """
        columns = sum(self.widths) / len(self.widths)
        if self.storage.startswith(PLANES):
            each = 8 * int(self.storage.removeprefix(PLANES)) / columns
            return float(columns * (1 - 0.5 ** (each / PLANES_HALVE)) * self.column_worth)
        return columns * (1 - LOST.get(self.storage, 0)) ** 6 * self.column_worth


class Resprout(method.Method):
    """One stage: rows of few bits, of as many columns as the budget has room for."""

    Options = Options
    summary = "a table of 16 to less than one bit a weight, trained as it is deployed, with one moment a row"
    cost = "1 or less: its width by the full width, and half of that with rows for one side alone"
    stages_at_some_budgets = SIDES

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        plan = self._plan(allowance)
        name = stage_name(plan.rows_for)
        return first_left(finished, Stage(name, plan.storage, plan.widths, rows_for=plan.rows_for))

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        if stage.storage in planes.EMPTY:
            return Turning(self.options.turn_until)
        share = self.options.round_at
        return LateRounding(share) if share and stage.storage in BITS else Hooks()

    def _plan(self, allowance: Allowance) -> Plan:
        """The plan that is worth most; of equals the one with more bits, and with rows for both sides."""
        plans, refusal = [], None
        for rows_for, form_worth in self._forms(allowance).items():
            its = allowance.for_rows(rows_for)
            for precision in self._precisions(its):
                worth = form_worth * (self.options.int8_worth if precision == "int8" else 1)
                try:
                    plans.append(Plan(*_stored(its, precision), rows_for, worth))
                except BudgetExceeded as error:
                    refusal = error
        if refusal is not None and not plans:
            raise refusal
        return max(plans, key=lambda plan: plan.worth)

    def _forms(self, allowance: Allowance) -> dict[RowsFor, float]:
        """Who may have rows, and what a column is worth then."""
        if self.options.rows_for is not None:
            return {self.options.rows_for: 1.0}
        forms: dict[RowsFor, float] = {"both": 1.0}
        of = allowance.interactions
        if allowance.budget is not None and of:
            for side, other in (SIDES, SIDES[::-1]):
                if side in allowance.one_sided and of[side] >= MANY:
                    forms[side] = RICH_WORTH
                elif side in allowance.one_sided and of[other] < FEW:
                    forms[side] = POOR_WORTH
        return forms

    def _precisions(self, allowance: Allowance) -> Sequence[str]:
        if self.options.precision != "auto":
            return [self.options.precision]
        if allowance.budget is None:
            return ["float16"]
        if allowance.budget.of == "training":
            # fewer bits would need float16 weights besides, which only training keeps
            return ["float16", "int8"]
        return ["float16", *BITS, *([PLANES] if allowance.rotation_invariant else [])]


def _stored(allowance: Allowance, precision: str) -> tuple[str, tuple[int, ...]]:
    """What storage the tables have in this precision, and how many columns within the budget."""
    budget = allowance.budget
    if precision == PLANES:
        return planes_within(allowance), allowance.widths
    if budget is None:
        return precision, allowance.widths
    row_bytes = DEPLOYED[precision] if budget.of == "deployed" else partial(_trained_bytes, precision)
    return precision, tuple(budget.narrow_widths(allowance.shapes, row_bytes))


def _trained_bytes(precision: str, width: int) -> int:
    """Of a row with its moment and, of few bits, with what its weights are rounded from."""
    unrounded, moment = 2 * width if precision in BITS else 0, 2 if precision == "int8" else 4
    return DEPLOYED[precision](width) + unrounded + moment


class LateRounding(Hooks):
    """Losses read unrounded weights until a share of the steps is over; all else that reads tables, rounded ones."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def before_batch(self, moment: Moment) -> None:
        """See `Hooks.before_batch`."""
        _read_unrounded(moment, not self._rounds(moment, moment.step))

    def after_update(self, moment: Moment) -> None:
        """See `Hooks.after_update`."""
        _read_unrounded(moment, False)

    def _rounds(self, moment: Moment, step: int) -> bool:
        return step > self.share * moment.total_steps


class Turning(LateRounding):
    """Until rounding begins, tables are turned after each epoch, so that they are judged as they would be deployed."""

    def before_batch(self, moment: Moment) -> None:
        """See `Hooks.before_batch`."""
        if self._rounds(moment, moment.step) and not self._rounds(moment, moment.step - 1):
            planes.turn(moment.tables)
        super().before_batch(moment)

    def after_epoch(self, moment: Moment) -> None:
        """See `Hooks.after_epoch`."""
        if not self._rounds(moment, moment.step):
            planes.turn(moment.tables)


def _read_unrounded(moment: Moment, whether: bool) -> None:
    for table in moment.tables.values():
        if isinstance(table, BitsTable):
            table.reads_unrounded = whether

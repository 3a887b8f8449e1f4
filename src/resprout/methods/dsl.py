"""Dynamic Sparse Learning (DSL, WSDM '24, arXiv 2402.02855, section 3): a random mask that moves while it is trained.

Every so often the slots of smallest magnitude are dropped and as many are grown where the gradient is
largest, by a share that falls to nothing at the end of training (`rho_t = rho_0 / 2 (1 + cos(pi t / T_end))`).

Where the paper leaves a choice: the number of slots is exact and constant, moments of a new slot start at zero (its
code never clears those of a dropped weight), and one that is dropped and grown at once keeps value and moments.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from resprout.backbones.backbone import Backbone
from resprout.budget import TRAINED_BYTES, VALUE_BYTES, Layout, MemoryUse, mask_row_bytes
from resprout.errors import SettingsError
from resprout.methods import method, packing
from resprout.methods.method import Allowance, Hooks, Moment, Stage, first_left, needed
from resprout.methods.random import packed_stages
from resprout.schedules import Decay, decayed
from resprout.tables.places import flags, move_key, random_scores
from resprout.tables.slots import Leaving, SlotTable, move_slots
from resprout.tables.table import Table


class Options(packing.PackedOptions):
    """Options of `dsl`."""

    mask: Literal["random", "popular", "columns", "mostly_columns", "prefix"] = Field(
        default="random",
        description="where slots begin: at random; popular: the more, the more interactions a row has; "
        "in first columns of all rows, as if narrow, or 9 of 10 there; "
        "prefix: no mask, rows keep first columns, whose numbers begin uneven, and gain and lose them at their ends",
    )
    regrow_every: int | None = Field(
        default=None, ge=1, description="steps between two moves of the mask (dT); 2000, or less for at least 50 moves"
    )
    share: float = Field(default=0.5, gt=0, lt=1, description="share of the slots that move first (rho_0)")
    decay: Decay = Field(default="cosine", description="how that share falls over training: cosine, linear or constant")
    grow: Literal["gradient", "random"] = Field(
        default="gradient", description="where slots grow; random is the ablation"
    )
    drop: Literal["magnitude", "sensitivity"] = Field(
        default="magnitude", description="which slots go: those of least |w|, as in the paper, or of least |w g|"
    )
    floor: int = Field(default=0, ge=0, description="slots that no row is to lose")
    new_moments: Literal["zero", "row"] = Field(
        default="zero", description="second moments of new slots: 0, or the mean of their row"
    )
    growth_batches: int = Field(
        default=1,
        ge=0,
        description="fresh batches whose gradient decides; 0: that of the last training batch, as in the paper",
    )
    scope: Literal["table", "joint"] = Field(
        default="table", description="slots stay in their table, or move between tables"
    )
    begin_at: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the steps before which the mask stays: magnitudes say nothing on a plateau",
    )
    freeze_at: float = Field(default=1.0, gt=0, le=1, description="share of the steps after which the mask stays")
    scale_start: bool = Field(default=False, description="starting values times 1/sqrt(density)")
    record_lived: bool = Field(
        default=False, description="for reports: keep a second mask of positions that ever were slots"
    )

    @property
    def leaving(self) -> Leaving:
        """Which slots go."""
        return Leaving(self.drop == "sensitivity", self.floor)


class DSL(method.Method):
    """One stage, a packed table whose slots move."""

    Options = Options
    summary = "a packed table whose slots move to where they help (Dynamic Sparse Learning)"
    cost = "less than 1"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        trained = _trained_layout(allowance, self.options)
        if self.options.mask == "prefix":
            return first_left(finished, _prefix_stage(allowance, self.options, trained))
        return first_left(finished, *packed_stages(allowance, "dsl", self.options, self.options.mask, trained))

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        return Regrow(self.options) if stage.name == "train" else Hooks()


class Regrow(Hooks):
    """Moves slots every `regrow_every` steps."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.moved = 0

    def prepare(self, model: Backbone, earlier: Callable[[str], Backbone], seed: int) -> None:
        """See `Hooks.prepare`: a record of where slots ever were begins with where they are."""
        if self.options.record_lived:
            for name, table in _slotted(model.tables).items():
                # a buffer, so that checkpoints keep it
                self.network.register_buffer(name, torch.from_numpy(table.mask.view(np.uint8).copy()))

    def after_update(self, moment: Moment) -> None:
        """See `Hooks.after_update`."""
        if not self._moves_after(moment.step, moment.total_steps):
            return
        share = self.options.share * decayed(self.options.decay, moment.step / moment.total_steps)
        slotted = _slotted(moment.tables)
        tables = list(slotted.values())
        if self._growth_batches:
            moment.backward(self._growth_batches)
        groups = [tables] if self.options.scope == "joint" else [[table] for table in tables]
        for group in groups:
            self._move(group, int(share * sum(table.slots for table in group)), moment)
        if not self.moved and self.options.grow == "gradient":
            _check_growth(tables)
        for name, lived in self.network.named_buffers():
            lived |= torch.from_numpy(slotted[name].mask.view(np.uint8))

    def fresh_batches(self, steps: range, total_steps: int) -> Sequence[int]:
        """See `Hooks.fresh_batches`: one a move, if gradients decide."""
        if not self._growth_batches:
            return ()
        return [self._growth_batches for step in steps if self._moves_after(step, total_steps)]

    @property
    def _growth_batches(self) -> int:
        reads_gradients = self.options.grow == "gradient" or self.options.leaving.by_sensitivity
        return self.options.growth_batches if reads_gradients else 0

    def _moves_after(self, step: int, total_steps: int) -> bool:
        every = self.options.regrow_every or min(2000, max(1, total_steps // 50))
        return step % every == 0 and self.options.begin_at <= step / total_steps <= self.options.freeze_at

    def _move(self, tables: list[SlotTable], count: int, moment: Moment) -> None:
        if count == 0:
            return
        if self.options.grow == "gradient":
            scores = [table.gradient_blocks for table in tables]
        else:
            scores = [
                random_scores(table.shape, move_key(moment.seed, table.shape.name, moment.step), table.backend)
                for table in tables
            ]
        self.moved += move_slots(tables, scores, count, self.options.leaving)
        if self.options.new_moments == "row":
            for table in tables:
                table.share_moments()

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """See `Hooks.memory`: while slots move, masks say which positions change."""
        slotted = _slotted(tables).values()
        uses = {"moves": sum(table.moving_bytes(self.options.leaving.weighed) for table in slotted)}
        if self.options.record_lived:
            uses["lived_mask"] = sum(table.mask.nbytes for table in slotted)
        return MemoryUse(uses)

    def state(self) -> dict[str, int]:
        """See `Hooks.state`."""
        lived = [int(np.bitwise_count(mask.numpy()).sum(dtype=np.int64)) for mask in self.network.buffers()]
        return {"moved_slots": self.moved} | ({"ever_slots": sum(lived)} if self.options.record_lived else {})

    def load_state(self, state: Mapping[str, int]) -> None:
        """See `Hooks.load_state`."""
        self.moved = state["moved_slots"]


def _trained_layout(allowance: Allowance, options: Options) -> Layout:
    """How tables lie while slots move: with a mask of what changes, and what slots are worth, if not their weights."""
    prefix = options.mask == "prefix"
    masks = 1 + prefix + options.record_lived
    worth = VALUE_BYTES if prefix or options.leaving.weighed else 0
    mask_bytes = max(mask_row_bytes(shape.width) for shape in allowance.shapes)
    return Layout(TRAINED_BYTES + worth, masks * mask_bytes, masked=not prefix)


def _prefix_stage(allowance: Allowance, options: Options, trained: Layout) -> Stage:
    """The stage of tables without masks; SettingsError for slots of few bits, which are read by a mask."""
    if options.precision != "float32":
        raise SettingsError(f"method.precision = {options.precision!r}: rows that keep a prefix are float32 only")
    budget = needed(allowance, "dsl")
    slots = budget.slots(allowance.shapes, Layout(masked=False) if budget.of == "deployed" else trained)
    return Stage("train", "prefix", allowance.widths, tuple(slots), options.scale_start, mask="uneven")


def _slotted(tables: Mapping[str, Table]) -> dict[str, SlotTable]:
    return {name: table for name, table in tables.items() if isinstance(table, SlotTable)}


def _check_growth(tables: Sequence[SlotTable]) -> None:
    """Raises SettingsError where no position of any table without a slot has a gradient: no mask would ever move.

    Tables of slots alone have nothing to move, and are what a budget of 100 % asks for.
    """
    if all(table.slots == table.shape.weights for table in tables):
        return
    for table in tables:
        mask = table.mask
        for first, block in table.gradient_blocks():
            taken = flags(mask[first : first + len(block)], block)
            if np.any(block[~taken]):
                return
    raise SettingsError(
        "dsl has nowhere to grow: no weight without a slot has a gradient, as where a column is empty in all tables; "
        "begin with method.mask = 'mostly_columns' or 'random', or use method 'narrow'"
    )

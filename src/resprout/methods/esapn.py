"""ESAPN (Liu et al., SIGIR 2020): every row has one size, and a policy that is rewarded decides which ones grow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.nn import functional

from resprout.backbones.backbone import Backbone
from resprout.backbones.noise import generator, start_layers
from resprout.budget import MemoryUse
from resprout.kernels.contract import I32
from resprout.methods import method, sizes
from resprout.methods.method import Allowance, Hooks, Moment, Stage
from resprout.rng import stream
from resprout.tables.mixed import MixedTable
from resprout.tables.table import Table

_MEMORY = 5


class Options(sizes.SearchOptions):
    """Options of `esapn`."""

    policy_every: int = Field(default=1, ge=1, description="steps between two looks at rows that may grow")
    pairs: int = Field(default=500, ge=2, description="users, each with one of its items, that are looked at")


class ESAPN(method.Method):
    """Two stages: the search, and a training of rows with as many columns as they have come to."""

    Options = Options
    summary = "a policy lets rows grow from size to size, then they keep their first columns (ESAPN)"
    cost = "about 4: a search on twice the weights, and the final training"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return sizes.search_then_train(finished, allowance, self.options, "esapn", within_budget=True)

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        return Search(self.options, stage.slots) if stage.name == "search" else Hooks()


class Search(Hooks):
    """Before a step rows of some pairs of user and item may grow: rewards teach the policies, then these decide.

    A try reads the larger piece as it lies there; a row that grows begins it with what layers make of its old one.
    """

    def __init__(self, options: Options, slots: Sequence[int]) -> None:
        super().__init__()
        self._options, self._slots = options, slots
        self._growers: dict[str, _Grower] = {}

    def prepare(self, model: Backbone, earlier: Callable[[str], Backbone], seed: int) -> None:
        """See `Hooks.prepare`."""
        parts = {}
        for (name, table), most in zip(sizes.mixed(model.tables).items(), self._slots, strict=True):
            mixer = sizes.ChainMixer(table.sizes)
            self._growers[name] = _Grower(table, mixer, model.degrees(name), most)
            parts[name] = nn.ModuleDict({"mixer": mixer, "policy": self._growers[name].policy})
            parts[name].register_parameter("losses", self._growers[name].losses)
        self.network = nn.ModuleDict(parts)
        start_layers(self.network, generator(seed, "sizes"))

    def begin(self, moment: Moment) -> None:
        """See `Hooks.begin`: at first rows are all of the smallest size."""
        for grower in self._growers.values():
            if moment.step == 0:
                grower.start()
            grower.table.mix_by(grower.mixer)

    def before_batch(self, moment: Moment) -> None:
        """See `Hooks.before_batch`."""
        if moment.step % self._options.policy_every:
            return
        random = stream(moment.seed, "esapn", moment.step)
        pairs = _drawn(moment.model, self._options.pairs, random)
        before, tries = _losses(moment.model, pairs), {}
        for name, grower in self._growers.items():
            tries[name] = grower.tried(moment.model.rows_of(name, pairs.users, pairs.items[:, 0]), random)
            grower.table.refresh()
        after = _losses(moment.model, pairs)
        for name, grower in self._growers.items():
            grower.settle(tries[name], before, after)
            grower.table.refresh()

    def after_update(self, moment: Moment) -> None:
        """See `Hooks.after_update`."""
        for grower in self._growers.values():
            grower.table.refresh()

    def after_epoch(self, moment: Moment) -> None:
        """See `Hooks.after_epoch`."""
        for grower in self._growers.values():
            grower.set_chances()

    def looks(self, steps: range) -> Sequence[int]:
        """See `Hooks.looks`."""
        return [step for step in steps if step % self._options.policy_every == 0]

    def executed_outside_tables(self, model: Backbone, batch: Any) -> int:
        """See `Hooks.executed_outside_tables`: of layers that pieces go through, policies and the scores of pairs.

        As if each user had an item of their own. Not counted: what rows that grow begin with, and `set_chances`.
        """
        pairs = min(self._options.pairs, model.histories.n_users, model.histories.n_items)
        step, look = 0, 2 * model.executed_pair_scores(pairs, 2)
        for name, grower in self._growers.items():
            table = grower.table
            mixing = table.shape.rows * sizes.products_of_layers(grower.mixer)
            rows = len(model.rows_of(name, *np.zeros((2, pairs), np.int32)))
            step += 4 * mixing
            look += 2 * mixing + 3 * rows * sizes.products_of_layers(grower.policy)
        return step + look // self._options.policy_every

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """See `Hooks.memory`."""
        return sizes.memory_of(self.network)


class _Pairs(NamedTuple):
    """Users, each once, and items `[users, 2]`: one that they have, no two of them the same, and a random one."""

    users: I32
    items: I32


class _Try(NamedTuple):
    """Rows, their sizes `[rows, sizes]` (one is 1), the policy's logits, and whether it let each grow."""

    rows: I32
    sizes: NDArray[np.float32]
    logits: torch.Tensor
    grown: NDArray[np.bool_]


class _Grower:
    """The sizes of a table's rows, which have no more than `most` weights together, and who decides about them."""

    def __init__(self, table: MixedTable, mixer: sizes.ChainMixer, degrees: NDArray[np.int64], most: int) -> None:
        self.table, self.mixer, self._degrees, self._most = table, mixer, degrees, most
        self._steps = np.diff(table.sizes, append=table.sizes[-1])
        self.policy = sizes.Policy(int(degrees.max()), len(table.sizes), 2)
        self.losses = nn.Parameter(torch.zeros(table.shape.rows, _MEMORY), requires_grad=False)
        """The last losses of each row, the latest at the end; what is not there yet is NaN."""

    def start(self) -> None:
        """All rows of the smallest size."""
        self.losses.fill_(torch.nan)
        self.table.weights[:, 0] = 1
        self.set_chances()

    def tried(self, rows: I32, random: np.random.Generator) -> _Try:
        """What comes of asking the policy, by chance; the rows have these sizes until `settle`."""
        state = self.table.weights[rows]
        logits = self.policy(self._degrees[rows], torch.from_numpy(state))
        chances = logits.detach().softmax(1)[:, 1].numpy()
        grown = (random.random(len(rows)) < chances) & (state[:, -1] == 0)
        self.table.weights[rows] = _larger(state, grown)
        return _Try(rows, state, logits, grown)

    def settle(self, tried: _Try, before: torch.Tensor, after: torch.Tensor) -> None:
        """Rewards the policy by how far losses fell below the mean of the last ones, and lets rows grow by it."""
        self.table.weights[tried.rows] = tried.sizes
        pair = torch.arange(len(tried.rows)) % len(before)
        known = self.losses[tried.rows]
        usual = torch.where(known[:, -1].isnan(), before[pair], known.nanmean(1))
        chosen = torch.from_numpy(tried.grown.astype(np.int64))
        entropy = functional.cross_entropy(tried.logits, chosen, reduction="none")
        torch.autograd.backward((entropy * (usual - after[pair])).mean())
        self.losses[tried.rows] = torch.cat([known[:, 1:], before[pair, None]], 1)
        self._grow(tried)

    def set_chances(self) -> None:
        """How likely a row is to come to each size, if the policy is asked again and again."""
        degrees, places = np.unique(self._degrees, return_inverse=True)
        count = len(self.table.sizes)
        with torch.no_grad():
            state = torch.eye(count).repeat(len(degrees), 1)
            asked = self.policy(np.repeat(degrees, count), state).softmax(1)[:, 1].numpy().reshape(-1, count)[places]
        here = self.table.weights.argmax(1)[:, None]
        onward = np.where(np.arange(count - 1) < here, np.float32(1), asked[:, :-1])
        self.table.chances[:, 0] = 1
        self.table.chances[:, 1:] = onward.cumprod(1)

    def _grow(self, tried: _Try) -> None:
        """The rows that the policy would rather let grow, the surest first, while there is room."""
        surer = (tried.logits[:, 1] - tried.logits[:, 0]).detach().numpy()
        larger = self._steps[tried.sizes.argmax(1)]
        first = np.argsort(-surer, kind="stable")
        first = first[(surer[first] > 0) & (larger[first] > 0)]
        room = self._most - int(self.table.weights.sum(0) @ np.array(self.table.sizes))
        first = first[np.cumsum(larger[first]) <= room]
        before = tried.sizes[first].argmax(1)
        begins = np.cumsum([0, *self.table.sizes])
        for k, layer in enumerate(self.mixer.layers):
            rows = tried.rows[first[before == k]]
            if len(rows):
                own, following = slice(*begins[k : k + 2]), slice(*begins[k + 1 : k + 3])
                with torch.no_grad():
                    self.table.values[rows, following] = layer(torch.from_numpy(self.table.values[rows, own])).numpy()
                for moments in self.table.moments:
                    moments[rows, following] = 0
        grown = np.zeros(len(tried.rows), bool)
        grown[first] = True
        self.table.weights[tried.rows] = _larger(tried.sizes, grown)


def _larger(state: NDArray[np.float32], grown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Sizes with those that have grown one further."""
    return np.where(grown[:, None], np.roll(state, 1, 1), state)


def _drawn(model: Backbone, count: int, random: np.random.Generator) -> _Pairs:
    known = model.histories
    users = np.flatnonzero(known.counts).astype(np.int32)
    users = random.choice(users, min(count, len(users)), replace=False)
    places = known.starts[users] + random.integers(0, known.counts[users])
    items, first = np.unique(known.items[places], return_index=True)
    others = random.integers(0, known.n_items, len(items), np.int32)
    return _Pairs(users[first], np.stack([items, others], 1))


def _losses(model: Backbone, pairs: _Pairs) -> torch.Tensor:
    """BPR's loss of each pair."""
    with torch.no_grad():
        scores = model.pair_scores(pairs.users, pairs.items)
        return functional.softplus(scores[:, 1] - scores[:, 0])

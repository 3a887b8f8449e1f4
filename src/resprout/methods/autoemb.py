"""AutoEmb (Zhao et al., arXiv 2002.11252): every row is a weighted sum of sizes, whose weights a controller learns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from resprout.backbones.backbone import Backbone
from resprout.backbones.noise import generator, start_layers
from resprout.budget import MemoryUse
from resprout.methods import method, sizes
from resprout.methods.method import Allowance, Hooks, Moment, Stage
from resprout.tables.mixed import MixedTable
from resprout.tables.table import Table


class AutoEmb(method.Method):
    """Two stages: the search, and a training of rows with as many columns as they most likely need."""

    Options = sizes.SearchOptions
    summary = "weights of several sizes for each row are learnt, then rows keep their first columns (AutoEmb)"
    cost = "about 4: a search with two batches a step on twice the weights, and the final training"

    def next_stage(self, finished: Sequence[Stage], allowance: Allowance) -> Stage | None:
        """See `Method.next_stage`."""
        return sizes.search_then_train(finished, allowance, self.options, "autoemb", within_budget=False)

    def hooks(self, stage: Stage) -> Hooks:
        """See `Method.hooks`."""
        return Search() if stage.name == "search" else Hooks()


class Search(Hooks):
    """Before each step the controllers learn from a batch that the step does not see; then the model learns."""

    def __init__(self) -> None:
        super().__init__()
        self._controllers: dict[str, _Controller] = {}

    def prepare(self, model: Backbone, earlier: Callable[[str], Backbone], seed: int) -> None:
        """See `Hooks.prepare`."""
        parts = {}
        for name, table in sizes.mixed(model.tables).items():
            self._controllers[name] = _Controller(table, model.degrees(name))
            parts[name] = nn.ModuleDict({"mixer": sizes.SoftMixer(table.sizes), "controller": self._controllers[name]})
        self.network = nn.ModuleDict(parts)
        start_layers(self.network, generator(seed, "sizes"))

    def begin(self, moment: Moment) -> None:
        """See `Hooks.begin`: at first rows are all of the smallest size."""
        for name, table in sizes.mixed(moment.tables).items():
            if moment.step == 0:
                table.weights[:, 0] = 1
                self._controllers[name].follow()
            table.mix_by(self._mixer(name))

    def before_batch(self, moment: Moment) -> None:
        """See `Hooks.before_batch`: gradients of the weights of sizes, passed on to the controllers."""
        moment.backward(1)
        for name, table in sizes.mixed(moment.tables).items():
            with torch.no_grad():
                gradient, candidates = table.whole_gradient(), self._mixer(name).candidates(table.pieces())
                of_weights = torch.stack([(gradient * candidate).sum(1) for candidate in candidates], 1)
            self._controllers[name].learn(of_weights)
        moment.model.clear_gradient()

    def after_update(self, moment: Moment) -> None:
        """See `Hooks.after_update`: weights by the new controllers, rows by the new weights."""
        for name, table in sizes.mixed(moment.tables).items():
            self._controllers[name].follow()
            self._controllers[name].choose()
            table.refresh()

    def looks(self, steps: range) -> Sequence[int]:
        """See `Hooks.looks`."""
        return steps

    def executed_outside_tables(self, model: Backbone, batch: Any) -> int:
        """See `Hooks.executed_outside_tables`: of the batch for the controllers, of these, and of mixing.

        Pieces go through them for the gradients of weights, for those of the pieces (and two gradients), and for the
        rows that are read.
        """
        total = model.executed_outside_tables(len(batch.users))
        for name, table in sizes.mixed(model.tables).items():
            layers, sums = sizes.products_of_layers(self._mixer(name)), len(table.sizes) * table.shape.width
            total += table.shape.rows * (5 * layers + 4 * sums) + self._controllers[name].multiply_adds
        return total

    def memory(self, tables: Mapping[str, Table]) -> MemoryUse:
        """See `Hooks.memory`."""
        return sizes.memory_of(self.network)

    def _mixer(self, name: str) -> Any:
        return self.network.get_submodule(f"{name}.mixer")


class _Controller(nn.Module):
    """The weights of sizes of a table's rows, which are the same for rows of the same popularity."""

    def __init__(self, table: MixedTable, degrees: NDArray[np.int64]) -> None:
        super().__init__()
        self._table = table
        self._degrees, self._firsts, places = np.unique(degrees, return_index=True, return_inverse=True)
        self._places = torch.from_numpy(places)
        count = len(table.sizes)
        self.policy = sizes.Policy(int(self._degrees[-1]), count, count)
        self.previous = nn.Parameter(torch.zeros(len(self._degrees), count), requires_grad=False)
        """The weights before the last update, by popularity: what the policy goes by."""

    def weights(self) -> torch.Tensor:
        """Weights of sizes by popularity."""
        logits: torch.Tensor = self.policy(self._degrees, self.previous)
        return logits.softmax(1)

    def learn(self, gradient: torch.Tensor) -> None:
        """Adds to the policy's gradients those that follow from gradients of weights, `[rows, sizes]`."""
        by_popularity = torch.zeros_like(self.previous).index_add_(0, self._places, gradient)
        torch.autograd.backward(self.weights(), by_popularity)

    def follow(self) -> None:
        """Takes the table's weights for the previous ones."""
        with torch.no_grad():
            self.previous.copy_(torch.from_numpy(self._table.weights[self._firsts]))

    def choose(self) -> None:
        """Sets the table's weights, and with them how likely a row needs a size or a larger one."""
        with torch.no_grad():
            chosen = self.weights()[self._places].numpy()
        self._table.weights[:] = chosen
        self._table.chances[:] = chosen[:, ::-1].cumsum(1)[:, ::-1]

    @property
    def multiply_adds(self) -> int:
        """Of a step: forward twice, and two gradients of each layer."""
        return len(self._degrees) * 4 * sizes.products_of_layers(self.policy)

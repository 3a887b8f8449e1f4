"""What a backbone is: a model that talks to its tables only through the operations of `tables.autograd`.

To add one, write one file here with one subclass of `Backbone`; `catalog.py` finds it by its file name.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from resprout.backbones.noise import generator
from resprout.budget import Shape
from resprout.data.batches import Batches, Sampling, TripletBatches
from resprout.data.histories import Histories
from resprout.errors import DataError
from resprout.evaluation.evaluate import Scorer
from resprout.kernels.contract import I32
from resprout.schedules import decayed
from resprout.tables import autograd
from resprout.tables.table import Table


class Options(BaseModel):
    """Options that every backbone has; a backbone adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=64, ge=1, le=1024, description="columns of the embedding tables before any compression")
    start: str = Field(
        default="normal", pattern="^(normal|uniform|xavier)$", description="distribution of starting values"
    )
    start_scale: float = Field(default=0.1, gt=0, description="its deviation, its bound, or a factor to Xavier's bound")


def l2_field(default: float) -> Any:
    """The option `l2`, whose default suits one backbone or another."""
    return Field(default=default, ge=0, description="weight of 1/2 |rows of the batch, as stored|^2 / batch size")


class L2Options(Options):
    """Options of a backbone whose loss has an L2 term; each has its own default of `l2`."""

    l2: float | None
    l2_end: float | None = Field(
        default=None, ge=0, description="that weight at the end of training, reached along a cosine; l2 if not given"
    )

    def l2_at(self, done: float, suited: float = 0.0) -> float:
        """The weight when the share `done` of training is over; it begins at `suited` where `l2` is None."""
        begin = suited if self.l2 is None else self.l2
        if self.l2_end is None:
            return begin
        return self.l2_end + (begin - self.l2_end) * decayed("cosine", done)


class Backbone(ABC):
    """A model over embedding tables, and a network over their rows if it has one.

    Tables hold all weights that grow with users or items in width; the budget is theirs. Everything else is `network`.
    """

    Options: ClassVar[type[Options]] = Options
    summary: ClassVar[str]
    """One line for listings."""
    training: ClassVar[Mapping[str, Any]] = {}
    """Defaults of the section `training` that suit it better than the common ones."""
    stages: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    """Defaults of single stages, by name and section, where a setting is not given for all of them."""
    folds_in: ClassVar[bool] = False
    """Whether it can rank users that training has not seen, from their histories, whatever its form."""
    rotation_invariant: ClassVar[bool] = False
    """Whether scores and losses stay the same when the rows of all tables, equally wide, are turned by one rotation."""
    sums_loss: ClassVar[bool] = False
    """Whether its loss is a sum over the batch, not a mean: what methods add is taken times the batch's size then."""
    sparse_operands: ClassVar[int]
    """How many of the two factors of a score are rows of a table: inference shrinks with density to this power."""

    def __init__(self, options: Any, tables: Mapping[str, Table], histories: Histories, seed: int = 0) -> None:
        self.options, self.tables, self.histories, self.seed = options, tables, histories, seed
        self.network = torch.nn.Module()
        """Weights outside of the tables; trained by the same rule, not in the budget."""
        self.step, self.done = 0, 0.0

    @property
    def ranks_new_users(self) -> bool:
        """Whether this very model can; one whose backbone can in one form only says so here."""
        return self.folds_in

    def begin_step(self, step: int, done: float) -> None:
        """Told by the loop before each loss: number of the update, from 1, and the share of training that is over."""
        self.step, self.done = step, done

    def random(self, purpose: str) -> torch.Generator:
        """Random numbers of this update and purpose; the same ones each time they are asked for."""
        return generator(self.seed, purpose, self.step)

    def batches(self, batch_size: int, seed: int, sampling: Sampling) -> Batches:
        """What the model learns from: triplets of `batch_size`, unless it says otherwise."""
        return TripletBatches(self.histories, batch_size, seed, sampling)

    def suited(self, batch_size: int) -> Mapping[str, float]:
        """Options that were not given and suit the data, by name: what they come to in batches of that size."""
        return {}

    def clear_gradient(self) -> None:
        """Forgets the gradients of tables and network."""
        for table in self.tables.values():
            table.clear_gradient()
        self.network.zero_grad()

    def network_arrays(self) -> dict[str, NDArray[np.float32]]:
        """The weights of the network by name; views."""
        return weights_of(self.network)

    def load_network(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Takes back what `network_arrays` gave; DataError for other names or shapes."""
        load_weights(self.network, arrays)

    @staticmethod
    @abstractmethod
    def shapes(options: Any, n_users: int, n_items: int) -> Sequence[Shape]:
        """The tables that the model needs, all of them inside the budget.

        Their names begin with what rows are: "user", "item", or "node" for users and then items.
        """

    @staticmethod
    def one_sided_shapes(options: Any, n_users: int, n_items: int) -> Mapping[str, Sequence[Shape]]:
        """The tables of forms in which "items" alone have rows, or "users" alone, and the others are made of them.

        A model that is given these tables is of this form. Without an entry there is no such form.
        """
        return {}

    def rows_of(self, table: str, users: I32, items: I32) -> I32:
        """The rows of these users, of these items, or of both, in the table of that name."""
        first_item = self.histories.n_users if _rows_are(table) == "node" else 0
        return _joined(table, users, items + np.int32(first_item))

    def degrees(self, table: str) -> NDArray[np.int64]:
        """How many interactions each row of the table of that name has."""
        return degrees(table, self.histories)

    @abstractmethod
    def loss(self, batch: Any) -> torch.Tensor:
        """The loss of a batch, a scalar; its backward pass leaves gradients in the tables and the network."""

    @abstractmethod
    def vectors(self, users: I32, items: I32) -> tuple[torch.Tensor, torch.Tensor]:
        """The vectors by which users and items meet in a score, `[users, w]` and `[items, w]`, with gradients.

        Users are of training; without noise.
        """

    def pair_scores(self, users: I32, items: I32) -> torch.Tensor:
        """Scores `[users, n]` of items `[users, n]`, with gradients: those that are ranked by, after the last turn."""
        backend = next(iter(self.tables.values())).backend
        groups = backend.group_ids(items.reshape(-1), np.full(self.histories.n_items, -1, np.int32))
        of_users, of_items = self.vectors(users, groups.unique)
        return autograd.sampled_products(of_users, of_items, groups.places.reshape(items.shape), backend)

    @property
    def turns(self) -> tuple[float, ...]:
        """Shares of training at which its loss becomes another one, so that a step costs something else.

        No epoch before the last of them is chosen.
        """
        return ()

    # What is counted, and what is not: see `training.cost`.

    @abstractmethod
    def forward_multiply_adds(self, batch_size: int) -> int:
        """Multiply-adds of the forward pass of a training step at this moment, were all tables dense."""

    @abstractmethod
    def inference_multiply_adds(self) -> int:
        """Multiply-adds of scoring all items for all users, were all tables dense, as the DSL paper counts them."""

    @abstractmethod
    def executed_outside_tables(self, batch_size: int) -> int:
        """Multiply-adds of a training step at this moment, forward and backward, apart from those of kernels.

        Those are sums over rows: `bags`, `smoothed_rows`, gradients by row; and products by `sampled_scores`.
        """

    def executed_vectors(self, users: int) -> int:
        """Multiply-adds of the `vectors` of as many users, forward, apart from those of kernels; items' are rows."""
        return 0

    def executed_pair_scores(self, users: int, each: int) -> int:
        """Multiply-adds of `pair_scores` of `each` items for as many users, forward, apart from those of kernels."""
        return self.executed_vectors(users)

    @abstractmethod
    def executed_ranking(self) -> int:
        """Multiply-adds of scoring all items for all users, apart from sums over rows by `scorer` and its queries."""

    @abstractmethod
    def scorer(self, known: Histories | None = None) -> Scorer[Any]:
        """Scores by the model as it is now.

        known: what users had before they are ranked, for models that read it; the histories of training if not given.
        Users beyond those of training are new ones.
        """


def degrees(table: str, histories: Histories) -> NDArray[np.int64]:
    """How many interactions each row of the table of that name has in these histories."""
    of_items = np.bincount(histories.items, minlength=histories.n_items)
    return _joined(table, histories.counts, of_items)


def _rows_are(table: str) -> str:
    return table.partition("_")[0]


def _joined(table: str, of_users: NDArray[Any], of_items: NDArray[Any]) -> NDArray[Any]:
    """What is known of users, of items or of both, as the rows of the table of that name are."""
    return np.concatenate({"user": [of_users], "item": [of_items], "node": [of_users, of_items]}[_rows_are(table)])


def weights_of(network: torch.nn.Module) -> dict[str, NDArray[Any]]:
    """The weights of a network by name, and what else it keeps; views."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def load_weights(network: torch.nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Takes back what `weights_of` gave; DataError for other names or shapes."""
    own = weights_of(network)
    expected, given = ({name: array.shape for name, array in found.items()} for found in (own, arrays))
    if expected != given:
        raise DataError(f"network weights {given}, expected {expected}")
    for name, array in own.items():
        array[...] = arrays[name]

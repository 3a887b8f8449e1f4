"""What a report reads from the model of a run: where its slots are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resprout.artifact.format import load_model
from resprout.backbones.backbone import Backbone
from resprout.data import Split
from resprout.kernels.contract import MaskedRows, PrefixRows, row_slots
from resprout.serving.recommender import model_of
from resprout.tables.table import row_blocks
from resprout.training.folder import RunFolder
from resprout.training.prepare import load_dataset
from resprout.training.settings import Settings

GROUPS = 5


@dataclass(frozen=True)
class Measured:
    """A run that has ended, its model and split loaded when they are asked for."""

    run: RunFolder

    @cached_property
    def settings(self) -> Settings:
        """What it was asked for."""
        return self.run.settings()

    @cached_property
    def model(self) -> Backbone:
        """The deployed model."""
        return model_of(load_model(self.run.deployed()))

    @cached_property
    def split(self) -> Split:
        """Its parts of the data."""
        return Split.load(self.run.path, load_dataset(self.settings).interactions)

    def slots(self) -> Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each table whose rows differ in it: weights of each row, and how many interactions the row has."""
        found = {}
        for name, table in self.model.tables.items():
            if isinstance(table.stored, MaskedRows):
                lengths = row_slots(table.stored.mask)
            elif isinstance(table.stored, PrefixRows):
                lengths = table.stored.lengths.astype(np.int64)
            else:
                continue
            found[name] = lengths, self.model.degrees(name)
        return found

    def filled(self, name: str) -> NDArray[np.float64]:
        """Of each column of a table, the share of the rows that have a weight there, `[width]`."""
        table = self.model.tables[name]
        blocks = (table.read_range(first, last) for first, last in row_blocks(table.shape))
        found: NDArray[np.float64] = sum(np.count_nonzero(block, axis=0) for block in blocks) / table.shape.rows
        return found

    def rows(self, name: str, ids: NDArray[Any]) -> NDArray[np.float32]:
        """Rows of a table, `[len(ids), width]`; NaN where there is no weight."""
        rows = self.model.tables[name].read(ids.astype(np.int32))
        rows[rows == 0] = np.nan
        return rows


def popularity_groups(degrees: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Positions by popularity, the least popular first, in groups of about equal size; those of one degree together."""
    order = np.argsort(degrees, kind="stable")
    places = np.linspace(0, len(order), GROUPS + 1).astype(int)[1:-1]
    cuts = sorted(
        {int(np.searchsorted(degrees[order], degrees[order][place])) for place in places if place < len(order)}
    )
    return [group for group in np.split(order, cuts) if len(group)]


def group_labels(degrees: NDArray[np.int64], groups: Sequence[NDArray[np.intp]]) -> list[str]:
    """The least and the most popular of each group."""
    return [f"{degrees[group].min()}-{degrees[group].max()}" for group in groups]


def rank_correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Spearman's rho, ties at their mean rank; NaN if one of them does not vary."""
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)

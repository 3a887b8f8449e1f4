"""The smallest budget that is as good as dense, within a margin: the "extreme sparsity" of the DSL paper.

A search by halves between two shares, on validation data; each share is a run for each seed, kept in a study's folder,
so that a search that is stopped, or that asks for another margin, takes up what is there.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resprout.api import settings_of
from resprout.errors import RunError, SettingsError
from resprout.study.folder import StudyFolder
from resprout.study.planned import SEED, PlannedRun, Study, run_key
from resprout.study.runner import Progress, Workers, run_study
from resprout.training.recipes import with_recipe
from resprout.training.settings import merged, nested


@dataclass(frozen=True)
class Point:
    """A budget, what was lost against dense there, and whether that is within the margin.

    share: in percent; values: the validation metric of each seed; loss: mean of the relative losses, seed by seed;
    error: its standard error, 0 for one seed.
    """

    share: float
    values: Sequence[float]
    loss: float
    error: float
    fits: bool


@dataclass(frozen=True)
class Search:
    """What is searched: nested settings, the largest loss, seeds, bounds and how close they come (both in percent).

    recipe: a file in place of the recipe that a known data set has.
    """

    values: Mapping[str, Any]
    margin: float = 0.01
    seeds: Sequence[int] = (0,)
    lowest: float = 2.0
    highest: float = 100.0
    ratio: float = 1.15
    recipe: Path | None = None

    def planned(self, share: float | None) -> list[PlannedRun]:
        """The runs of a share, or of the dense table; SettingsError for settings without validation data."""
        runs = []
        for seed in self.seeds:
            own = {SEED: seed, "method.name": "dense"} if share is None else {SEED: seed, "budget.limit": f"{share:g}%"}
            given = {
                key: value for key, value in self.values.items() if share is not None or key not in ("method", "budget")
            }
            values = merged(given, *(nested(key, value) for key, value in own.items()))
            settings = settings_of(with_recipe(values, self.recipe)[0])
            if not settings.split.validation_share:
                raise SettingsError("budgets are judged by validation data: split.validation_share is 0, raise it")
            runs.append(PlannedRun(run_key(settings), settings, own))
        return runs


def fit_budget(
    search: Search,
    folder: StudyFolder,
    workers: Workers,
    told: Callable[[Progress], None],
    walked: Callable[[Point], None],
) -> Point | None:
    """The smallest share that fits, to a factor of `ratio`; none if not even the highest does.

    A share fits if its loss is within the margin but for its standard error: noise does not make a budget too small.
    `walked` hears of each share that was tried. Raises RunError for a run that fails.
    """
    if not 0 < search.lowest < search.highest <= 100 or search.ratio <= 1:
        raise SettingsError(
            f"shares from {search.lowest:g} to {search.highest:g} %: expected 0 < lowest < highest <= 100"
        )
    dense = _measured(search, None, folder, workers, told)

    def tried(share: float) -> Point:
        values = _measured(search, share, folder, workers, told)
        losses = [1 - own / whole for own, whole in zip(values, dense, strict=True)]
        error = statistics.stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
        loss = statistics.fmean(losses)
        point = Point(share, values, loss, error, loss - error <= search.margin)
        walked(point)
        return point

    best = tried(search.highest)
    if not best.fits:
        return None
    too_small = search.lowest
    least = tried(search.lowest)
    if least.fits:
        return least
    while best.share / too_small > search.ratio:
        point = tried(float(f"{math.sqrt(best.share * too_small):.3g}"))
        if point.fits:
            best = point
        else:
            too_small = point.share
    return best


def _measured(
    search: Search, share: float | None, folder: StudyFolder, workers: Workers, told: Callable[[Progress], None]
) -> list[float]:
    """The validation metric of each seed."""
    runs = search.planned(share)
    folder.add(runs)
    progress = run_study(Study("fit-budget", runs), folder, workers, told)
    for failure in progress.failed:
        raise RunError(f"{failure.run.label} failed: {failure.message} ({folder.log(failure.run.key)})")
    return [folder.validation(run) for run in runs]

from collections.abc import Callable

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, R, Success, nDCG
from numpy.typing import NDArray

from resprout.errors import SettingsError
from resprout.evaluation.ranking import METRICS, hit_rate, mrr, ndcg, precision, recall, recall_capped
from resprout.rng import stream

Values = NDArray[np.float64]

# Rankings of four users over 5 places; the third hits nothing, the fourth has more held-out items than places.
HITS = np.array([[0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
RELEVANT = np.array([2, 1, 3, 10])
LOG2 = np.log2([2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (recall, 5, [1, 1, 0, 0.5]),
        (recall, 2, [0.5, 1, 0, 0.2]),
        (recall_capped, 5, [1, 1, 0, 1]),
        (recall_capped, 1, [0, 1, 0, 1]),
        (hit_rate, 5, [1, 1, 0, 1]),
        (hit_rate, 1, [0, 1, 0, 1]),
        (precision, 5, [0.4, 0.2, 0, 1]),
        (precision, 2, [0.5, 0.5, 0, 1]),
        (mrr, 5, [0.5, 1, 0, 1]),
        (mrr, 1, [0, 1, 0, 1]),
        (ndcg, 5, [(1 / LOG2[1] + 1 / LOG2[4]) / (1 / LOG2[0] + 1 / LOG2[1]), 1, 0, 1]),
        (ndcg, 1, [0, 1, 0, 1]),
    ],
)
def test_known_values(metric: Callable[..., Values], k: int, expected: list[float]) -> None:
    values = metric(HITS, RELEVANT, k)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_all_metrics_have_a_name_for_results() -> None:
    assert list(METRICS) == ["recall", "recall_capped", "hr", "ndcg", "precision", "mrr"]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("k", [0, -1, 6])
def test_a_cutoff_outside_the_ranking_is_refused(name: str, k: int) -> None:
    with pytest.raises(SettingsError, match=rf"cutoff {k} .* use 1\.\.5"):
        METRICS[name](HITS, RELEVANT, k)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_equal_to_trec_eval(k: int) -> None:
    random = stream(0, "trec", k)
    rankings = np.argsort(random.random((40, 60)), axis=1)[:, :20]
    held_out = [set(random.choice(60, size=random.integers(1, 30), replace=False).tolist()) for _ in rankings]
    hits = np.array([[item in wanted for item in ranking] for ranking, wanted in zip(rankings, held_out, strict=True)])
    relevant = np.array([len(wanted) for wanted in held_out])
    qrels = {str(user): {str(item): 1 for item in wanted} for user, wanted in enumerate(held_out)}
    # Only the first k places are handed over, for trec_eval's reciprocal rank knows no cutoff.
    run = {
        str(user): {str(item): float(-place) for place, item in enumerate(ranking[:k])}
        for user, ranking in enumerate(rankings.tolist())
    }
    names = {"recall": R @ k, "ndcg": nDCG @ k, "precision": P @ k, "hr": Success @ k, "mrr": RR}

    theirs = {
        (found.measure, found.query_id): found.value
        for found in ir_measures.pytrec_eval.iter_calc(names.values(), qrels, run)
    }

    for name, measure in names.items():
        ours = METRICS[name](hits, relevant, k)
        assert 0 < ours.mean() < 1
        np.testing.assert_allclose(ours, [theirs[measure, str(user)] for user in range(40)], atol=1e-12)

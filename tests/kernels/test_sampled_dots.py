from types import ModuleType

import numpy as np
import pytest
from kernel_makers import KINDS, STORED_WIDTHS, fenced, fresh, make_rows, nothing_before

from resprout.kernels.contract import DenseRows
from resprout.rng import stream

ROWS = 9


def check(backend: ModuleType, kind: str, width: int, batch: int, count: int) -> None:
    """Against products in float64; float32 may be off by its rounding of the terms."""
    source, table = make_rows(kind, ROWS, width)
    random = stream(0, "sampled", width, batch, count)
    queries = fenced(random.standard_normal((batch, width)).astype(np.float32))
    ids = fenced(random.integers(0, ROWS, (batch, count)).astype(np.int32))
    out = fresh(batch, count)
    backend.sampled_dots(queries, ids, source, out)
    terms = queries[:, None, :].astype(np.float64) * table[ids]
    assert (np.abs(out - terms.sum(2)) <= 1e-5 * np.abs(terms).sum(2)).all()
    assert nothing_before(out)


def test_known_products(backend: ModuleType) -> None:
    source = DenseRows(fenced(np.array([[1, 2, 3], [0, 0, 7]], np.float32)))
    queries, ids = fenced(np.array([[1, 10, 100], [2, 0, 0]], np.float32)), fenced(np.array([[1, 0], [0, 0]], np.int32))
    out = fresh(2, 2)
    backend.sampled_dots(queries, ids, source, out)
    assert out.tolist() == [[700, 321], [2, 2]]


@pytest.mark.parametrize(("kind", "width"), STORED_WIDTHS)
def test_products_at_every_width(backend: ModuleType, kind: str, width: int) -> None:
    check(backend, kind, width, 5, 14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch", "count"), [(0, 3), (3, 0), (1, 1), (7, 1), (1, 40)])
def test_odd_batches_of_every_kind(backend: ModuleType, kind: str, batch: int, count: int) -> None:
    check(backend, kind, 40, batch, count)

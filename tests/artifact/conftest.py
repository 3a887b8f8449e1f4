from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from resprout import catalog
from resprout.artifact.format import ModelParts
from resprout.data.histories import Histories
from resprout.data.idmap import IdMap
from resprout.kernels.select import choose
from resprout.tables.build import build_tables
from resprout.tables.initial import Start

N_USERS, N_ITEMS = 30, 45


def build(
    backbone: str = "mf",
    storage: str = "packed",
    width: int = 12,
    seed: int = 0,
    n_users: int = N_USERS,
    n_items: int = N_ITEMS,
    **fields: Any,
) -> ModelParts:
    """An untrained model over random histories; user 0 has none."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(1, n_users, 200, np.int32), rng.integers(0, n_items, 200, np.int32)
    kind = catalog.load_backbone(backbone)
    options = kind.Options(width=width)
    shapes = kind.shapes(options, n_users, n_items)
    slots, start, backend = [shape.weights // 3 for shape in shapes], Start("normal", 1.0, seed), choose().backend
    rounded = {
        "int8": "dense",
        "float16": "dense",
        "bits3": "dense",
        "planes5": "dense",
        "packed_int8": "packed",
        "packed_float16": "packed",
    }
    trained = rounded.get(storage)
    source = build_tables(shapes, trained, slots, start, False, backend) if trained else None
    values = {
        "backbone": backbone,
        "options": options.model_dump(),
        "tables": build_tables(shapes, storage, slots, start, False, backend, source, source),
        "histories": Histories.from_pairs(users, items, n_users, n_items),
        "user_ids": IdMap.of(f"ü{user}" for user in range(n_users)),
        "item_ids": IdMap(np.arange(n_items) * 7 - 9),
        "item_names": [f"Naïve № {item}" if item % 5 else "" for item in range(n_items)],
        "about": {"dataset": "random", "method": "none", "seed": seed},
    }
    return ModelParts(**(values | fields))


@pytest.fixture
def make_parts() -> Callable[..., ModelParts]:
    return build

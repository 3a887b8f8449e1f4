"""Adam over a model: by row blocks in place over its tables, by torch over its network; the rate is the loop's."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from resprout.backbones.backbone import Backbone
from resprout.tables.update import Update
from resprout.training.settings import TrainingSettings

_STATE = {"exp_avg": "moment_1", "exp_avg_sq": "moment_2", "step": "updates"}


class Optimizer:
    """Updates a model, and its method's network. Moments of tables are the tables' own; others lie here."""

    def __init__(self, model: Backbone, settings: TrainingSettings, other: torch.nn.Module | None = None) -> None:
        self._model, self._settings = model, settings
        self._parameters = dict(model.network.named_parameters())
        if other is not None:
            self._parameters |= {f"method/{name}": weights for name, weights in other.named_parameters()}
        betas = settings.beta_1, settings.beta_2
        # torch refuses an optimizer of nothing
        self._network = (
            torch.optim.Adam(self._parameters.values(), betas=betas, eps=settings.epsilon) if self._parameters else None
        )

    def update(self, rate: float, step: int) -> None:
        """Update number `step` (from 1) with the pending gradients, which stay."""
        settings = self._settings
        by = Update(rate, step, settings.beta_1, settings.beta_2, settings.epsilon, settings.seed)
        for table in self._model.tables.values():
            table.update(by)
        if self._network is not None:
            share = 1.0 if settings.network_rate is None else settings.network_rate / settings.learning_rate
            self._network.param_groups[0]["lr"] = rate * share
            self._network.step()

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Moments and number of updates of the weights of the network, as `NAME.moment_1` and so on; none at first."""
        if self._network is None:
            return {}
        state = self._network.state
        return {
            f"{name}.{own}": state[parameter][theirs].numpy()
            for name, parameter in self._parameters.items()
            for theirs, own in _STATE.items()
            if parameter in state
        }

    def load_arrays(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Takes back what `arrays` gave."""
        if self._network is None:
            return
        for name, parameter in self._parameters.items():
            state = {theirs: f"{name}.{own}" for theirs, own in _STATE.items()}
            if all(key in arrays for key in state.values()):
                self._network.state[parameter] = {theirs: torch.tensor(arrays[key]) for theirs, key in state.items()}

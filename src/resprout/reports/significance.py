"""Whether one run's users are served better than another's: paired by user, corrected for many comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Comparison:
    """Mean difference of a metric over users, and how likely one as large is by chance, two-sided.

    p_value: corrected for many comparisons, to say that there is a difference; alone: not corrected, to say that there
    is none, which a correction would make the easier the more comparisons there are.
    """

    difference: float
    p_value: float
    alone: float

    @property
    def mark(self) -> str:
        """Stars, as papers have them: below 0.05, 0.01, 0.001."""
        return "*" * sum(self.p_value < limit for limit in (0.05, 0.01, 0.001))


def compared(reference: NDArray[np.float64], others: Sequence[NDArray[np.float64]]) -> list[Comparison]:
    """Each of `others` against the reference, user by user: paired t-tests, p-values by Holm (1979).

    With thousands of users a mean of differences is normal whatever they are, zeros included, which Wilcoxon's test
    would throw away.
    """
    from scipy.stats import ttest_rel

    raw = [1.0 if np.array_equal(other, reference) else float(ttest_rel(other, reference).pvalue) for other in others]
    differences = [float((other - reference).mean()) for other in others]
    return [Comparison(*values) for values in zip(differences, holm(raw), raw, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the k-th smallest of n times n - k + 1, never falling, at most 1."""
    order = np.argsort(p_values, kind="stable")
    count, corrected, largest = len(p_values), [0.0] * len(p_values), 0.0
    for place, k in enumerate(order):
        largest = max(largest, min(1.0, p_values[k] * (count - place)))
        corrected[k] = largest
    return corrected

"""Runs that can be compared: those of one model on one task; a study of several has a panel for each."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from resprout.budget import Budget
from resprout.study.results import BUDGET, Group, Outcome, groups_of, telling

_TASK = ("data.", "filter.", "split.", "evaluation.", "training.monitor", "backbone.name")
_MODEL = ("backbone.width", "backbone.hops")
"""Runs that differ in these are apart if there is a dense table for each value; else it is what is compared."""


@dataclass(frozen=True)
class Panel:
    """Groups of one task and model, those without a budget first, then from the largest budget to the smallest.

    title: what these are; monitor: the metric that epochs were chosen by.
    """

    title: str
    monitor: str
    groups: Sequence[Group]

    @property
    def reference(self) -> Group:
        """The dense group, or else the first."""
        return self.dense or self.groups[0]

    @cached_property
    def dense(self) -> Group | None:
        """The dense group, if there is one."""
        return next((group for group in self.groups if group.runs[0].result["method"] == "dense"), None)

    @cached_property
    def settings(self) -> list[str]:
        """Keys of the settings that tell its groups apart, besides method and budget."""
        return telling(self.groups)

    @cached_property
    def unsaid(self) -> list[str]:
        """Keys of further settings in which its groups differ, as method or budget do; without methods' own."""
        keys = [key for key in self.groups[0].point if not key.startswith(("method.", "stages."))]
        known = {*self.settings, BUDGET}
        return [key for key in keys if key not in known and len({str(one.point[key]) for one in self.groups}) > 1]

    @cached_property
    def blocks(self) -> list[range]:
        """The places of the groups that have the same budget, and so compete with each other."""
        limits = [_limit(group) for group in self.groups]
        begins = [k for k, limit in enumerate(limits) if k == 0 or limit != limits[k - 1]]
        return [range(begin, end) for begin, end in itertools.pairwise([*begins, len(limits)])]

    @property
    def rules(self) -> list[int]:
        """The places before which tables have a line: where another budget begins."""
        return [block.start for block in self.blocks[1:]]

    @property
    def slug(self) -> str:
        """Its title as a part of file names."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def label(self, group: Group, budget: bool = True, without: str | None = None) -> str:
        """A group in a few words: its method, budget, and what else tells it apart from others of its method."""
        result = group.runs[0].result
        words = [result["method"]]
        if budget and result["budget"]["limit"]:
            words.append(result["budget"]["limit"])
        told = [(key.rpartition(".")[2], group.point[key]) for key in self._told[result["method"]] if key != without]
        return ", ".join([*words, *(f"{key} {value}" for key, value in told if value is not None)])

    @cached_property
    def _told(self) -> dict[str, list[str]]:
        """For each method the keys of the settings that tell its own groups apart."""
        parts: dict[str, list[Group]] = {}
        for group in self.groups:
            parts.setdefault(group.runs[0].result["method"], []).append(group)
        return {method: telling(groups) for method, groups in parts.items()}


def panels_of(outcomes: Sequence[Outcome]) -> list[Panel]:
    """The panels of these outcomes, in the order in which they first appear."""
    keys = [key for key in outcomes[0].point if key.startswith(_TASK)]
    dense = [outcome for outcome in outcomes if outcome.result["method"] == "dense"]
    keys += [key for key in _MODEL if key in outcomes[0].point and len({str(one.point[key]) for one in dense}) > 1]
    parts: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        parts.setdefault(repr([outcome.point[key] for key in keys]), []).append(outcome)
    names = [_name(part[0]) for part in parts.values()]
    return [
        _panel(part, keys if names.count(name) > 1 else ()) for name, part in zip(names, parts.values(), strict=True)
    ]


def _name(outcome: Outcome) -> str:
    return f"{outcome.result['dataset']}, {outcome.result['backbone']}"


def _panel(outcomes: Sequence[Outcome], keys: Sequence[str]) -> Panel:
    """keys: those that tell it from others of the same data and backbone."""
    first = outcomes[0]
    told = [
        f"{key.rpartition('.')[2]} {first.point[key]}"
        for key in keys
        if key not in ("data.source", "backbone.name", "training.monitor", "evaluation.protocol")
        and first.point[key] is not None
    ]
    title = ", ".join([_name(first), *told])
    monitor = first.run.settings().training.monitor
    return Panel(title, monitor, sorted(groups_of(outcomes), key=_from_the_largest_budget))


def _from_the_largest_budget(group: Group) -> tuple[bool, Fraction, tuple[str, str]]:
    limit, used = _limit(group), group.runs[0].result["budget"]
    if not limit[0]:
        return False, Fraction(0), limit
    budget = Budget.parse(limit[0])
    amount = Fraction(budget.size or 0) if budget.share is None else budget.share * used["dense_bytes"]
    return True, -amount, limit


def _limit(group: Group) -> tuple[str, str]:
    """The budget as it is written, and what it is of; empty texts for none."""
    used = group.runs[0].result["budget"]
    return used["limit"] or "", used.get("of") or ""  # older results do not say

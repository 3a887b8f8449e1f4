"""The report of several runs: means over seeds, what is more than chance, and quality against what it costs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from resprout.reports import figures
from resprout.reports.comparison import comparison, differences, overview
from resprout.reports.page import Section
from resprout.reports.trials import TRIALS, trials_table
from resprout.reports.verdicts import VERDICTS, verdicts
from resprout.study.panels import Panel, panels_of
from resprout.study.results import Outcome
from resprout.study.trials import Trials


def sections_of(outcomes: Sequence[Outcome], trials: Sequence[Trials] = ()) -> list[Section]:
    """All of the report: of each task and model, before them a table of all if they are several, then the trials."""
    tried = [Section("Trials", TRIALS, [trials_table(trials)])] if trials else []
    return [*_of_panels(panels_of(outcomes)), *tried]


def _of_panels(panels: Sequence[Panel]) -> list[Section]:
    if len(panels) == 1:
        return list(_of_panel(panels[0]))
    text = "Test data, mean and deviation over seeds; the rest as a part of what the dense table has or needs."
    sections = [Section("Overview", text, [overview(panels)])]
    for panel in panels:
        for section in _of_panel(panel):
            parts = [replace(part, name=f"{panel.slug}-{part.name}") for part in section.parts]
            sections.append(Section(f"{panel.title}: {section.heading.lower()}", section.text, parts))
    return sections


def _of_panel(panel: Panel) -> Iterator[Section]:
    found = differences(panel)
    seeds = [len(group.runs) for group in panel.groups]
    spread = " to ".join(map(str, sorted({min(seeds), max(seeds)})))
    name = panel.reference.runs[0].result["method"]
    text = (
        f"Test data, mean and deviation over seeds ({spread} of them); best and second best of those with the same "
        f"budget are marked. Stars: the difference from {name}, user by user over seeds that all have (paired t-tests, "
        "corrected by Holm), is less likely by chance than 0.05, 0.01, 0.001. Chance is that of the users, for these "
        "trained models; how much other seeds change is the deviation."
    )
    if panel.unsaid:
        text += f" Not all rows have the same {', '.join(panel.unsaid)} either: these go with method or budget."
    yield Section("Comparison", text, [comparison(panel, found)])
    if panel.dense is not None and any(found):
        yield Section("Verdicts", VERDICTS, [verdicts(panel, panel.dense, found)])
    text = "Deployed bytes: all that is needed to read the tables, index included."
    yield Section("Quality against bytes", text, [figures.frontier(panel), *figures.quality_sparsity(panel)])
    yield Section(
        "Quality against cost", "Multiply-adds executed in training, all stages.", [figures.quality_cost(panel)]
    )
    if drawn := list(figures.by_setting(panel)):
        yield Section("Quality against settings", "Means over seeds, one line a combination of the others.", drawn)
    if drawn := list(figures.losses(panel)):
        text = "Means over seeds; of methods of several stages the last."
        yield Section("Training loss", text, drawn)
    if (slots := figures.slots_by_popularity(panel)) is not None:
        text = (
            "Mean and deviation over seeds whose models are there (kept runs have none). Rank correlation (Spearman): "
            "of the slots of a row with its interactions."
        )
        yield Section("Where the slots are", text, [slots[0], *slots[1]])

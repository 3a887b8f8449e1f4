"""Tables in their four forms, and what is marked in them."""

import csv
import io
import itertools

import numpy as np
import pytest
from scipy import stats

from resprout.reports.measured import popularity_groups, rank_correlation
from resprout.reports.significance import compared, holm
from resprout.reports.tables import Cell, Table, marked


@pytest.fixture
def table():
    rows = [
        [Cell("a|b & 50%"), Cell("0.25 ± 0.01", "best", "***")],
        [Cell("one_shot"), Cell("0.20", "second")],
        [Cell("<i>"), Cell("0.10")],
    ]
    return Table("t", "T", ("method", "recall@20"), rows)


def test_csv_has_texts_and_notes(table):
    lines = list(csv.reader(io.StringIO(table.csv())))
    assert lines == [["method", "recall@20"], ["a|b & 50%", "0.25 ± 0.01***"], ["one_shot", "0.20"], ["<i>", "0.10"]]


def test_markdown(table):
    assert table.markdown().splitlines() == [
        "| method | recall@20 |",
        "| --- | ---: |",
        r"| a\|b & 50% | **0.25 ± 0.01**\*\*\* |",
        "| one_shot | _0.20_ |",
        "| <i> | 0.10 |",
    ]


def test_latex(table):
    assert table.latex().splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"method & recall@20 \\",
        r"\midrule",
        r"a|b \& 50\% & \textbf{0.25 $\pm$ 0.01}$^{***}$ \\",
        r"one\_shot & \underline{0.20} \\",
        r"<i> & 0.10 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_page(table):
    page = table.page()
    assert '<td class="figure"><b>0.25 ± 0.01</b><sup>***</sup></td>' in page
    assert '<td class="text">&lt;i&gt;</td>' in page


def test_rules_stand_above_their_rows():
    table = Table("one", "One", ("", "quality"), [[Cell(name), Cell("1")] for name in "abc"], rules=[2])
    assert table.latex().splitlines()[4:8] == [r"a & 1 \\", r"b & 1 \\", r"\midrule", r"c & 1 \\"]
    assert [line.startswith('<tr class="rule">') for line in table.page().splitlines()[2:5]] == [False, False, True]


def test_best_and_second_best_are_marked_and_equal_ones_alike():
    assert marked([0.1, 0.3, 0.2, 0.3]) == [
        "best" if v == 0.3 else "second" if v == 0.2 else "" for v in (0.1, 0.3, 0.2, 0.3)
    ]
    assert marked([1.0]) == ["best"]


def test_holm_by_hand():
    # times 4, 3, 2, 1 in ascending order, never falling, at most 1
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_users_are_paired():
    random = np.random.default_rng(0)
    reference = random.random(500)
    better, same = reference + 0.02 + random.normal(0, 0.1, 500), reference.copy()
    one, other = compared(reference, [better, same])
    assert one.difference == pytest.approx((better - reference).mean())
    assert one.p_value == pytest.approx(2 * stats.ttest_rel(better, reference).pvalue)
    assert one.mark == "**"
    assert (other.difference, other.p_value, other.mark) == (0.0, 1.0, "")


def test_groups_by_popularity_are_even_and_keep_equal_ones_together():
    degrees = np.array([5, 1, 1, 9, 7, 1, 3, 20, 2, 4])
    groups = [sorted(degrees[group].tolist()) for group in popularity_groups(degrees)]
    assert groups == [[1, 1, 1, 2], [3, 4], [5, 7], [9, 20]]
    assert sorted(itertools.chain(*groups)) == sorted(degrees)
    assert all(max(one) < min(other) for one, other in itertools.pairwise(groups))
    assert [len(popularity_groups(np.full(n, 3))) for n in (1, 7)] == [1, 1]


def test_rank_correlation_of_what_does_not_vary_is_none():
    assert rank_correlation(np.array([1, 2, 3]), np.array([10, 20, 40])) == pytest.approx(1)
    assert np.isnan(rank_correlation(np.array([1, 1, 1]), np.array([10, 20, 40])))

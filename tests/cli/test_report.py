"""Reports of a run and of several, as the command writes them."""

import csv
import json
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from playwright.sync_api import sync_playwright
from scipy.stats import spearmanr

from resprout.artifact.format import load_model
from resprout.serving.recommender import model_of
from resprout.tables.places import flags

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Page(HTMLParser):
    """Tags that are open, and the attributes that were seen."""

    VOID = frozenset({"meta", "link", "br", "path", "use", "rect", "line", "circle"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def check(folder):
    """The page is whole, asks for nothing from outside, and its figures and tables lie beside it."""
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert not page.open
    links = [attrs["href"] for tag, attrs in page.seen if tag == "a"]
    assert links
    assert all((folder / link).stat().st_size > 0 for link in links)
    assert not any("src" in attrs for _, attrs in page.seen)
    outside = {attrs.get("href") for tag, attrs in page.seen if tag == "link"}
    assert outside == {"data:,"}
    names = [attrs["id"] for _, attrs in page.seen if "id" in attrs]
    assert len(names) == len(set(names))
    used = re.findall(r"url\(#([^)]+)\)", text) + [a["xlink:href"][1:] for t, a in page.seen if t == "use"]
    assert set(used) <= set(names)
    return text


@pytest.fixture
def opened():
    """Opens a page in headless Chromium: the page, and what its console and its requests were."""
    browser = os.environ.get("RESPROUT_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None and not os.environ.get("CI"):
        pytest.skip("no Chromium: install one, or name it in RESPROUT_BROWSER")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])

        def open_page(path):
            page, said, asked = chromium.new_page(viewport={"width": 1000, "height": 800}), [], []
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(path.as_uri())
            return page, said, asked

        yield open_page
        chromium.close()


def test_in_a_browser(resprout, opened, trained, tmp_path):
    """Nothing is said in its console, nothing asked for but itself, and every figure is seen with all its lines."""
    folder = tmp_path / "report"
    assert resprout("report", trained, "--out", folder).exit_code == 0
    page, said, asked = opened(folder / "index.html")
    assert said == []
    assert asked == [(folder / "index.html").as_uri()]
    figures = page.locator("figure svg")
    assert figures.count() == len(list(folder.glob("*.svg"))) >= 6
    for figure in figures.all():
        box = figure.bounding_box()
        assert 100 < box["width"] <= 1000
        assert box["height"] > 100
    assert page.locator("h2").first.inner_text() == "Verdict"
    # no wider than the window, whatever its tables need
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    page.locator("figure svg").first.scroll_into_view_if_needed()
    assert len(set(page.screenshot())) > 100  # not a blank page
    page.get_by_role("link", name="quality.md").click()
    assert page.url == (folder / "quality.md").as_uri()


def test_a_run(resprout, trained, tmp_path):
    done = resprout("report", trained, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "report" / "index.html")
    text = check(tmp_path / "report")
    for part in ("Verdict", "weights in", "Where the slots are", "rank correlation", "Cost"):
        assert part in text
    table = model_of(load_model(trained / "model")).tables["item"]
    filled = (table.read_range(0, table.shape.rows) != 0).mean(0)
    told = f"Less than a tenth of the rows have weights in {(filled < 0.1).sum()} of {table.shape.width} columns."
    assert told in text
    again = resprout("report", trained, "--out", tmp_path / "report")
    assert again.exit_code == 0
    assert check(tmp_path / "report") == text


def test_moves_of_slots_and_a_record_of_where_they_ever_were(resprout, trained, books_csv, tmp_path):
    assert resprout("report", trained, "--out", tmp_path / "plain").exit_code == 0
    assert "is not known: train with method.record_lived = true" in check(tmp_path / "plain")
    small = ("--method", "dsl", "--budget", "30%", "--epochs", "4", "--set", "backbone.width=8")
    options = (*small, "--set", "method.record_lived=true", "--set", "method.regrow_every=2")
    assert resprout("train", "--data", books_csv, *options, "--out", tmp_path / "run").exit_code == 0
    assert resprout("report", tmp_path / "run").exit_code == 0
    text = check(tmp_path / "run" / "report")
    (share,) = re.findall(r"At the end ([\d.]+) % of all positions had been a slot", text)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert float(share) == pytest.approx(100 * last["method_state"]["ever_slots"] / (100 * 8), abs=0.05)
    assert 30 < float(share) <= 100
    assert (tmp_path / "run" / "report" / "slots-item-picture.png").exists()


def test_where_slots_are_is_told_of_all_seeds(resprout, books_csv, tmp_path):
    small = ("--backbone", "mf", "--method", "dsl", "--budget", "30%", "--epochs", "4", "--set", "backbone.width=8")
    small += ("--set", "training.learning_rate=0.01", "--set", "backbone.l2=1e-4")
    runs, held, correlations = [tmp_path / f"{seed}" for seed in (0, 1, 2)], [], []
    for seed, run in enumerate(runs):
        options = ("--set", "method.regrow_every=2", "--seed", seed, "--out", run)
        assert resprout("train", "--data", books_csv, *small, *options).exit_code == 0
        model = model_of(load_model(run / "model"))
        degrees, table = model.degrees("item"), model.tables["item"]
        slots = flags(table.mask, table.read_range(0, table.shape.rows)).sum(1)
        correlations.append(spearmanr(slots, degrees).statistic)
        held.append(100 * slots.sum() / (8 * len(slots)))
    assert len(set(correlations)) == 3
    assert resprout("report", *runs, "--out", tmp_path / "report").exit_code == 0
    rows = list(csv.reader((tmp_path / "report" / "slots.csv").read_text().splitlines()))
    (row,) = (row for row in rows if row[1] == "item")
    mean, deviation = map(float, row[4].split(" ± "))
    assert mean == pytest.approx(np.mean(correlations), abs=6e-4)
    assert deviation == pytest.approx(np.std(correlations, ddof=1), abs=6e-4)
    # all rows lie between the outer fifths
    least, most = (float(cell.split()[0]) for cell in row[2:4])
    assert least < np.mean(held) < most or most < np.mean(held) < least


def test_several_tasks_have_a_panel_each(resprout, trained, books_csv, tmp_path):
    small = ("--epochs", "2", "--set", "backbone.width=8", "--data", books_csv)
    for backbone in ("mf", "lightgcn"):
        assert resprout("train", *small, "--backbone", backbone, "--out", tmp_path / backbone).exit_code == 0
    runs = (trained, tmp_path / "mf", tmp_path / "lightgcn")
    both = resprout("compare", *runs)
    assert both.exit_code == 0
    titles = [line.strip() for line in both.stdout.splitlines() if line.startswith("books")]
    assert titles == ["books, mf", "books, lightgcn"]
    assert resprout("report", *runs, "--out", tmp_path / "report").exit_code == 0
    text = check(tmp_path / "report")
    assert all(part in text for part in ("Overview", "books, mf: comparison", "books, lightgcn: comparison"))
    assert (tmp_path / "report" / "books-mf-frontier.png").exists()


def test_several_runs(resprout, trained, books_csv, tmp_path):
    other = tmp_path / "narrow"
    small = ("--backbone", "mf", "--method", "narrow", "--budget", "50%", "--epochs", "2", "--set", "backbone.width=8")
    assert resprout("train", "--data", books_csv, *small, "--out", other).exit_code == 0
    done = resprout("report", trained, other, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    text = check(tmp_path / "report")
    assert "2 runs: books, narrow" in text
    assert all((tmp_path / "report" / f"{name}.png").exists() for name in ("frontier", "quality-cost"))

    (tmp_path / "report" / "notes.txt").write_text("mine")
    assert resprout("report", other, "--out", tmp_path / "report").exit_code == 0
    left = {path.name for path in (tmp_path / "report").iterdir()}
    assert "notes.txt" in left
    assert not left & {"frontier.png", "frontier.svg", "comparison.csv"}
    check(tmp_path / "report")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a run folder"),
        (["a", "b"], "several folders: name one for the report with --out"),
    ],
)
def test_bad_input(resprout, arguments, message):
    done = resprout("report", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_folder_that_holds_something_else_is_left_alone(resprout, trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("In the beginning")
    done = resprout("report", trained, "--out", tmp_path)
    assert done.exit_code == 2
    assert "holds other files" in done.stderr


@pytest.mark.parametrize("folder", ["/proc/report", "file/report"])
def test_a_folder_that_cannot_be_written_to(resprout, trained, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    done = resprout("report", trained, "--out", folder)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"output folder {folder} cannot be written to: " in done.stderr
    assert "name another with --out" in done.stderr


def test_what_was_written_of_epochs_may_be_gone_but_not_broken(resprout, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines)[:-20])
    done = resprout("report", run)
    assert done.exit_code == 2
    assert f"metrics.jsonl, line {len(lines)}: not the record of an epoch; take the line out" in done.stderr
    (run / "metrics.jsonl").unlink()
    assert resprout("report", run).exit_code == 0
    assert "Training loss" not in check(run / "report")

"""Reports of a run and of several, as the command writes them."""

import re
from html.parser import HTMLParser

import pytest


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


def test_a_run(resprout, trained, tmp_path):
    done = resprout("report", trained, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "report" / "index.html")
    text = check(tmp_path / "report")
    for part in ("Verdict", "weights in", "Where the slots are", "rank correlation", "Cost"):
        assert part in text
    again = resprout("report", trained, "--out", tmp_path / "report")
    assert again.exit_code == 0
    assert check(tmp_path / "report") == text


def test_several_runs(resprout, trained, books_csv, tmp_path):
    other = tmp_path / "narrow"
    small = ("--backbone", "mf", "--method", "narrow", "--budget", "50%", "--epochs", "2", "--set", "backbone.width=8")
    assert resprout("train", "--data", books_csv, *small, "--out", other).exit_code == 0
    done = resprout("report", trained, other, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    text = check(tmp_path / "report")
    assert "2 runs: books, narrow" in text
    assert all((tmp_path / "report" / f"{name}.png").exists() for name in ("frontier", "quality-cost"))


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

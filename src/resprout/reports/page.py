"""A report: a page that needs no network; beside it figures as SVG and PNG, tables as CSV, Markdown and LaTeX."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resprout import __version__
from resprout.artifact.files import making_output, write_text
from resprout.errors import RunError
from resprout.reports.plots import Plot
from resprout.reports.tables import Table

PAGE = "index.html"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: 0.87rem; margin: 0.8rem 0; display: block; overflow-x: auto; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { border-bottom: 2px solid #888; white-space: normal; vertical-align: bottom; } .text { text-align: left; }
td.text { white-space: normal; } .rule td { border-top: 2px solid #888; }
.figure { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; }
figcaption, .files { color: #555; font-size: 0.85rem; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } table, figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph about what follows, and tables and figures."""

    heading: str
    text: str = ""
    parts: Sequence[Table | Plot] = ()


def write_report(folder: Path, title: str, sections: Sequence[Section]) -> Path:
    """The page, once it and its files lie in the folder, and those of an older report there are gone.

    RunError if the folder holds something else or is not writable.
    """
    with making_output(folder):
        if folder.exists() and not (folder / PAGE).exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"output folder {folder} holds other files: name another with --out")
        folder.mkdir(parents=True, exist_ok=True)
        older = _linked(folder / PAGE)
        body = "".join(_section(section, folder) for section in sections)
    page = (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">\n'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n{body}"
        f'<p class="files">resprout {__version__}</p>\n</body>\n</html>\n'
    )
    write_text(folder / PAGE, page)
    for name in set(older) - set(_linked(folder / PAGE)):
        (folder / name).unlink(missing_ok=True)
    return folder / PAGE


def _section(section: Section, folder: Path) -> str:
    text = f"<p>{html.escape(section.text)}</p>\n" if section.text else ""
    parts = "".join(_table(part, folder) if isinstance(part, Table) else _plot(part, folder) for part in section.parts)
    return f"<h2>{html.escape(section.heading)}</h2>\n{text}{parts}"


def _table(table: Table, folder: Path) -> str:
    forms = {"csv": table.csv(), "md": table.markdown(), "tex": table.latex()}
    for kind, content in forms.items():
        write_text(folder / f"{table.name}.{kind}", content)
    return f"{table.page()}{_files([f'{table.name}.{kind}' for kind in forms])}"


def _plot(plot: Plot, folder: Path) -> str:
    files = plot.save(folder)
    drawn = files[0].read_text("utf-8")
    # the page has one root for each drawing, without the prologue of a file of its own, and names that are its own
    drawn = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{plot.name}-", drawn[drawn.index("<svg") :])
    title = html.escape(plot.title)
    figure = f'<figure role="img" aria-label="{title}">{drawn}<figcaption>{title}</figcaption></figure>\n'
    return figure + _files([file.name for file in files])


def _files(names: Sequence[str]) -> str:
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in names)
    return f'<p class="files">{links}</p>\n'


def _linked(page: Path) -> list[str]:
    """The files that belong to a page, if there is one."""
    return re.findall(r'<a href="([\w-]+\.(?:csv|md|tex|svg|png))">', page.read_text("utf-8")) if page.exists() else []

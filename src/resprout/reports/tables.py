"""A table in the forms that people need it in: a page, a spreadsheet, a README, a paper."""

import csv
import html
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["", "best", "second"]

_LATEX = str.maketrans({"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "±": r"$\pm$"})


@dataclass(frozen=True)
class Cell:
    """A text, whether it is the best or second best of its column, and a note that hangs on it, such as stars."""

    text: str
    mark: Mark = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells under headers.

    name: of its files; text_columns: how many come first and are no figures; rules: rows with a line above them.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    text_columns: int = 1
    rules: Collection[int] = ()

    def csv(self) -> str:
        """Texts and notes, without marks."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([cell.text + cell.note for cell in row] for row in self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """Best in bold, second best in italics."""
        marks = {"": "{}", "best": "**{}**", "second": "_{}_"}
        lines = [self.columns, ["---"] * self.text_columns + ["---:"] * (len(self.columns) - self.text_columns)]
        lines += [
            [marks[cell.mark].format(_escaped(cell.text)) + _escaped(cell.note) for cell in row] for row in self.rows
        ]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def latex(self) -> str:
        """With booktabs' rules: best in bold, second best underlined."""
        marks = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
        align = "l" * self.text_columns + "r" * (len(self.columns) - self.text_columns)
        body = []
        for number, row in enumerate(self.rows):
            body += [r"\midrule"] if number in self.rules else []
            cells = [marks[cell.mark].format(cell.text.translate(_LATEX)) for cell in row]
            notes = [f"$^{{{cell.note}}}$" if cell.note else "" for cell in row]
            body.append(" & ".join(map("".join, zip(cells, notes, strict=True))) + r" \\")
        head = " & ".join(column.translate(_LATEX) for column in self.columns) + r" \\"
        begin = rf"\begin{{tabular}}{{{align}}}"
        return "\n".join([begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", ""])

    def page(self) -> str:
        """HTML: best in bold, second best underlined."""
        kinds = ["text"] * self.text_columns + ["figure"] * (len(self.columns) - self.text_columns)
        head = [f'<th class="{kind}">{html.escape(text)}</th>' for kind, text in zip(kinds, self.columns, strict=True)]
        lines = []
        for number, row in enumerate(self.rows):
            cells = [f'<td class="{kind}">{_html(cell)}</td>' for kind, cell in zip(kinds, row, strict=True)]
            begin = '<tr class="rule">' if number in self.rules else "<tr>"
            lines.append(f"{begin}{''.join(cells)}</tr>\n")
        body = "".join(lines)
        return f"<table><thead><tr>{''.join(head)}</tr></thead>\n<tbody>\n{body}</tbody></table>\n"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*")


def _html(cell: Cell) -> str:
    marks = {"": "{}", "best": "<b>{}</b>", "second": "<u>{}</u>"}
    note = f"<sup>{html.escape(cell.note)}</sup>" if cell.note else ""
    return marks[cell.mark].format(html.escape(cell.text)) + note


def marked(values: Sequence[float]) -> list[Mark]:
    """Best for the largest of the values, second for the next smaller one; equal ones alike."""
    ranked = sorted(set(values), reverse=True)
    return ["best" if value == ranked[0] else "second" if value in ranked[1:2] else "" for value in values]

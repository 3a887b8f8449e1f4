"""Figures that can be printed, and told apart without colours: Okabe and Ito's palette, markers and line styles."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS, LINES = "osD^vPX*<>ph8", ("-", "--", ":", "-.")
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "resprout",  # the same figure is the same file
    "svg.fonttype": "none",
    "figure.dpi": 150,
}


@dataclass(frozen=True)
class Plot:
    """A figure: the name of its files, its title, and the matplotlib figure."""

    name: str
    title: str
    figure: Any

    def save(self, folder: Path) -> list[Path]:
        """The figure as SVG and PNG in the folder."""
        import matplotlib as mpl

        paths = [folder / f"{self.name}.{kind}" for kind in ("svg", "png")]
        with mpl.rc_context(_STYLE):
            for path in paths:
                undated = {"Date": None} if path.suffix == ".svg" else None
                self.figure.savefig(path, bbox_inches="tight", metadata=undated)
        return paths


Series = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By label: values along x, and along y."""


def lines(name: str, title: str, series: Series, x: str, y: str, log_x: bool = False, markers: bool = True) -> Plot:
    """Lines of values along an axis, one a label."""
    with _axes() as (figure, axes):
        for k, (label, (xs, ys)) in enumerate(series.items()):
            marker = MARKERS[k % len(MARKERS)] if markers else None
            style = LINES[k // len(COLOURS) % len(LINES)] if markers else LINES[k % len(LINES)]
            axes.plot(xs, ys, style, color=COLOURS[k % len(COLOURS)], marker=marker, markersize=4.5, label=label)
        if log_x:
            _log_axis(axes)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(series) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return Plot(name, title, figure)


def bars(name: str, title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], x: str, y: str) -> Plot:
    """Groups of bars, one a label."""
    with _axes() as (figure, axes):
        width = 0.8 / max(1, len(series))
        for k, (label, values) in enumerate(series.items()):
            places = [place + (k - (len(series) - 1) / 2) * width for place in range(len(labels))]
            axes.bar(
                places, values, width, color=COLOURS[k % len(COLOURS)], label=label, edgecolor="white", linewidth=0.5
            )
        axes.set_xticks(range(len(labels)), labels)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(series) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return Plot(name, title, figure)


def _log_axis(axes: Any) -> None:
    """Along x, with ticks at 1, 2 and 5 that say "200 k" and not powers of ten."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


@contextmanager
def _axes() -> Iterator[tuple[Any, Any]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 3.2))
        yield figure, figure.add_subplot()

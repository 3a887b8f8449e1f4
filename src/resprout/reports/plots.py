"""Figures that can be printed, and told apart without colours: Okabe and Ito's palette, markers and line styles."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Axis:
    """What stands at an axis; log: whether equal steps are equal factors."""

    label: str
    log: bool = False


def lines(
    name: str,
    title: str,
    series: Series,
    x: Axis,
    y: Axis,
    markers: bool = True,
    level: tuple[str, float] | None = None,
) -> Plot:
    """Lines of values along an axis, one a label. level: a label and value for a line across, such as dense."""
    return multiples(name, title, {"": series}, x, y, markers, level)


def multiples(
    name: str,
    title: str,
    panels: Mapping[str, Series],
    x: Axis,
    y: Axis,
    markers: bool = True,
    level: tuple[str, float] | None = None,
) -> Plot:
    """Lines in panels side by side with one scale; a label looks the same in all."""
    labels = list(dict.fromkeys(label for series in panels.values() for label in series))
    with _figure(len(panels), len(labels) + (level is not None)) as (figure, all_axes):
        for axes, (panel, series) in zip(all_axes, panels.items(), strict=True):
            if level is not None:
                axes.axhline(level[1], color="#555555", linewidth=1, linestyle=(0, (6, 2)), label=level[0])
            for label, (xs, ys) in series.items():
                k = labels.index(label)
                marker = MARKERS[k % len(MARKERS)] if markers else None
                style = LINES[k // len(COLOURS) % len(LINES)] if markers else LINES[k % len(LINES)]
                axes.plot(xs, ys, style, color=COLOURS[k % len(COLOURS)], marker=marker, markersize=4.5, label=label)
            if x.log:
                _log_axis(axes, "x")
            elif all(float(value).is_integer() for xs, _ in series.values() for value in xs):
                axes.xaxis.get_major_locator().set_params(integer=True)
            if y.log:
                _log_axis(axes, "y")
            if panel:
                axes.set_title(panel, fontsize=9)
            axes.set_xlabel(x.label)
        all_axes[0].set_ylabel(y.label)
        _legend(all_axes)
    return Plot(name, title, figure)


def bars(name: str, title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], x: str, y: str) -> Plot:
    """Groups of bars, one a label."""
    with _figure(1, len(series)) as (figure, (axes,)):
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
        _legend([axes])
    return Plot(name, title, figure)


def picture(name: str, title: str, blocks: Mapping[str, NDArray[np.float32]], scale: str) -> Plot:
    """Rows of a table as lines of a picture, block under block; the larger a value, the darker; white: none there.

    blocks: by label, `[rows, width]` each, NaN where nothing is; scale: what the colours say.
    """
    import matplotlib as mpl
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    values = np.concatenate([np.abs(block[np.isfinite(block) & (block != 0)]) for block in blocks.values()])
    least, most = np.percentile(values, (5, 99)) if len(values) else (0.5, 1.0)
    norm = LogNorm(least, max(most, 1.01 * least), clip=True)
    with mpl.rc_context(_STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(5.2, 0.3 + 0.85 * len(blocks)), layout="constrained")
        all_axes = figure.subplots(len(blocks), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (label, block) in zip(all_axes, blocks.items(), strict=True):
            drawn = axes.imshow(np.abs(block), cmap="viridis_r", norm=norm, aspect="auto", interpolation="nearest")
            axes.set_ylabel(label, rotation=0, ha="right", va="center")
            axes.set_yticks([])
            axes.tick_params(bottom=axes is all_axes[-1])
            for side in ("top", "right"):
                axes.spines[side].set_visible(True)
        all_axes[-1].set_xlabel("column")
        bar = figure.colorbar(drawn, ax=all_axes.tolist(), label=scale, fraction=0.04)
        _few_ticks(bar.ax.yaxis, StrMethodFormatter("{x:g}"))
    return Plot(name, title, figure)


def _legend(all_axes: Sequence[Any]) -> None:
    """Right of the last axes, if there is more than one label."""
    entries: dict[str, Any] = {}
    for axes in all_axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if len(entries) > 1:
        all_axes[-1].legend(entries.values(), entries.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5))


def _log_axis(axes: Any, along: str) -> None:
    """With ticks that say "200 k", or along y 0.2, and not powers of ten."""
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    getattr(axes, f"set_{along}scale")("log")
    _few_ticks(getattr(axes, f"{along}axis"), EngFormatter() if along == "x" else StrMethodFormatter("{x:g}"))


def _few_ticks(axis: Any, formatter: Any) -> None:
    """Of a logarithmic axis: ticks at 1, 2 and 5, or, where these would be too few, even ones."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    least, most = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if most > 4 * least else MaxNLocator(4))
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())


@contextmanager
def _figure(columns: int, labels: int) -> Iterator[tuple[Any, Sequence[Any]]]:
    """A figure with so many axes side by side, as high as a legend of so many labels."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        height = max(3.2, 0.25 * labels)  # inches, of which the axes take three quarters
        figure = Figure(figsize=(5.2 if columns == 1 else 1.0 + 2.6 * columns, height))
        yield figure, figure.subplots(1, columns, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.12})[0]

"""Learning curves, and the rate against the distortion."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vae_cli.rendering.plots import (
    MAX_NAME_LENGTH,
    add_caption,
    add_legend,
    choose_colours,
    encode_plot,
    new_plot,
    shorten,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_WIDTH, PANEL_HEIGHT = 3.6, 3.4  # inches
LEGEND_WIDTH = 0.085  # inches per character
MAX_PANELS_IN_ROW = 3
FEW_EPOCHS = 25  # up to these, each epoch has a marker
MAX_ABBREVIATION = 4  # letters
BAND_ALPHA = 0.2
SOLID, DASHED = "held out", "train"  # the parts of the data, by the style of their lines


class Line(NamedTuple):
    """One line, perhaps with a band around it.

    Attributes:
        x: `(E,)`.
        y: `(E,)`, the means.
        deviation: `(E,)`, half the height of the band; 0 where there is none.
    """

    x: Sequence[float]
    y: Sequence[float]
    deviation: Sequence[float]


def render_curves(
    curves: Mapping[str, Mapping[tuple[str, str], Line]],
    terms: Sequence[str],
    title: str,
    *,
    held_out: str = "test",
    ordered: bool = False,
    suffix: str = ".png",
) -> bytes:
    """Learning curves: one panel for each term, held-out items solid and the training set dashed.

    Args:
        curves: by label; their lines by part, `train` or `held out`, and term.
        terms: the panels.
        title: written above them.
        held_out: the name of the set that is held out.
        ordered: whether the curves have an order, as the values of a number have.
        suffix: `.png`, `.svg` or `.pdf`.

    Returns:
        The bytes of the file.
    """
    from matplotlib.lines import Line2D

    columns = 2 if len(terms) == 4 else min(len(terms), MAX_PANELS_IN_ROW)  # noqa: PLR2004  a square
    rows = -(-len(terms) // columns)
    colours = choose_colours(len(curves), ordered=ordered)
    longest = max(map(len, curves)) if len(curves) > 1 else 0
    width = PANEL_WIDTH * columns + LEGEND_WIDTH * min(longest, MAX_NAME_LENGTH)
    with new_plot(width, PANEL_HEIGHT * rows + 0.7) as plot:
        panels = list(plot.subplots(rows, columns, squeeze=False).flat)
        for axes, term in zip(panels, terms, strict=False):
            _draw_panel(axes, curves, term, colours)
        for axes in panels[len(terms) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel("nats per item")
        if len(curves) > 1:  # the title names a single curve
            handles = [Line2D([], [], color=colour, lw=2) for colour in colours]
            add_legend(plot, handles, list(curves))
        add_caption(plot, title, _caption(curves, held_out))
        return encode_plot(plot, suffix)


class Point(NamedTuple):
    """A mean in two dimensions, with deviations.

    Attributes:
        label: written beside it.
        x: its rate, mean and deviation.
        y: its distortion, mean and deviation.
    """

    label: str
    x: tuple[float, float]
    y: tuple[float, float]


def render_rates(
    lines: Mapping[str, Sequence[Point]],
    axis_labels: tuple[str, str],
    title: str,
    *,
    suffix: str = ".png",
) -> bytes:
    """The rate against the distortion (Alemi et al., 2018), one line for each label.

    Args:
        lines: the points of each line in their order; an empty label has no legend.
        axis_labels: of rate and distortion.
        title: written above.
        suffix: `.png`, `.svg` or `.pdf`.

    Returns:
        The bytes of the file.
    """
    from matplotlib.lines import Line2D

    colours = choose_colours(len(lines), ordered=False)
    named = [label for label in lines if label]
    width = 6.4 + LEGEND_WIDTH * min(max(map(len, named), default=0), MAX_NAME_LENGTH)
    with new_plot(width, 5) as plot:
        axes = plot.add_subplot()
        lowest = min(lines.values(), key=lambda points: np.mean([one.y[0] for one in points]))
        for points, colour in zip(lines.values(), colours, strict=True):
            below = points is lowest and len(lines) > 1  # away from the other lines
            _draw_points(axes, points, colour, below=below)
        style_axes(axes)
        axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1])
        axes.margins(0.12)
        handles = [Line2D([], [], color=colour, marker="o") for colour in colours]
        add_legend(plot, handles[: len(named)], named)
        spread = any(point.x[1] or point.y[1] for line in lines.values() for point in line)
        bars = "; bars: ± one standard deviation over seeds" if spread else ""
        best = "test set, at the epoch with the lowest loss; lower left is better"
        add_caption(plot, title, f"{best}{bars}")
        return encode_plot(plot, suffix)


def term_title(term: str) -> str:
    """A term for a person: abbreviations such as KL and MSE in capitals."""
    is_short = len(term) <= MAX_ABBREVIATION and term != "loss"
    return term.upper() if is_short else term.replace("_", " ")


def _draw_panel(
    axes: "Axes",
    curves: Mapping[str, Mapping[tuple[str, str], Line]],
    term: str,
    colours: Sequence[Any],
) -> None:
    from matplotlib.ticker import MaxNLocator

    for lines, colour in zip(curves.values(), colours, strict=True):
        if dashed := lines.get((DASHED, term)):
            axes.plot(dashed.x, dashed.y, "--", color=colour, lw=1)
        if solid := lines.get((SOLID, term)):
            marker = "o" if len(solid.x) <= FEW_EPOCHS else None
            axes.plot(solid.x, solid.y, "-", color=colour, lw=1.6, marker=marker, markersize=3)
            low, high = np.subtract(solid.y, solid.deviation), np.add(solid.y, solid.deviation)
            axes.fill_between(solid.x, low, high, color=colour, alpha=BAND_ALPHA, lw=0)
    style_axes(axes)
    axes.set_title(term_title(term), parse_math=False)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _caption(curves: Mapping[str, Mapping[tuple[str, str], Line]], held_out: str) -> str:
    deviations = [line.deviation for lines in curves.values() for line in lines.values()]
    band = any(any(deviation) for deviation in deviations)
    over = "; band: ± one standard deviation over runs with other seeds" if band else ""
    return f"solid: {held_out} set; dashed: training set{over}"


def _draw_points(axes: "Axes", points: Sequence[Point], colour: Any, *, below: bool) -> None:
    from matplotlib.patheffects import withStroke

    x, y = ([getattr(point, name)[0] for point in points] for name in "xy")
    wide, tall = ([getattr(point, name)[1] for point in points] for name in "xy")
    axes.errorbar(x, y, tall, wide, color=colour, marker="o", lw=1.2, markersize=5, capsize=2)
    for point in points:
        axes.annotate(
            shorten(point.label),
            (point.x[0], point.y[0]),
            (-6, -6) if below else (6, 5),
            textcoords="offset points",
            ha="right" if below else "left",
            va="top" if below else "bottom",
            fontsize=8,
            color="0.25",
            parse_math=False,
            path_effects=[withStroke(linewidth=2, foreground="white")],  # readable on a line
        )

"""A map of a latent space: its points in two dimensions, coloured by class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_cli.rendering.plots import (
    DISTINCT_COLOURS,
    add_legend,
    encode_plot,
    new_plot,
    shorten,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNIT_AXES = ("PC", "z")  # the beginnings of labels of axes whose numbers mean something
MANY_POINTS = 5000  # with more, points are more transparent
OTHERS_GREY = 0.75  # grey value of the classes that have no colour of their own
MAX_CLASS_LENGTH = 28  # characters of a class in the legend
MAX_TICKS = 8
MIN_HEIGHT, MAX_HEIGHT, LEGEND_ROW = 4.0, 7.5, 0.23  # inches

Array = np.ndarray[Any, np.dtype[Any]]


def render_map(
    coordinates: Array,
    axis_labels: tuple[str, str],
    *,
    title: str,
    labels: Array | None = None,
    classes: Sequence[str] = (),
    suffix: str = ".png",
) -> bytes:
    """A map as the bytes of a file.

    Args:
        coordinates: of the points, `(M, 2)`.
        axis_labels: what the two axes are.
        title: written above the map.
        labels: `(M,)`, indices into `classes`; None is one colour for all points.
        classes: their names, for the legend; of more than 20, only the 20 largest have colours.
        suffix: `.png`, `.svg` or `.pdf`.
    """
    count = len(coordinates)
    colours, legend = colour_points(labels, count, classes)
    with new_plot(8, _plot_height(coordinates, len(legend))) as plot:
        axes = plot.add_subplot()
        order = np.random.default_rng(0).permutation(count)  # so that no class hides another
        axes.scatter(
            coordinates[order, 0],
            coordinates[order, 1],
            s=np.clip(600 / np.sqrt(count), 2, 40),
            c=colours[order],
            alpha=0.6 if count < MANY_POINTS else 0.4,
            linewidths=0,
        )
        axes.set_title(title, parse_math=False)
        axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1])
        _style_axes(axes, has_units=axis_labels[0].startswith(UNIT_AXES))
        _add_class_legend(plot, legend)
        plot.draw_without_rendering()  # equal scales change the ticks, which need other margins
        return encode_plot(plot, suffix)


def colour_points(
    labels: Array | None, count: int, classes: Sequence[str]
) -> tuple[Array, list[tuple[str, Any]]]:
    """The colours of `count` points, `(count, 3)`, and the names and colours of the legend.

    If there are more than 20 classes, the smaller ones are grey.
    """
    from matplotlib.colors import to_rgb

    distinct = np.array([to_rgb(colour) for colour in DISTINCT_COLOURS])
    if labels is None or not classes:
        return np.tile(distinct[0], (count, 1)), []
    sizes = np.bincount(labels, minlength=len(classes))
    present = np.flatnonzero(sizes)
    named = np.sort(present[np.argsort(-sizes[present], kind="stable")][: len(DISTINCT_COLOURS)])
    class_colour = np.full((len(classes), 3), OTHERS_GREY)
    all_fit = len(classes) <= len(DISTINCT_COLOURS)  # then a missing class does not change colours
    class_colour[named] = distinct[named if all_fit else range(len(named))]
    legend = [(shorten(classes[label], MAX_CLASS_LENGTH), class_colour[label]) for label in named]
    others = len(present) - len(named)
    return class_colour[labels], legend + (
        [(f"{others} others", (OTHERS_GREY,) * 3)] if others else []
    )


def _plot_height(coordinates: Array, classes: int) -> float:
    """Inches, for a plot 8 inches wide with the same scale on both axes, and with a legend."""
    wide, tall = np.maximum(np.ptp(coordinates, axis=0), 1e-12)
    lowest = max(MIN_HEIGHT, LEGEND_ROW * (classes + 1))
    return float(np.clip(1.2 + 6 * tall / wide, lowest, max(lowest, MAX_HEIGHT)))


def _style_axes(axes: "Axes", *, has_units: bool) -> None:
    style_axes(axes)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=MAX_TICKS)
    axes.ticklabel_format(scilimits=(-3, 4))  # other numbers have a power of ten at the end
    if not has_units:
        axes.set(xticks=[], yticks=[])


def _add_class_legend(plot: "Figure", names: Sequence[tuple[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    markers = [Line2D([], [], marker="o", markersize=9, ls="", color=colour) for _, colour in names]
    add_legend(plot, markers, [name for name, _ in names])

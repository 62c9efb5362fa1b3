"""What all plots of matplotlib have in common: their style, their colours, and their bytes.

There is one colour per class, the same on every map: Tableau's ten, and ten more in their style.
"""

import importlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vae_cli.errors import VAEError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DISTINCT_COLOURS = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f"),
    *("#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8a8f98"),
    *("#1f9e89", "#c03d6f", "#6a6fc4", "#b5a642", "#3ba3d0"),
    *("#d07c3b", "#7d5ba6", "#2e7d4f", "#a63a3a", "#556b8d"),
)
GOLDEN_ANGLE = 137.5  # degrees between successive hues, so that neighbours differ strongly
DPI = 160
METADATA = {  # what matplotlib would write into a file; with the date, no two files are equal
    ".png": ("Software",),
    ".svg": ("Date", "Creator"),
    ".pdf": ("CreationDate", "Creator", "Producer"),
}
MAX_NAME_LENGTH, MAX_TITLE_LENGTH = 40, 80  # characters of a name in a legend, and of a title
SAFE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DARKEST, LIGHTEST = 0.0, 0.8  # of viridis; its lightest part cannot be read on white


def class_colours(count: int) -> list[str]:
    """A CSS colour for each of `count` classes; after the distinct ones, hues."""
    more = range(len(DISTINCT_COLOURS), count)
    hues = (f"hsl({GOLDEN_ANGLE * label % 360} 55% 55%)" for label in more)
    return [*DISTINCT_COLOURS[:count], *hues]


# Told apart by people with any of the common kinds of colour blindness (Okabe and Ito, 2008).


def load_matplotlib() -> None:
    """Import matplotlib without the backend that the environment names: nothing is shown here.

    Raises:
        VAEError: the user's `matplotlibrc`, which matplotlib reads although nothing here uses it,
            cannot be read.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # hides messages about its font cache
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        importlib.import_module("matplotlib")
    except (OSError, ValueError) as error:
        raise VAEError(
            f"mend or remove the file matplotlibrc, which matplotlib reads: {error}"
        ) from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


load_matplotlib()  # here, so that every module that draws has it


@contextmanager
def new_plot(width: float, height: float) -> "Iterator[Figure]":
    """An empty plot of some inches in the default style, whatever the user's matplotlibrc says.

    It must be encoded within the context.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with warnings.catch_warnings(action="ignore"), mpl.rc_context(mpl.rcParamsDefault):
        mpl.rcParams["svg.hashsalt"] = "vae"  # the same plot is the same file
        mpl.rcParams["pdf.fonttype"] = 42  # TrueType: journals refuse the default, Type 3
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches
        plot = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(plot)
        yield plot


def encode_plot(plot: "Figure", suffix: str = ".png") -> bytes:
    """A plot as the bytes of a PNG, SVG or PDF file, without the date or the program's name."""
    buffer = io.BytesIO()
    metadata = dict.fromkeys(METADATA[suffix])
    plot.savefig(buffer, format=suffix.removeprefix("."), dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def style_axes(axes: "Axes") -> None:
    """A light grid, and no frame on the right and at the top."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.93")
    axes.set_axisbelow(True)


def add_legend(plot: "Figure", handles: Sequence[Any], names: Sequence[str]) -> None:
    """A legend on the right of a plot; a `$` in a name is not taken for mathematics."""
    if not names:
        return
    shown = [shorten(name) for name in names]
    legend = plot.legend(
        handles, ["x" * len(name) for name in shown], loc="outside right upper", frameon=False
    )
    for text, name in zip(legend.get_texts(), shown, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def add_caption(plot: "Figure", title: str, caption: str) -> None:
    """A title above a plot, and a sentence below it that says how to read it."""
    plot.suptitle(shorten(title, MAX_TITLE_LENGTH), fontsize=12).set_parse_math(False)
    plot.supxlabel(caption, fontsize=9, color="0.35").set_parse_math(False)


def choose_colours(count: int, *, ordered: bool) -> list[Any]:
    """Colours for a number of lines: from dark to light if they have an order, or distinct ones."""
    if not ordered and count <= len(SAFE_COLOURS):
        return list(SAFE_COLOURS[:count])
    import matplotlib as mpl

    step = (LIGHTEST - DARKEST) / max(1, count - 1)
    return [mpl.colormaps["viridis"](DARKEST + step * index) for index in range(count)]


def shorten(name: str, length: int = MAX_NAME_LENGTH) -> str:
    """A name on one short line."""
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"

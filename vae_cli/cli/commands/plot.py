"""`vae plot`."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli.cli._options import Force, ResultTerminal, output_option, refuse_unused
from vae_cli.cli._output import Request, require_suffix
from vae_cli.errors import UsageError
from vae_cli.files import write_bytes
from vae_cli.rendering.suffixes import PLOT_SUFFIXES
from vae_cli.runs.compare import (
    MIXED_DATA,
    Curve,
    RatePoint,
    Spread,
    collect_curves,
    collect_rates,
    compared_settings,
    find_rate,
    group_runs,
    mix_data,
    part_columns,
    shown_value,
    terms_of,
)
from vae_cli.runs.lookup import find_run, select_runs
from vae_cli.runs.summary import RunSummary, summarize_run

if TYPE_CHECKING:
    from vae_cli.rendering.curves import Line

MAX_LINES = 20  # of a plot; its legend has no place for more
MAX_PANELS = 20  # of a plot, one for each term; an objective has up to 6


def command(
    *,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN...",
            help="Names, beginnings of names, or patterns such as 'beta-*'. "
            "[default: the newest finished run]",
        ),
    ] = None,
    rate_distortion: Annotated[
        bool,
        typer.Option(
            "--rate-distortion",
            help="Plot the KL of each run against its distortion instead of learning curves.",
        ),
    ] = False,
    first: Annotated[
        int, typer.Option("--from", min=1, help="First epoch of the learning curves.")
    ] = 1,
    output: Annotated[
        Path | None,
        output_option("File to write: .png, .svg or .pdf. [default: curves.png]"),
    ] = None,
    force: Force = False,
    terminal: ResultTerminal,
) -> None:
    """Plot the learning curves of runs; runs that differ only in their seed become one band.

    Example: `vae plot`, or `vae plot 'beta-*' --rate-distortion -o plane.svg`
    """
    refuse_unused("--from", first > 1 and rate_distortion, "leave out --rate-distortion")
    require_suffix(output, PLOT_SUFFIXES)
    wanted = Request(output, terminal, force=force)
    wanted.refuse_standard_output("curves.png")
    chosen = select_runs(patterns) if patterns else [find_run(None)]
    runs = [summarize_run(run) for run in chosen]
    wanted.check_data_of(runs)
    path = wanted.open_file(Path("curves.png"))
    if mix_data(group_runs(runs, compared_settings(runs))):
        terminal.remark(MIXED_DATA, "yellow")
    with terminal.spinner("drawing"):
        draw = draw_rates if rate_distortion else draw_curves
        picture, records = draw(runs, first, path.suffix.lower())
        write_bytes(path, picture)
    if terminal.wants_json:
        terminal.json({"output": str(path), "lines": records})
    else:
        terminal.result(path)


def draw_curves(
    runs: Sequence[RunSummary], first: int, suffix: str
) -> tuple[bytes, list[dict[str, Any]]]:
    """The learning curves as a picture, and what each of them shows.

    Raises:
        UsageError: there is no such epoch, or there are too many lines or terms.
    """
    from vae_cli.rendering.curves import render_curves

    curves = collect_curves(runs)
    require_few(curves)
    last = max(curve.epochs[-1] for curve in curves)
    if first > last:
        raise UsageError(f"--from {first}: these runs have {last} epochs")
    terms = terms_of(curves)
    if len(terms) > MAX_PANELS:
        raise UsageError(f"{len(terms)} terms are too many for one plot: {MAX_PANELS} fit in it")
    picture = render_curves(
        {curve.label: lines_of(curve, first) for curve in curves},
        terms,
        title_of_runs(runs),
        held_out=" or ".join(dict.fromkeys(curve.held_out for curve in curves)),
        ordered=have_an_order(runs),
        suffix=suffix,
    )
    return picture, [{"label": curve.label, "runs": curve.runs} for curve in curves]


def lines_of(curve: Curve, first: int) -> "dict[tuple[str, str], Line]":
    """The lines of a curve by part and term, from an epoch on."""
    from vae_cli.rendering.curves import Line

    lines = {}
    for place, column in part_columns(curve).items():
        pairs = zip(curve.epochs, curve.columns[column], strict=True)
        known = [(epoch, *center(one)) for epoch, one in pairs if one and epoch >= first]
        if known:
            lines[place] = Line(*zip(*known, strict=True))
    return lines


def draw_rates(
    runs: Sequence[RunSummary],
    first: int,  # noqa: ARG001  of learning curves
    suffix: str,
) -> tuple[bytes, list[dict[str, Any]]]:
    """The rate against the distortion as a picture, and the numbers of each point."""
    from vae_cli.rendering.curves import Point, render_rates, term_title

    measured = [run for run in runs if run.metrics]
    names = [term_title(name.partition("_")[2]) for name in find_rate(measured)]
    points = collect_rates(measured)
    lines: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda one: one.rate.mean):
        shown = Point(point.label, center(point.rate), center(point.distortion))
        lines.setdefault(point.line, []).append(shown)
    rate, distortion = (f"{name} (nats per item)" for name in names)
    require_few(lines)
    picture = render_rates(
        {line: lines[line] for line in dict.fromkeys(point.line for point in points)},
        (f"rate: {rate}", f"distortion: {distortion}"),
        title_of_runs(measured),
        suffix=suffix,
    )
    return picture, [rate_record(point) for point in points]


def require_few(lines: Collection[object]) -> None:
    """Check that a plot with so many lines can be read.

    Raises:
        UsageError: there are too many.
    """
    if len(lines) > MAX_LINES:
        raise UsageError(f"{len(lines)} lines are too many for one plot: choose fewer runs")


def rate_record(point: RatePoint) -> dict[str, Any]:
    """A point for JSON."""
    return {
        "label": ", ".join(filter(None, (point.line, point.label))),
        "runs": point.runs,
        "rate": point.rate._asdict(),
        "distortion": point.distortion._asdict(),
    }


def center(spread: Spread) -> tuple[float, float]:
    """The mean, and the deviation, which is 0 for a single run."""
    return spread.mean, spread.std or 0.0


def have_an_order(runs: Sequence[RunSummary]) -> bool:
    """Whether runs differ in one number, so that their colours can show its order."""
    keys = compared_settings(runs)
    values = [run.settings.get(keys[0]) for run in runs] if len(keys) == 1 else []
    return bool(values) and all(isinstance(value, int | float) for value in values)


def title_of_runs(runs: Sequence[RunSummary]) -> str:
    """What the runs have in common, and how many they are."""
    names = {shown_value("data.name", run.settings.get("data.name")) for run in runs}
    networks = {run.settings.get("model.network") for run in runs}
    common = [next(iter(values)) for values in (names, networks) if len(values) == 1]
    count = runs[0].run.name if len(runs) == 1 else f"{len(runs)} runs"
    return ", ".join([*(str(one) for one in common if one), count])

"""`vae score`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

import typer

from vae_cli.cli._conditions import ask_condition
from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import (
    FittingGroup,
    RunGroup,
    opened_together,
)
from vae_cli.cli._options import (
    ClassOption,
    Data,
    FixedSeed,
    Force,
    Gap,
    Processes,
    ResultTerminal,
    Scale,
    WhereCondition,
    output_option,
    refuse_unused,
)
from vae_cli.cli._output import Request, require_suffix
from vae_cli.cli._parsing import require_no_run
from vae_cli.cli._pictures import lay_out_sheet
from vae_cli.errors import UsageError, list_some, plural
from vae_cli.files import Output, exists, write_csv
from vae_cli.rendering.suffixes import CSV, PICTURE_SUFFIXES

if TYPE_CHECKING:
    from vae_cli.api.labels import Comparison
    from vae_cli.api.model import TrainedModel
    from vae_cli.api.scoring import Scores

PAIR = 2  # tiles
MAX_NAMED = 5  # items in a remark
FEW_HELD_OUT = 30  # with fewer, a line through them is uncertain
By = Literal["adjusted", "likelihood", "complexity", "distortion", "kl", "neighbours"]
Explained = Literal["shown", "all", "none"]


def command(
    *,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder of pictures, a picture, an array file, a table, or the name of a data "
            "set. [default: the test set of the run]",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=1000, help="Number of items to show, the strangest first.")
    ] = 20,
    by: Annotated[
        By | None,
        typer.Option(help="What orders the items. [default: adjusted, and likelihood for a table]"),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, max=100_000, help="Importance samples of each item.")
    ] = 20,
    seed: FixedSeed = 0,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="Mark the items that are at least as strange as this percentage of the held-out "
            "ones.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN[=VALUE]",
            help="Print how well the scores find the rows of a table that this column marks: with "
            "VALUE, or with the less frequent one of two values.",
        ),
    ] = None,
    explain: Annotated[
        Explained | None,
        typer.Option(
            help="Rows of a table for which each column is scored, given the others of the row. "
            "[default: shown]"
        ),
    ] = None,
    fitting: FittingGroup,
    class_: ClassOption = None,
    where: WhereCondition = None,
    run: RunGroup,
    processes: Processes = 1,
    held_out: Data = None,
    output: Annotated[
        Path | None,
        output_option(
            "File to write: .csv of all items, or - for standard output. [default: score.csv]"
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Write a picture of the strangest items as well.",
            rich_help_panel="Output",
        ),
    ] = None,
    force: Force = False,
    scale: Scale = None,
    gap: Gap = None,
    terminal: ResultTerminal,
) -> None:
    """Score how strange each item is, and show the strangest ones.

    A run with --condition is told the own class or columns of each item; those of one picture are
    what --class and --where say.

    Example: `vae score --plot strange.png`, or `vae score photos/ --top 50 -o scores.csv`
    """
    require_outputs(output, plot, {"--scale": scale, "--gap": gap})
    inputs = [data, held_out]
    table = Request(output, terminal, inputs=inputs, force=force, json=terminal.wants_json)
    picture = Request(plot, terminal, flag="--plot", inputs=inputs, force=force)
    picture.refuse_standard_output("strange.png")
    is_one = data is not None and require_data(data)
    fitting.require_use(has_file=is_one, remedy="name one picture")
    if not is_one:
        refuse_each({"--class": class_, "--where": where}, "name one picture")
    outputs = [table, picture]
    with opened_together([run], processes, terminal, held_out, outputs=outputs) as (models, world):
        (model,) = models
        require_kind(plot, explain, label, is_image=model.spec.is_image)
        from vae_cli.api.scoring import score_items

        paths = [table.open_table(Path("score.csv")), *([picture.open_file(plot)] if plot else [])]
        scores = score_items(
            model,
            data,
            by=by,
            samples=samples,
            seed=seed,
            threshold=threshold,
            invert=fitting.invert,
            find_object=fitting.find_object,
            y=ask_condition(model, class_, where or []),
            stage=terminal.bar,
            world=world,
        )
        if world.rank > 0:
            return
        places = scores.order()[:top]
        if not model.spec.is_image:
            scores = explain_some(model, scores, explain or "shown", places, seed, terminal)
        comparison = compare(model, scores, data or model.data_name or "", label) if label else None
        write_csv(paths[0], scores.titles(), scores.rows())
        if plot:
            write_strange(model, scores, places, paths[1], terminal, scale=scale, gap=gap)
        print_scores(terminal, scores, places, paths, comparison)


def require_outputs(output: Path | None, plot: Path | None, of_plot: Mapping[str, object]) -> None:
    """Check the formats of the files, and that options of a picture have one.

    Raises:
        UsageError: a format is not known, or an option has no effect.
    """
    require_suffix(output, [CSV])
    require_suffix(plot, PICTURE_SUFFIXES, "--plot")
    if plot is None:
        refuse_each(of_plot, "add --plot strange.png")


def refuse_each(options: Mapping[str, object], remedy: str) -> None:
    """Refuse options that have no effect.

    Raises:
        UsageError: one of them was used.
    """
    for flag, value in options.items():
        refuse_unused(flag, value is not None, remedy)


def require_kind(
    plot: Path | None, explain: Explained | None, label: str | None, *, is_image: bool
) -> None:
    """Refuse what the items of the model do not have.

    Raises:
        UsageError: a picture of rows, or columns of images, were asked for.
    """
    if plot and not is_image:
        raise UsageError(f"--plot {plot}: a table has no picture")
    if is_image:
        options = {"--explain": explain, "--label": label}
        refuse_each(options, "score a table: images have no columns")


def explain_some(
    model: "TrainedModel",
    scores: "Scores",
    which: Explained,
    shown: Sequence[int],
    seed: int,
    terminal: Terminal,
) -> "Scores":
    """The scores with the columns that make the shown rows strange, or all, or none."""
    from vae_cli.api.scoring import explain_scores

    match which:
        case "none":
            return scores
        case "shown":
            return explain_scores(model, scores, shown, seed=seed, stage=terminal.bar)
        case "all":
            places = range(len(scores))
            return explain_scores(model, scores, places, seed=seed, stage=terminal.bar)
        case _:
            assert_never(which)


def compare(model: "TrainedModel", scores: "Scores", data: str, label: str) -> "Comparison":
    """How well the scores find the rows that a column of their table marks.

    Raises:
        UsageError: the rows are not those of the file of a table, or it has no such column.
    """
    from vae_cli.api.labels import compare_with_label
    from vae_cli.data.source import SourceKind, find_source

    source = find_source(data)
    if source.kind is not SourceKind.TABLE:
        raise UsageError(f"--label {label}: {data} has no columns with names")
    return compare_with_label(model, scores, Path(source.name), label)


def require_data(data: str) -> bool:
    """Check the name of the data before torch is imported; returns whether it is one picture.

    Raises:
        UsageError: there are no such data.
    """
    from vae_cli.data.source import find_source, is_picture

    if not exists(data):
        require_no_run(data)
    is_one = is_picture(data)
    if not is_one:
        find_source(data)
    return is_one


def write_strange(
    model: "TrainedModel",
    scores: "Scores",
    places: Sequence[int],
    path: Output,
    terminal: Terminal,
    *,
    scale: int | None,
    gap: int | None,
) -> None:
    """Write some items beside their reconstructions, with the score of each.

    Raises:
        UsageError: the picture would be too large.
        VAEError: the file cannot be written.
    """
    from vae_cli.rendering.arrangements import Reconstructions
    from vae_cli.rendering.grid import Layout

    layout = Layout(columns=PAIR, scale=scale, gap=gap)
    sheet = model.kind.plan_sheet(len(places), layout, page=1, group=PAIR)
    if sheet:
        shown = [places[place] for place in sheet.items]
        texts = caption_scores(scores, shown)
        title = f"strangest of {len(scores):,} items: {scores.by} score, percentile"
        if len(shown) < len(places):
            terminal.remark(f"the picture has room for the first {len(shown)}")
        sheet = sheet._replace(items=range(len(shown)))
        layout = lay_out_sheet(sheet, texts, layout, above=("original", "decoded"), title=title)
        places = shown
    items, told, condition = scores.take(places), scores.conditions(places), model.model.condition
    y = None if condition is None or told is None else condition.decode(told)
    with terminal.spinner("decoding"):
        pairs = Reconstructions(originals=items, decoded=model.reconstruct(items, y).items)
    model.kind.writer(layout).write_reconstructions(pairs, path)


def caption_scores(scores: "Scores", places: Sequence[int]) -> list[str]:
    """The name and class of each item with its score and its percentile."""
    return [
        f"{scores.title(place)}\n{scores.score[place]:.1f} · {scores.percentile[place]:.2f} %"
        for place in places
    ]


def print_scores(
    terminal: Terminal,
    scores: "Scores",
    places: Sequence[int],
    paths: Sequence[Output],
    comparison: "Comparison | None",
) -> None:
    """Print the strangest items, and the paths of the files."""
    columns = scores.columns()
    warn_of_limits(terminal, scores)
    warn_of_learned(terminal, comparison)
    if terminal.wants_json:
        terminal.json(describe(scores, places, paths, comparison))
        return
    terminal.remark(
        f"by {scores.by}; percentile among {scores.held_out:,} held-out items; in nats, except for "
        "the distance"
    )
    note_code_prior(terminal, scores)
    shown = {
        "percentile": "percentile",
        "score": "score",
        "log_likelihood": "log p(x)",
        "distortion": "-log p(x|z)",
        "kl": "KL",
        "neighbour_distance": "distance",
    }
    titles, table = ["", *shown.values()], []
    for place in places:
        numbers = (f"{columns[name][place].item():.2f}" for name in shown)
        table.append([scores.title(place), *numbers, *describe_reason(scores, place)])
    if scores.reasons:
        titles += ["column", "value", "expected", "NLL"]
    terminal.table(titles, table)
    print_summary(terminal, scores, comparison)
    for path in paths:
        terminal.result(path)


def note_code_prior(terminal: Terminal, scores: "Scores") -> None:
    """Say which prior of the codes is in log p(x), if latents are codes."""
    match scores.code_prior:
        case None:
            return
        case "uniform":
            terminal.remark("log p(x) counts all codes the same, until vae sample fits their prior")
        case "fitted":
            terminal.remark("log p(x) counts codes by the prior that was fitted to them")
        case _:
            assert_never(scores.code_prior)


def warn_of_learned(terminal: Terminal, comparison: "Comparison | None") -> None:
    """Say so if the column that marks rows was no secret to the model."""
    if comparison and comparison.is_learned:
        terminal.remark(
            f"the model has learned column {comparison.column} too, so these figures are better "
            f"than for rows whose value is not known: train with --drop {comparison.column}",
            "yellow",
        )


def print_summary(terminal: Terminal, scores: "Scores", comparison: "Comparison | None") -> None:
    """Print how many items reach the threshold, and how well the scores find marked rows."""
    if (strange := scores.is_strange) is not None:
        share = f"{plural(int(strange.sum()), 'item')} of {len(scores):,}"
        terminal.result(f"at percentile {scores.threshold:g} or above: {share}")
    if comparison:
        figures = comparison.figures
        terminal.result(
            f"{comparison.column}={comparison.positive}, {figures.positives:,} of "
            f"{plural(figures.items, 'row')}: AUROC {figures.auroc:.3f}, average precision "
            f"{figures.average_precision:.3f}"
        )


def describe_reason(scores: "Scores", place: int) -> list[str]:
    """The most surprising column of a row, its value, and what was expected."""
    if scores.reasons is None:
        return []
    found = scores.reasons_for(place)
    if not found:
        return [""] * 4
    return [*found[0][:3], f"{found[0].nll:.2f}"]


def describe(
    scores: "Scores",
    places: Sequence[int],
    paths: Sequence[Output],
    comparison: "Comparison | None",
) -> dict[str, Any]:
    """Everything that is printed, for JSON."""
    top = []
    for place in places:
        one: dict[str, Any] = {name: texts[place] for name, texts in scores.text_columns().items()}
        one |= {name: column[place].item() for name, column in scores.columns().items()}
        if scores.is_strange is not None:
            one["strange"] = bool(scores.is_strange[place])
        if scores.reasons is not None:
            one["columns"] = [reason._asdict() for reason in scores.reasons_for(place)]
        top.append(one)
    facts: dict[str, Any] = {"by": scores.by, "items": len(scores), "held_out": scores.held_out}
    if scores.code_prior is not None:
        facts["code_prior"] = scores.code_prior
    if scores.is_strange is not None:
        facts |= {"threshold": scores.threshold, "strange": int(scores.is_strange.sum())}
    if comparison:
        facts["label"] = {
            "column": comparison.column,
            "positive": comparison.positive,
            **comparison.figures._asdict(),
        }
    return {"output": list(map(str, paths)), **facts, "top": top}


def warn_of_limits(terminal: Terminal, scores: "Scores") -> None:
    """Say when a score means less than it seems to."""
    endless = scores.score.isinf().nonzero()[:, 0].tolist()
    if endless:
        are = "1 item is" if len(endless) == 1 else f"{len(endless):,} items are"
        named = list_some([scores.title(place) for place in endless], MAX_NAMED)
        terminal.remark(
            f"{are} so far from the training set that the score is infinite: {named}",
            "yellow",
        )
    if scores.by == "complexity" and not scores.is_coded:
        terminal.remark(
            "complexity misleads here: it needs the likelihood of pixels with 256 values, as of "
            "vae train --likelihood logistic",
            "yellow",
        )
    if scores.held_out < FEW_HELD_OUT:
        terminal.remark(
            f"the run has only {scores.held_out} held-out items, so percentiles are coarse and the "
            "adjusted score is uncertain",
            "yellow",
        )

"""`vae reconstruct`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vae_cli.cli._conditions import ask_condition, tell
from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import (
    FittingGroup,
    Items,
    RunGroup,
    choose_seed,
    read_items,
    take_test_items,
)
from vae_cli.cli._options import (
    ClassOption,
    Data,
    NoCaptions,
    Noise,
    Page,
    ResultTerminal,
    SamplePosterior,
    Seed,
    WhereCondition,
    refuse_unused,
)
from vae_cli.cli._pictures import (
    ItemsOutput,
    PicturesOutput,
    describe_page,
    lay_out_sheet,
)
from vae_cli.data.columns import ITEM_COLUMNS
from vae_cli.errors import plural
from vae_cli.files import Output

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.api.arrays import Array
    from vae_cli.api.model import TrainedModel
    from vae_cli.latent.decoding import Reconstruction

MAX_TABLE_ROWS = 100  # with more items, only their mean is printed
PAIR = 2  # tiles
MAX_COLUMN_PAIRS = 10  # with more pairs, the picture has several columns of them


def command(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="Pictures, folders of them, or tables. [default: some test items]",
        ),
    ] = None,
    fitting: FittingGroup,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=1000,
            help="Number of test items, if no FILE is given. [default: 8]",
        ),
    ] = None,
    sample: SamplePosterior = False,
    noise: Noise = False,
    seed: Seed = None,
    class_: ClassOption = None,
    where: WhereCondition = None,
    run: RunGroup,
    data: Data = None,
    output: PicturesOutput,
    page: Page = None,
    no_captions: NoCaptions = False,
    terminal: ResultTerminal,
) -> None:
    """Encode and decode pictures, or rows of a table, and show the reconstructions.

    For a table, only the reconstructed rows are written, under the same columns. A run with
    --condition is told the own class or columns of each item, unless --class or --where says other
    ones; of a picture, nothing is known.

    Example: `vae reconstruct img.png`
    """
    wanted = output.request(terminal, [*(files or []), data])
    fitting.require_use(has_file=bool(files))
    refuse_unused("--count", bool(count and files), "leave out FILE")
    refuse_unused("--data", data is not None and bool(files), "leave out FILE")
    is_random = sample or noise
    refuse_unused("--seed", seed is not None and not is_random, "add --sample or --noise")
    refuse_unused("--page", page is not None and no_captions, "leave out --no-captions")
    model = run.open(terminal, data, outputs=[wanted])
    path = wanted.open_items(model.kind, "reconstruct")
    seed = choose_seed(seed, terminal) if is_random else None
    told = ask_condition(model, class_, where or [])
    with terminal.spinner("reading"):
        found = (
            read_items(model, files, terminal, fitting)
            if files
            else take_test_items(model, 0, count or 8)
        )
    if model.spec.condition and model.spec.is_image and files and told is None:
        terminal.remark("no class is known of a picture: --class NAME tells the model")
    found = tell(model, found, told)
    items = found.items
    if count and len(items) < count:
        terminal.remark(f"the test set has {plural(len(items), 'item')}", "yellow")
    with terminal.spinner("decoding"):
        result = model.reconstruct(items, found.y, sample=sample, noise=noise, seed=seed)
        texts = keep_ids(found) if files and is_whole(found) else found.texts
        shown = Shown(found.names, items, result, model.distortion_name, texts)
        part = write_pairs(model, shown, path, output, page=page, no_captions=no_captions)
    if part:
        terminal.remark(part)
    print_figures(terminal, path, found, result, model)


class Shown(NamedTuple):
    """What is written.

    Attributes:
        names: one per item.
        items: `(N, ...)`.
        result: of the model.
        distortion_name: what the distortion is called.
        texts: columns before those of a table; only its ids if its rows are those of one file.
    """

    names: list[str]
    items: "Tensor"
    result: "Reconstruction[Array]"
    distortion_name: str
    texts: Mapping[str, Sequence[str]]


def is_whole(found: Items) -> bool:
    """Whether rows are all those of one table, so that their order says which they are."""
    return list(found.texts.get("name", [])) == list(map(str, range(len(found.items))))


def keep_ids(found: Items) -> dict[str, Sequence[str]]:
    """The column of ids of a table, if it has one, without what says which rows of it these are."""
    return {title: ids for title, ids in found.texts.items() if title not in ITEM_COLUMNS}


def write_pairs(
    model: "TrainedModel",
    shown: Shown,
    path: Output,
    output: ItemsOutput,
    *,
    page: int | None,
    no_captions: bool,
) -> str:
    """Write each item next to its reconstruction, and return which page of them it is, if any.

    Raises:
        UsageError: there is no such page.
    """
    from vae_cli.rendering.arrangements import Reconstructions

    items, decoded = shown.items, shown.result.items
    count, wanted, kind = len(items), page or 1, model.kind
    layout = output.lay_out(tiles_per_row(count))
    sheet = kind.plan_sheet(count, layout, page=wanted, group=PAIR)
    if no_captions or sheet is None:
        refuse_unused("--page", page is not None, "leave out --scale")
        pairs = Reconstructions(originals=items, decoded=decoded, texts=shown.texts)
        kind.writer(layout).write_reconstructions(pairs, path)
        return ""
    title = (
        ""
        if sheet.is_list
        else f"original and decoded; {shown.distortion_name.upper()}, KL in nats"
    )
    texts = caption_items(shown, in_list=sheet.is_list)
    layout = lay_out_sheet(sheet, texts, layout, above=("original", "decoded"), title=title)
    pairs = Reconstructions(originals=items[sheet.items], decoded=decoded[sheet.items])
    kind.writer(layout).write_reconstructions(pairs, path)
    return describe_page(sheet, wanted)


def caption_items(shown: Shown, *, in_list: bool) -> list[str]:
    """The name of each item with its distortion and KL."""
    between, unit = ("\n", " nats") if in_list else (" · ", "")
    figures = shown.result.distortion.tolist(), shown.result.kl.tolist()
    return [
        f"{name}\n{shown.distortion_name.upper()} {distortion:.1f}{between}KL {kl:.1f}{unit}"
        for name, distortion, kl in zip(shown.names, *figures, strict=True)
    ]


def print_figures(
    terminal: Terminal,
    path: Output,
    found: Items,
    result: "Reconstruction[Array]",
    model: "TrainedModel",
) -> None:
    """Print the distortion and the KL of each item, or their mean if there are many."""
    names, name = found.names, model.distortion_name
    figures = list(zip(names, result.distortion.tolist(), result.kl.tolist(), strict=True))
    if terminal.wants_json:
        decoded = model.kind.to_records(result.items)
        records = [
            texts | {name: distortion, "kl": kl} | ({"decoded": values} if values else {})
            for texts, (_, distortion, kl), values in zip(
                found.describe(), figures, decoded, strict=True
            )
        ]
        terminal.json({"output": str(path), "images": records})
        return
    if len(figures) > MAX_TABLE_ROWS:
        means = float(result.distortion.mean()), float(result.kl.mean())
        figures = [(f"mean of {len(names):,}", *means)]
    table = [(name, f"{distortion:.2f}", f"{kl:.2f}") for name, distortion, kl in figures]
    terminal.table(("", name.upper(), "KL (nats)"), table)
    terminal.result(path)


def tiles_per_row(pairs: int) -> int:
    """One pair per row if there are few, and more if there are many."""
    if pairs <= MAX_COLUMN_PAIRS:
        return 2
    return 8 if pairs <= MAX_TABLE_ROWS else 16

"""The data: what to train on, and how it is read and divided."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, final

from annotated_types import Interval, Predicate

from vae_cli.data.source import SHUFFLE_WINDOW
from vae_cli.data.value_range import is_range
from vae_cli.errors import UsageError
from vae_cli.settings.variant import Setting, section

if TYPE_CHECKING:
    from vae_cli.data.column_kinds import ColumnReport
    from vae_cli.data.dataset import Dataset, Progress, Spec, TableRules


def spell_square(text: str) -> int | str:
    """The edge of a square that is typed as `64x64`; every other text as it is.

    Raises:
        UsageError: width and height differ.
    """
    sides = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text, re.ASCII)
    if sides is None:
        return text
    width, height = map(int, sides.groups())
    if width != height:
        raise UsageError(
            f"{text} is not square: the images of a folder are, as in {height}x{height}"
        )
    return width


@final
@section
class DataConfig:
    """The data to train on."""

    name: Annotated[
        str,
        Setting(
            "Data to train on: the name of a data set, a folder of pictures, a .npy, .npz, "
            ".safetensors, .csv, .tsv, .parquet or .xlsx file, or shards of pictures, such as "
            "'photos-{000..127}.tar', also at a URL.",
            "data",
        ),
    ] = "fashion-mnist"
    limit: Annotated[
        int,
        Interval(ge=0, le=1_000_000_000),
        Setting(
            "Use only this many items of the training set and of the test set; 0 uses all.",
            "limit",
        ),
    ] = 0
    image_size: Annotated[
        int,
        Interval(ge=0, le=1024),
        Setting(
            "Height and width in pixels of pictures in a folder or in shards; 0 derives them.",
            "image-size",
            spell=spell_square,
        ),
    ] = 0
    channels: Annotated[
        Literal["auto", "grey", "rgb"],
        Setting(
            "Channels of such pictures; auto is grey if all of them are.",
            "channels",
            spellings={"gray": "grey"},
        ),
    ] = "auto"
    background: Annotated[
        Literal["white", "black", "grey"],
        Setting(
            "Colour behind transparent pixels of such pictures.",
            "background",
            spellings={"gray": "grey"},
        ),
    ] = "white"
    frames: Annotated[
        Literal["first", "all"],
        Setting(
            "Of a picture file with several pages or frames, take the first one, or all as items.",
            "frames",
        ),
    ] = "first"
    range: Annotated[
        str,
        Predicate(is_range),
        Setting(
            "Values that mean black and white in pictures and arrays; what is beyond is cut off",
            "range",
            "low:high (0:4095), data (measured on the training set), or empty (by the type)",
            metavar="LOW:HIGH",
        ),
    ] = ""
    test_fraction: Annotated[
        float,
        Interval(ge=0.001, le=0.9),
        Setting(
            "Share of the items held out for testing, if the data have no test set.",
            "test-fraction",
        ),
    ] = 0.1
    label: Annotated[
        str,
        Setting(
            "Column of a table that holds the class; it is not learned.",
            "label",
            metavar="COLUMN",
        ),
    ] = ""
    condition: Annotated[
        tuple[str, ...],
        Setting(
            "What the model is told about an item, so that it learns p(x|y): label is its class; "
            "of a table, names of columns, such as sex,age.",
            "condition",
            metavar="NAMES",
        ),
    ] = ()
    labelled: Annotated[
        float,
        Interval(gt=0, le=1_000_000_000),
        Setting(
            "Training items that keep their condition, as many of each class; at most 1 is a share "
            "of them, and more is a number."
        ),
    ] = 1.0
    drop: Annotated[
        tuple[str, ...],
        Setting(
            "Columns of a table to leave out, such as A,B.",
            "drop",
            metavar="COLUMNS",
        ),
    ] = ()
    id: Annotated[
        str,
        Setting(
            "Column of a table that tells rows apart; not learned, it stands beside results.",
            "id",
            metavar="COLUMN",
        ),
    ] = ""
    columns: Annotated[
        tuple[str, ...],
        Setting(
            "What columns of a table are, such as zip=category,age=integer,joined=date.",
            "columns",
            metavar="COLUMN=KIND",
        ),
    ] = ()
    missing: Annotated[
        Literal["model", "error", "drop", "mean"],
        Setting(
            "If a table has missing values: model what is observed, drop the row, take the "
            "column's mean, or stop.",
            "missing",
        ),
    ] = "model"
    shuffle_window: Annotated[
        int,
        Interval(ge=1, le=100_000_000),
        Setting("Of data in shards, shuffle each item among about as many neighbours."),
    ] = SHUFFLE_WINDOW
    validation: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Setting(
            "Share of the training set that is kept for validation: the best epoch is chosen by "
            "it, and the test set is not looked at."
        ),
    ] = 0.0
    rules: Annotated[
        int,
        Interval(ge=1, le=3),
        Setting(
            "Version of the rules by which data are read and divided; runs of an earlier vae keep "
            "theirs."
        ),
    ] = 3

    def open(self, progress: "Progress", like: "Spec | None" = None) -> "Dataset":
        """Open the data.

        Args:
            progress: called with the number of pictures decoded so far and the total.
            like: of a run that goes on; the columns of a table are read as they were for it.

        Raises:
            UsageError: there are no such data, or they cannot be used.
            VAEError: a download fails, or the cache cannot be written.
        """
        from vae_cli.data.catalogue import open_dataset
        from vae_cli.data.conditioning import condition_like, condition_on, reading_spec
        from vae_cli.data.dataset import PictureRules
        from vae_cli.data.source import BACKGROUNDS, CHANNELS, SourceKind, find_source
        from vae_cli.data.value_range import parse_range

        source = find_source(self.name, "data.name")
        dataset = open_dataset(
            source,
            test_fraction=self.test_fraction,
            pictures=PictureRules(
                image_size=self.image_size,
                channels=CHANNELS[self.channels],
                background=BACKGROUNDS[self.background],
                frames=self.frames,
                value_range=parse_range(self.range),
            ),
            table=self.table_rules(),
            version=self.rules,
            like=reading_spec(like) if like and source.kind is SourceKind.TABLE else None,
            window=self.shuffle_window,
            progress=progress,
        )
        return condition_like(dataset, like) if like else condition_on(dataset, self.condition)

    def table_rules(self) -> "TableRules":
        """What is done with the columns of a table."""
        from vae_cli.data.dataset import TableRules

        return TableRules(self.label, self.drop, self.missing, id=self.id, kinds=self.columns)

    def survey(self, progress: "Progress") -> "tuple[ColumnReport, ...]":
        """What the columns of a table are, also if it cannot be learned.

        Args:
            progress: called with how much was read so far and in all.

        Raises:
            UsageError: the table cannot be read, or a setting names no column.
        """
        from vae_cli.data.table_contents import survey
        from vae_cli.data.table_files import open_table

        source = open_table(Path(self.name).expanduser(), progress)
        return survey(source, self.table_rules(), version=self.rules)

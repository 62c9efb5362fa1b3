"""How items and figures are shown: as pictures, animations, tables, maps and curves.

Items are images (pictures.py), or rows of a table (rows.py). Everything that differs between them
is in an `ItemKind` (kind.py): how they are read, written, described and summarized. What is written
is in arrangements.py; how a picture is laid out is in grid.py, captions.py and animation.py. map.py
and curves.py draw plots in the style of plots.py. suffixes.py has the extensions of all files.

It may import the latent space, the model and the data, but no settings and no runs. This file
imports nothing at first, so that suffixes.py can be used without waiting for torch.

Example:
    >>> from vae_cli.data.dataset import Spec
    >>> from vae_cli.data.columns import number_columns
    >>> kind = kind_of(Spec("wine", (2,), columns=number_columns("alcohol", "acid")))
    >>> kind.describe(), kind.suffix
    ('rows of 2 columns', '.csv')
    >>> kind_of(Spec("digits", (1, 28, 28))).describe()
    'images of 28x28 grey'
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_cli.data.dataset import Spec
    from vae_cli.rendering.kind import ItemKind


def kind_of(spec: "Spec") -> "ItemKind":
    """The kind of the items that a spec describes."""
    from vae_cli.rendering.pictures import Pictures
    from vae_cli.rendering.rows import Rows

    return Pictures(spec) if spec.is_image else Rows(spec)

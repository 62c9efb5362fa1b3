"""How items and figures are shown: as pictures, animations, tables, maps and curves.

Items are images, or rows of a table. Everything that differs between them is in an `ItemKind`: how
they are read, written, described and summarized. `kind_of` is the one place that chooses between
the kinds. This file imports nothing, so that the command line does not wait for torch.

Example:
    >>> import sys
    >>> from vae_cli.data.dataset import Spec
    >>> from vae_cli.files import Output  # a file, or standard output
    >>> kind = kind_of(Spec("wine", (2,), columns=("alcohol", "acid")))
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

"""The one place that decides between the kinds of items."""

from vae_cli.data.dataset import Spec
from vae_cli.rendering.kind import ItemKind
from vae_cli.rendering.pictures import Pictures
from vae_cli.rendering.rows import Rows


def kind_of(spec: Spec) -> ItemKind:
    """The kind of the items that a spec describes."""
    return Pictures(spec) if spec.is_image else Rows(spec)

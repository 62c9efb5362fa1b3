"""The page as one file, with the decoder inside: it needs no server and no network.

The weights travel as float16, unless that moved a pixel by half a grey level; bytes of one kind
stand together, deflated, which the browser undoes. Where a model is too large for that, a plane
through its latent space is decoded beforehand.
"""

import base64
import copy
import dataclasses
import io
import zlib
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, nn

from vae_cli.errors import UsageError
from vae_cli.explore.document import document
from vae_cli.explore.frames import frame
from vae_cli.explore.layers import Operation, multiply_adds, operations
from vae_cli.explore.scene import Scene, Space
from vae_cli.model import VAE

LINK = "decoder.js"
ITEMS = 500  # test items on the map
MOST_NUMBERS = 4_000_000  # of a decoder that travels: 8 MB
MOST_WORK = 60_000_000  # multiply-adds an item: a tenth of a second in a browser
MOST_PIXELS = 4_000_000  # of all tiles together
TILES = range(5, 32)  # tiles on an edge of the plane
HALF_A_LEVEL = 0.5 / 255


@dataclass(frozen=True)
class Page:
    """A page to send to a friend.

    Attributes:
        html: all of it.
        remark: what is not as on the page of the server; empty where nothing is.
    """

    html: str
    remark: str


def export(space: Space, scene: Scene) -> Page:
    """The page with what it takes to decode.

    Raises:
        UsageError: the decoder is too large, and what it makes are not pictures.
    """
    few = scene.fewer(ITEMS)
    steps = list(operations(space.model.decoder))
    numbers = sum(tensor.numel() for step in steps for tensor in step.numbers)
    if numbers <= MOST_NUMBERS and multiply_adds(steps) <= MOST_WORK:
        decoder = packed(list(operations(spared(space.model, few.latents))))
        facts = {**few.facts(), "decoder": decoder}
        return Page(document(scene.title, facts, LINK), "")
    large = (
        f"a decoder of {numbers / 1e6:.1f} M numbers and {multiply_adds(steps) / 1e6:.0f} M "
        "multiply-adds is too large for a page"
    )
    if not scene.spec.is_image:
        raise UsageError(f"{large}: use vae explore without --export")
    plane, tiles = decoded_beforehand(space, few)
    edge = tiles["columns"]
    remark = (
        f"{large}: this one shows {edge}x{edge} pictures, decoded beforehand, of the plane of the "
        "two principal directions"
    )
    return Page(document(scene.title, {**plane.facts(), "tiles": tiles}, LINK), remark)


def spared(model: VAE, latents: np.ndarray) -> nn.Module:
    """The decoder with float16 numbers, if they move no pixel at some latents by half a grey level.

    Vectors, whose columns may be of any size, keep their decoder as it is.
    """
    draws = torch.randn(64, model.latent_dim, generator=Generator().manual_seed(0))
    z = torch.cat([torch.from_numpy(latents), draws]).to(model.device)
    rounded = copy.deepcopy(model.decoder).half().float()
    with torch.no_grad():
        exact, near = model.decoder(z).mean, rounded(z).mean
    kept = exact.ndim > 2 and float((exact - near).abs().max()) < HALF_A_LEVEL  # noqa: PLR2004
    return rounded if kept else model.decoder


def packed(steps: list[Operation]) -> dict[str, Any]:
    """The operations, and all their numbers in one text."""
    numbers = torch.cat([tensor.detach().flatten() for step in steps for tensor in step.numbers])
    short = bool((numbers.half().float() == numbers).all())
    values = numbers.cpu().numpy().astype("<f2" if short else "<f4")
    planes = values.view(np.uint8).reshape(-1, values.itemsize).T  # each byte's kind repeats itself
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return {
        "operations": [[step.name, *step.sizes] for step in steps],
        "width": values.itemsize,
        "numbers": _text(deflate.compress(planes.tobytes()) + deflate.flush()),
    }


def decoded_beforehand(space: Space, scene: Scene) -> tuple[Scene, dict[str, Any]]:
    """The plane of the two principal directions as a latent space of its own, and its pictures."""
    spec, axes = scene.spec, scene.axes
    points = (scene.latents - scene.center) @ axes.T
    low, high = (points.min(0), points.max(0)) if len(points) else (np.full(2, -3), np.full(2, 3))
    count = min(max(isqrt(MOST_PIXELS // prod(spec.shape[1:])), TILES.start), TILES.stop - 1)
    xs, ys = (np.linspace(low[axis], high[axis], count, dtype=np.float32) for axis in (0, 1))
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    items = space.decode(scene.center + grid @ axes)
    tiles = {
        "columns": count,
        "edge": [float(value) for value in (low[0], high[0], low[1], high[1])],
        "image": f"data:image/webp;base64,{_sprite(items, scene)}",
    }
    start = ((scene.start - scene.center) @ axes.T).astype(np.float32)
    plane = dataclasses.replace(
        scene,
        dims=("PC 1", "PC 2"),
        kl=scene.share * 100,
        unit="%",
        latents=points.astype(np.float32),
        axes=np.eye(2, dtype=np.float32),
        center=np.zeros(2, np.float32),
        start=start,
    )
    return plane, tiles


def _sprite(items: np.ndarray, scene: Scene) -> str:
    """Square pictures side by side and below each other, as WebP."""
    channels, height, width = scene.spec.shape
    pixels = np.frombuffer(b"".join(frame(item, scene.spec) for item in items), np.uint8)
    edge = isqrt(len(items))
    rows = pixels.reshape(edge, edge, height, width, channels).transpose(0, 2, 1, 3, 4)
    buffer = io.BytesIO()
    whole = rows.reshape(edge * height, edge * width, channels)
    Image.fromarray(whole.squeeze(-1) if channels == 1 else whole).save(buffer, "WEBP", quality=90)
    return _text(buffer.getvalue())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()

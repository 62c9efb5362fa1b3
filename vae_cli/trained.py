"""A trained model and what people do with it: arrays in, arrays out.

Images are float32 `(N, C, H, W)`, pixels in [0, 1], vectors `(N, D)` in the units of the data.
What comes in may be uint8, a single item, or have its channels last or none. A `seed` draws from
the posterior in place of taking its mean. Every command is built on this class.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor

from vae_cli import build, latent, restore
from vae_cli.config import Config
from vae_cli.data import Dataset, Progress, Spec, Split, arrays, at_once, unit_interval
from vae_cli.data.cache import from_array
from vae_cli.errors import UsageError
from vae_cli.model import VAE
from vae_cli.runs import Run

CHUNK = 1024  # items on their way through the network together

Array = np.ndarray[Any, np.dtype[np.float32]]


class Posterior(NamedTuple):
    """q(z|x) of some items.

    Attributes:
        mean: `(N, D)`.
        log_variance: `(N, D)`, the logarithm of the variance.
    """

    mean: Array
    log_variance: Array


class Reconstruction(NamedTuple):
    """Items after a pass through the latent space, and what was lost.

    Attributes:
        items: as they came in.
        distortion: each item's −log p(x|z) in nats less a constant, `(N,)`; of images the MSE, the
            sum of squared errors.
        kl: each item's KL to the prior, in nats, `(N,)`.
    """

    items: Array
    distortion: Array
    kl: Array


@dataclass(frozen=True, repr=False)
class Trained:
    """A model ready for use, and what it was trained on.

    Attributes:
        model: in evaluation mode, on the device asked for.
        spec: what the items that it learned are.
        settings: with which it learned.
        kl_by_dim: the KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: after which the weights were kept.
        name: of its run.
    """

    model: VAE
    spec: Spec
    settings: Config
    kl_by_dim: Tensor
    epoch: int
    name: str

    def __repr__(self) -> str:
        """One line: the network has its own."""
        return f"<Trained {self.name}: {self.spec.name}, {self.model.latent_dim} latent dimensions>"

    def encode(self, items: ArrayLike) -> Posterior:
        """The posterior of each item: mean and log-variance, `(N, D)` each."""
        with torch.no_grad():
            found = [self.model.posterior(some) for some in self._chunks(items)]
        means, log_variances = ([getattr(q, part) for q in found] for part in Posterior._fields)
        return Posterior(_array(*means), _array(*log_variances))

    def decode(self, z: ArrayLike) -> Array:
        """The mean of p(x|z) for latents `(N, D)`, or for one `(D,)`: `(N, ...)`."""
        latents = torch.tensor(np.asarray(z, np.float32))
        if latents.shape[-1:] != (self.model.latent_dim,) or latents.ndim > 2:  # noqa: PLR2004
            shape = "x".join(map(str, latents.shape))
            raise UsageError(
                f"latents of {shape}: this model has {self.model.latent_dim} dimensions"
            )
        flat = latents.reshape(-1, self.model.latent_dim).to(self.model.device)
        with torch.no_grad():
            parts = flat.split(at_once(self.spec.shape, CHUNK))
            return _array(*(self.model.likelihood(part).mean for part in parts))

    def reconstruct(self, items: ArrayLike, *, seed: int | None = None) -> Reconstruction:
        """Encode and decode."""
        generator = None if seed is None else self._generator(seed)
        made = [latent.reconstruct(self.model, some, generator) for some in self._chunks(items)]
        return Reconstruction(
            _array(*(one.items for one in made)),
            _array(*(one.distortion for one in made)),
            _array(*(one.kl for one in made)),
        )

    def draw(self, count: int, *, temperature: float = 1.0, seed: int | None = None) -> Array:
        """The latents `(count, D)` that `sample` decodes."""
        generator = None if seed is None else self._generator(seed)
        return _array(latent.draw(self.model, count, temperature=temperature, generator=generator))

    def sample(self, count: int, *, temperature: float = 1.0, seed: int | None = None) -> Array:
        """Decode `count` draws from the prior, each scaled by `temperature`: `(count, ...)`.

        Images are the mean of p(x|z), vectors a draw from it. Without a seed they are always new.
        """
        generator = None if seed is None else self._generator(seed)
        noise = not self.spec.is_image
        return _array(
            latent.sample(
                self.model, count, temperature=temperature, noise=noise, generator=generator
            )
        )

    def traverse(
        self,
        item: ArrayLike,
        offsets: ArrayLike,
        dims: Sequence[int] | None = None,
        *,
        seed: int | None = None,
    ) -> Array:
        """Decode what lies around the posterior of one item.

        Args:
            item: one image or vector.
            offsets: `(K,)`, added to the latent, one column each.
            dims: one row a dimension that is shifted alone; None is one row that shifts them all.
            seed: draws a new latent for every tile.

        Returns:
            `(rows, K, ...)`.

        Raises:
            UsageError: the model has no such item or dimension.
        """
        (x,) = self._chunks(item)
        known = range(self.model.latent_dim)
        if any(dim not in known for dim in dims or ()):
            raise UsageError(f"dims {dims}: this model has dimensions 0 to {known[-1]}")
        shifts = torch.as_tensor(np.asarray(offsets, np.float32)).to(self.model.device)
        generator = None if seed is None else self._generator(seed)
        with torch.no_grad():
            posterior = self.model.posterior(x[:1])
        return _array(latent.traverse(self.model, posterior, shifts, dims, generator))

    def interpolate(self, items: ArrayLike, steps: int = 10, *, spherical: bool = False) -> Array:
        """Decode the way from each item to the next.

        Args:
            items: at least two.
            steps: points on the way between two neighbours, both among them.
            spherical: along the great circle and not the straight line.

        Returns:
            `(N - 1, steps, ...)`.

        Raises:
            UsageError: there is only one item.
        """
        anchors = torch.from_numpy(self.encode(items).mean)
        if len(anchors) < 2:  # noqa: PLR2004
            raise UsageError("a way leads from one item to another: give at least two")
        points = latent.path(anchors, steps, spherical=spherical)
        tiles = self.decode(points.flatten(0, 1))
        return tiles.reshape(*points.shape[:2], *tiles.shape[1:])

    def explore(self) -> Any:
        """A page of sliders over the latent space, as a widget for a notebook.

        Raises:
            UsageError: anywidget is not installed.
        """
        from vae_cli.explore.widget import Explorer

        return Explorer(self, self.name, self.kl_by_dim, self.held_out())

    def held_out(self) -> Split:
        """The test part of its data, which must still be there.

        Raises:
            UsageError: they are not.
        """
        with warnings.catch_warnings(action="ignore"):  # what cannot be read, training has said
            return self.data().test()

    def data(self, progress: Progress = build.silent) -> Dataset:
        """Its data in their two parts, which must still be there.

        Raises:
            UsageError: they are not.
        """
        found = build.dataset(self.settings.data, progress, like=self.spec)
        if found.spec.shape != self.spec.shape:
            raise UsageError(f"the data of this run have changed: {self.settings.data.name}")
        return found

    def _chunks(self, items: ArrayLike) -> Iterator[Tensor]:
        """Float32 items on the model's device, some at a time."""
        given = np.asarray(items)
        if given.dtype.kind not in "buif":
            raise UsageError(f"items are arrays of numbers, not {type(items).__name__}")
        found = arrays.shaped(from_array(given), self.spec)
        for some in found.split(at_once(self.spec.shape, CHUNK)):
            yield unit_interval(some).to(self.model.device)

    def _generator(self, seed: int) -> Generator:
        return Generator(self.model.device).manual_seed(seed)


def load(run: Run, device: torch.device) -> Trained:
    """The best weights of a run, as a model on the device.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    model, spec, settings, kl_by_dim, epoch = restore.model(run)
    model.to(device).to(memory_format=torch.channels_last).eval()
    return Trained(model, spec, settings, kl_by_dim, epoch, run.name)


def _array(*parts: Tensor) -> Array:
    joined: Array = torch.cat(parts).cpu().numpy()
    return joined

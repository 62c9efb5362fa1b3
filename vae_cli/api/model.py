"""A trained model: arrays in, arrays out.

Images are float32 `(N, C, H, W)` with pixels in [0, 1]; rows of a table are `(N, D)` in the units
of the data. Input may also be uint8, a single item, or images with their channels last or without
channels. If a `seed` is given, the posterior is sampled; otherwise its mean is used.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor

from vae_cli.api.arrays import Array, Posterior, to_array, to_tensor
from vae_cli.config import Config
from vae_cli.data.arrays import fit_to_spec
from vae_cli.data.batches import chunk_length, to_unit_interval
from vae_cli.data.catalogue import open_dataset_for, require_present
from vae_cli.data.dataset import Dataset, Progress, Spec, Split, ignore_progress
from vae_cli.errors import UsageError
from vae_cli.items.choice import kind_of
from vae_cli.items.kind import ItemKind
from vae_cli.latent.interpolation import close_loop, interpolate
from vae_cli.latent.reconstruction import Reconstruction, reconstruct
from vae_cli.latent.sampling import sample, sample_latents
from vae_cli.latent.traversal import traverse
from vae_cli.model import LatentModel, Prior
from vae_cli.runs.origin import explain_distrust


@dataclass(frozen=True, repr=False)
class TrainedModel:
    """A trained model, and what it was trained on.

    Attributes:
        model: the network in evaluation mode, on the device that was asked for.
        spec: what its items are.
        settings: the settings of its run.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: the epoch after which the weights were saved.
        data_name: of the data that `data` opens; None if its run is a stranger's and has a path.
        train_items: the number of items that it was trained on.
        name: of its run.
        folder: of its run.
        source: of the latents of samples; None is the prior.

    Example:
        >>> from vae_cli import load
        >>> model = load()
        >>> mean, log_variance = model.encode(model.sample(3, seed=0))
        >>> mean.shape, model.decode(mean).shape
        ((3, 20), (3, 1, 28, 28))
        >>> model.traverse(model.sample(1, seed=0), [-1, 0, 1], dims=[9, 18]).shape
        (2, 3, 1, 28, 28)
    """

    model: LatentModel
    spec: Spec
    settings: Config
    kl_by_dim: Tensor
    epoch: int
    data_name: str | None
    train_items: int
    name: str
    folder: Path
    source: Prior | None = None

    def __repr__(self) -> str:
        """One line, because the representation of the network is long."""
        return f"<TrainedModel {self.name}: {self.spec.name}, {self.model.latent_dim} latents>"

    @cached_property
    def kind(self) -> ItemKind:
        """How its items are read and written."""
        return kind_of(self.spec)

    @cached_property
    def figure(self) -> str:
        """The name of the distortion of its likelihood, for example `mse`."""
        zeros = torch.zeros(1, self.model.latent_dim, device=self.model.device)
        with torch.no_grad():
            return self.model.decode(zeros).figure

    def encode(self, items: ArrayLike) -> Posterior:
        """The posterior of each item: mean and log-variance, `(N, D)` each."""
        with torch.no_grad():
            posteriors = [self.model.posterior(some) for some in self._chunks(items)]
        return Posterior(
            to_array(*(posterior.mean for posterior in posteriors)),
            to_array(*(posterior.log_variance for posterior in posteriors)),
        )

    def decode(self, z: ArrayLike) -> Array:
        """The mean of p(x|z) for latents `(N, D)`, or for one `(D,)`: `(N, ...)`."""
        latents = torch.tensor(np.asarray(z, np.float32))
        dims = self.model.latent_dim
        if latents.shape[-1:] != (dims,) or latents.ndim > 2:  # noqa: PLR2004
            shape = "x".join(map(str, latents.shape))
            raise UsageError(f"latents of {shape}: this model has {dims} dimensions")
        flat = latents.reshape(-1, dims).to(self.model.device)
        with torch.no_grad():
            parts = flat.split(chunk_length(self.spec.shape))
            return self._to_items(*(self.model.decode(part).mean for part in parts))

    def reconstruct(self, items: ArrayLike, *, seed: int | None = None) -> Reconstruction[Array]:
        """Encode and decode items."""
        generator = self._generator(seed)
        parts = [reconstruct(self.model, some, generator) for some in self._chunks(items)]
        items, *figures = zip(*parts, strict=True)
        return Reconstruction(self._to_items(*items), *(to_array(*figure) for figure in figures))

    def sample_latents(
        self, count: int, *, temperature: float = 1.0, seed: int | None = None
    ) -> Array:
        """The latents `(count, D)` that `sample` decodes."""
        generator = self._generator(seed)
        z = sample_latents(
            self.model, count, temperature=temperature, generator=generator, source=self.source
        )
        return to_array(z)

    def sample(self, count: int, *, temperature: float = 1.0, seed: int | None = None) -> Array:
        """Generate `count` items from the prior, its latents multiplied by `temperature`.

        Images are the mean of p(x|z), rows are samples from it: `(count, ...)`. Without a seed,
        every call gives other items.
        """
        model, source, noise = self.model, self.source, self.kind.samples_noise
        generator = self._generator(seed)
        items = sample(
            model, count, temperature=temperature, noise=noise, generator=generator, source=source
        )
        return self._to_items(items)

    def sample_loop(
        self, count: int, steps: int, *, temperature: float = 1.0, seed: int | None = None
    ) -> Array:
        """Samples from the prior, and the images between each and the next, as one closed loop.

        Returns:
            `(count * steps, ...)`; every item number `k * steps` is one of the samples.
        """
        latents = self.sample_latents(count, temperature=temperature, seed=seed)
        return self.decode(close_loop(torch.from_numpy(latents), steps))

    def traverse(
        self,
        item: ArrayLike,
        offsets: ArrayLike,
        dims: Sequence[int] | None = None,
        *,
        seed: int | None = None,
    ) -> Array:
        """Decode latents that are shifted from the posterior of one item.

        Args:
            item: one image or row.
            offsets: `(K,)`, added to the latent, one per column.
            dims: one row for each of these dimensions, which is shifted alone; None is one row in
                which all dimensions are shifted together.
            seed: if given, every tile is decoded from a new sample.

        Returns:
            `(rows, K, ...)`.

        Raises:
            UsageError: the model has no such item or dimension.
        """
        x = next(self._chunks(item))[:1]
        known = range(self.model.latent_dim)
        if any(dim not in known for dim in dims or ()):
            raise UsageError(f"dims {dims}: this model has dimensions 0 to {known[-1]}")
        shifts = torch.as_tensor(np.asarray(offsets, np.float32)).to(self.model.device)
        with torch.no_grad():
            posterior = self.model.posterior(x)
        tiles = traverse(self.model, posterior, shifts, dims, self._generator(seed))
        return self._to_items(tiles)

    def interpolate(self, items: ArrayLike, steps: int = 10, *, spherical: bool = False) -> Array:
        """Decode the path from the latent of each item to that of the next.

        Args:
            items: at least two.
            steps: points per path, including both ends.
            spherical: whether the path is a great circle instead of a straight line.

        Returns:
            `(N - 1, steps, ...)`.

        Raises:
            UsageError: there is only one item.
        """
        anchors = torch.from_numpy(self.encode(items).mean)
        if len(anchors) < 2:  # noqa: PLR2004
            raise UsageError("an interpolation needs at least two items")
        points = interpolate(anchors, steps, spherical=spherical)
        tiles = self.decode(points.flatten(0, 1))
        return tiles.reshape(*points.shape[:2], *tiles.shape[1:])

    def explore(self) -> Any:
        """A page of sliders over the latent space, as a widget for a notebook.

        Raises:
            UsageError: anywidget is not installed.
        """
        from vae_cli.explore.widget import Explorer  # the only import of what is built on the API

        split, spec = self.test_set()
        return Explorer(self, split, spec.classes)

    def held_out(self) -> Split:
        """The test set of its data, which must still be there; see `data`."""
        return self.test_set()[0]

    def test_set(self) -> tuple[Split, Spec]:
        """The test set as in `held_out`, and its spec: only other data have other classes."""
        with warnings.catch_warnings(action="ignore"):  # the training has warned already
            dataset = self.data()
            return dataset.test(), dataset.spec

    def data(self, progress: Progress = ignore_progress, *, flag: str = "--data") -> Dataset:
        """The data of its run, or those that `load` was given; `flag` is what confirms them.

        Raises:
            UsageError: they are missing, or do not fit the model, or nobody has confirmed the path.
        """
        name, config = self.data_name, self.settings.data
        if name is None:
            raise UsageError(explain_distrust(self.name, config.name, flag))
        require_present(name, f"run {self.name}: its data")
        return open_dataset_for(self.spec, name, progress, test_fraction=config.test_fraction)

    def _chunks(self, items: ArrayLike) -> Iterator[Tensor]:
        """Float32 items on the model's device, a limited number at a time."""
        fitted = fit_to_spec(to_tensor(items), self.spec)
        for some in fitted.split(chunk_length(self.spec.shape)):
            yield to_unit_interval(self.model.standardize(some)).to(self.model.device)

    def _to_items(self, *outputs: Tensor) -> Array:
        """Outputs of the network in the units of the data: images float32, rows float64."""
        return to_array(*map(self.model.restore, outputs))

    def _generator(self, seed: int | None) -> Generator | None:
        return None if seed is None else Generator(self.model.device).manual_seed(seed)

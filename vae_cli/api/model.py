"""A trained model together with what is known about its run, and its data.

A trained model: arrays in, arrays out.

Images are float32 `(N, C, H, W)` with pixels in [0, 1]; rows of a table are `(N, D)` in the units
of the data. Input may also be uint8, a single item, or images with their channels last or without
channels. Rows may also be a frame of pandas, polars or Arrow, or a mapping: columns are found by
their names. Missing values are treated as in the training. If a `seed` is given, the posterior is
sampled; otherwise its mean is used.

Loading the model of a run.
"""

import warnings
from abc import ABC
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Generator, Tensor

from vae_cli.api.arrays import (
    Array,
    Posterior,
    frame_names,
    read_frame,
    to_array,
    to_latents,
    to_tensor,
)
from vae_cli.api.run_data import RunData
from vae_cli.data.arrays import fit_shape, fit_to_spec, to_unit_images
from vae_cli.data.batches import chunk_length
from vae_cli.data.binarization import binarize
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.dataset import PictureRules, Progress, Spec, ignore_progress
from vae_cli.data.source import find_source, require_present
from vae_cli.data.split import InMemory
from vae_cli.data.table import complete_rows, require_near
from vae_cli.data.value_range import UNIT
from vae_cli.errors import UsageError
from vae_cli.latent.interpolation import close_loop, interpolate
from vae_cli.latent.reconstruction import Reconstruction, reconstruct
from vae_cli.latent.sampling import sample, sample_latents
from vae_cli.latent.traversal import infer_level, traverse
from vae_cli.model import LatentModel, Prior
from vae_cli.rendering.choice import kind_of
from vae_cli.rendering.kind import ItemKind
from vae_cli.runs.directory import Run
from vae_cli.runs.loading import TrainedOn, load_model
from vae_cli.runs.origin import explain_distrust
from vae_cli.settings import Config


class TestSet(NamedTuple):
    """The items that are held out.

    Attributes:
        split: the items as the model has seen them: black and white if it is a model of such.
        spec: what they are; only other data have other classes than the model.
        item_names: one per item, as in an `Embedding`.
        are_paths: whether these are the paths of pictures in a folder.
    """

    split: InMemory
    spec: Spec
    item_names: list[str]
    are_paths: bool

    def names(self, places: Sequence[int]) -> list[str]:
        """The names of the items at some places: their paths, or their places and classes."""
        if self.are_paths:
            return [self.item_names[place] for place in places]
        columns = [list(map(str, places)), *([found] if (found := self.classes(places)) else [])]
        return [" ".join(texts) for texts in zip(*columns, strict=True)]

    def classes(self, places: Sequence[int]) -> list[str]:
        """The names of the classes of the items at some places; empty if they are not known."""
        if not self.spec.classes:
            return []
        return [self.spec.classes[label] for label in self.split.labels[list(places)].tolist()]

    def texts(self, places: Sequence[int]) -> dict[str, list[str]]:
        """The columns `name` and `label` that `vae embed` writes for the items at some places."""
        labels = self.classes(places)
        names = [self.item_names[place] for place in places]
        return {"name": names} | ({"label": labels} if labels else {})


@dataclass(frozen=True, repr=False)
class LoadedRun(ABC):
    """A trained model, and what it was trained on.

    Attributes:
        model: the network in evaluation mode, on the device that was asked for.
        spec: what its items are.
        settings: the settings of its run.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`; None if it is not
            known.
        epoch: the epoch after which the weights were saved.
        data_name: of the data that `data` opens; None if its run is a stranger's and has a path.
        trained_on: what its data were at the training.
        weights_digest: SHA-256 of the weights.
        diverged: the epoch in which the training ended, because its loss was not finite; 0 if none.
        name: of its run.
        folder: of its run.
        source: of the latents of samples; None is the prior.
    """

    model: LatentModel
    spec: Spec
    settings: Config
    kl_by_dim: Tensor | None
    epoch: int
    data_name: str | None
    trained_on: TrainedOn
    weights_digest: str
    diverged: int
    name: str
    folder: Path
    source: Prior | None = None

    def __repr__(self) -> str:
        """One line, because the representation of the network is long."""
        dims = self.model.latent_dim
        return f"<TrainedModel {self.name}: {self.spec.name}, {dims} latent dimensions>"

    @cached_property
    def kind(self) -> ItemKind:
        """How its items are read and written."""
        return kind_of(self.spec)

    @cached_property
    def figure(self) -> str:
        """The name of the distortion of its likelihood, for example `mse`."""
        with torch.no_grad():
            return self.model.decode(
                torch.zeros(1, self.model.latent_dim, device=self.model.device)
            ).figure

    def held_out(self) -> InMemory:
        """The test set of its data, which must still be there, as far as the run used it.

        Raises:
            UsageError: as in `data`.
        """
        return self.test_set().split

    def test_set(self) -> TestSet:
        """The test set as in `held_out`, and what is known about it.

        Raises:
            UsageError: as in `data`.
        """
        dataset = self.data()
        test = dataset.test()
        names = dataset.names(test)
        split = binarize(test) if self.model.codec.is_stochastic else test
        return TestSet(split, dataset.spec, names, dataset.has_files)

    def data(self, progress: Progress = ignore_progress, *, flag: str = "--data") -> RunData:
        """The data of its run, or those that `load` was given; `flag` is what names them.

        Those of the run have only the items that it used, and a warning says if they have changed.

        Raises:
            UsageError: they are missing, or do not fit the model, or nobody has confirmed the path.
        """
        name, config = self.data_name, self.settings.data
        if name is None:
            raise UsageError(explain_distrust(self.name, config.name, flag))
        require_present(name, f"run {self.name}: its data", flag)
        is_named = find_source(name).absolute_name == config.name
        with warnings.catch_warnings(action="ignore") if is_named else nullcontext():
            dataset = open_dataset_for(  # of its own data, the training has warned already
                self.spec,
                name,
                progress,
                test_fraction=config.test_fraction,
                pictures=PictureRules(version=config.rules),
            )
        return RunData(dataset, self.name, config, self.trained_on, is_named=is_named)


@final
@dataclass(frozen=True, repr=False)
class TrainedModel(LoadedRun):
    """A trained model: arrays in, arrays out.

    Its attributes are those of `LoadedRun`.

    Example:
        >>> from vae_cli import load
        >>> model = load()
        >>> mean, log_variance = model.encode(model.sample(3, seed=0))
        >>> mean.shape, model.decode(mean).shape
        ((3, 20), (3, 1, 28, 28))
        >>> model.traverse(model.sample(1, seed=0), [-1, 0, 1], dims=[9, 18]).shape
        (2, 3, 1, 28, 28)
    """

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
        latents = to_latents(z, self.model.latent_dim).to(self.model.device)
        with torch.no_grad():
            parts = latents.split(chunk_length(self.spec.shape))
            return self._to_items(*(self.model.decode(part).mean for part in parts))

    def reconstruct(
        self,
        items: ArrayLike,
        *,
        seed: int | None = None,
        sample: bool | None = None,
        noise: bool = False,
    ) -> Reconstruction[Array]:
        """Encode and decode items.

        The posterior is sampled if there is a seed, unless `sample` says otherwise. With `noise`,
        the items are samples of p(x|z) instead of its mean.
        """
        generator = self._generator(seed)
        is_sampled = seed is not None if sample is None else sample
        parts = [
            reconstruct(self.model, some, generator, sample=is_sampled, noise=noise)
            for some in self._chunks(items)
        ]
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

    def sample(
        self,
        count: int,
        *,
        temperature: float = 1.0,
        noise: bool = False,
        seed: int | None = None,
    ) -> Array:
        """Generate `count` items from the prior or `source`.

        `temperature` is a factor for the standard deviation of the noise that latents are made of.
        Images are the mean of p(x|z), or samples from it with `noise`; rows are always samples:
        `(count, ...)`. Without a seed, every call gives other items.
        """
        generator, noise = self._generator(seed), noise or self.kind.samples_noise
        model, source = self.model, self.source
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
        level: int = 0,
    ) -> Array:
        """Decode latents that are shifted from the posterior of one item.

        Args:
            item: one image or row.
            offsets: `(K,)`, added to the latent, one per column.
            dims: one row for each of these dimensions, which is shifted alone; None is one row in
                which all dimensions are shifted together.
            seed: if given, every tile is decoded from a new sample.
            level: of a hierarchical model, 0 is the top; see `infer_level`.

        Returns:
            `(rows, K, ...)`.

        Raises:
            UsageError: the model has no such item, level or dimension.
        """
        (_, posterior, others) = infer_level(self.model, next(self._chunks(item))[:1], level)
        known = range(posterior.mean.shape[1])
        if any(dim not in known for dim in dims or ()):
            raise UsageError(f"dims {dims}: this model has dimensions 0 to {known[-1]}")
        shifts = torch.as_tensor(np.asarray(offsets, np.float32)).to(self.model.device)
        tiles = traverse(self.model, posterior, shifts, dims, self._generator(seed), others)
        return self._to_items(tiles)

    def kl_by_dim_of(self, item: ArrayLike, level: int = 0) -> Tensor:
        """KL of each dimension of a level for one item, in nats: `(D,)`."""
        return infer_level(self.model, next(self._chunks(item))[:1], level).kl_by_dim.cpu()

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

    def to_unit(self, values: ArrayLike) -> Array:
        """Images with the values of the data, as the other methods take them: float32 in [0, 1].

        For a run with a range, its two values become 0 and 1, and values beyond them are cut off
        with a warning. Without one, bytes are scaled, and floats are in [0, 1] already.

        Raises:
            UsageError: the run is one on a table, or the type of number, the shape or a value is
                not that of its images.
        """
        if not self.spec.is_image:
            raise UsageError("rows of a table are in the units of the table already")
        images = fit_shape(to_tensor(values), self.spec)
        return to_array(to_unit_images(images, self.spec.range, "the array"))

    def from_unit(self, images: ArrayLike) -> Array:
        """Images in [0, 1], such as those that `decode` returns, with the values of the data.

        Returns:
            float32 of the same shape; without a range, the images as they are.
        """
        low, high = self.spec.range or UNIT
        values: Array = low + (high - low) * np.asarray(images, np.float32)
        return values

    def _chunks(self, items: ArrayLike) -> Iterator[Tensor]:
        """Float32 items on the model's device, a limited number at a time."""
        fitted = fit_to_spec(self._to_tensor(items), self.spec)
        for some in fitted.split(chunk_length(self.spec.shape)):
            x = self.model.codec.encode(some)
            require_near(x, some, self.spec)
            yield x.to(self.model.device)

    def _to_tensor(self, items: ArrayLike) -> Tensor:
        """Arrays as they are, and frames by the names of their columns, without missing values."""
        if self.spec.is_image:
            return to_tensor(items)
        names = frame_names(items)
        rows = to_tensor(items) if names is None else read_frame(items, names, self.spec)
        if rows.shape[-1:] != self.spec.shape:
            return rows  # an error says so
        complete = complete_rows(rows.reshape(-1, *self.spec.shape), self.spec, "the rows")
        for note in complete.notes:
            warnings.warn(note, stacklevel=2)
        return complete.rows

    def _to_items(self, *outputs: Tensor) -> Array:
        """Outputs of the network in the units of the data: images float32, rows float64."""
        return to_array(*map(self.model.codec.decode, outputs))

    def _generator(self, seed: int | None) -> Generator | None:
        return None if seed is None else Generator(self.model.device).manual_seed(seed)


def load_trained(run: Run, device: torch.device, data: str | None = None) -> TrainedModel:
    """The best weights of a run, as a model on a device. `vae_cli.load` documents the arguments.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    loaded = load_model(run)
    if data is not None:
        loaded = loaded._replace(data_name=data)
    loaded.model.to(device).to(memory_format=torch.channels_last).eval()
    return TrainedModel(*loaded, name=run.name, folder=run.path)

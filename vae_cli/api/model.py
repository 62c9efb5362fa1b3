"""A trained model: arrays in, arrays out."""

import dataclasses
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.api.arrays import Array, Converter, Posterior, to_array, to_latents
from vae_cli.api.frames import like_frame
from vae_cli.api.run_data import RunData
from vae_cli.data.batch import Batch
from vae_cli.data.batches import chunk_length
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.columns import Column
from vae_cli.data.condition_values import condition_rows
from vae_cli.data.conditioning import in_file_order, is_whole
from vae_cli.data.conditions import Where, make_conditions
from vae_cli.data.dataset import NamedSplit, Progress, Spec, ignore_progress
from vae_cli.data.source import find_source, require_present
from vae_cli.data.split import InMemory
from vae_cli.data.table_writing import to_arrow
from vae_cli.errors import UsageError, mark, plural
from vae_cli.latent.decoding import (
    Reconstruction,
    infer_level,
    reconstruct,
    sample_latents,
    sample_parts,
    traverse,
)
from vae_cli.latent.imputation import SAMPLES as IMPORTANCE_SAMPLES
from vae_cli.latent.imputation import impute
from vae_cli.latent.interpolation import close_loop, interpolate
from vae_cli.latent.rejection import Accepted, sample_accepted
from vae_cli.model import LatentModel, LatentSampler
from vae_cli.noise import Noise
from vae_cli.rendering import kind_of
from vae_cli.rendering.kind import ItemKind
from vae_cli.runs.directory import Run
from vae_cli.runs.facts import Facts
from vae_cli.runs.loading import load_model, may_open_data
from vae_cli.runs.origin import explain_unconfirmed
from vae_cli.settings import Plan

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DRAWS_FOR_ONE, MIN_DRAWS_IN_ALL = 1000, 100_000  # until a condition counts as too rare


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class TrainedModel:
    """A trained variational autoencoder: arrays in, arrays out.

    A VAE has learned two distributions: the posterior q(z|x), which an encoder computes for an
    item, and the likelihood p(x|z), which a decoder computes for a latent. With a prior p(z) they
    give everything here: `encode` returns q(z|x), `decode` the mean of p(x|z), `reconstruct` goes
    through both, `sample` decodes latents of p(z), and `traverse` and `interpolate` decode latents
    near to those of given items (Kingma & Welling, 2014, https://arxiv.org/abs/1312.6114).

    A model that was trained with `data.condition` is one of p(x|y). Its methods take the conditions
    of items as `y`: "Bag" for all, ["Bag", "Coat"] for each, {"sex": "F"}, or a frame of columns;
    see `data.condition_values`. Without them, they are not known.

    Arrays are those that `arrays.Converter` describes. If a `seed` is given, the posterior is
    sampled; otherwise its mean is used. Missing values are treated as in the training.

    Attributes:
        model: the network in evaluation mode, on the device that was asked for.
        facts: what is known about its training.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`; None if it is not
            known.
        weights_digest: SHA-256 of the weights.
        run: the run that has trained it.
        data_name: of the data that `data` opens; None if it is a path that nobody
            has confirmed, of a run that was trained elsewhere.
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
    facts: Facts
    kl_by_dim: Tensor | None
    weights_digest: str
    run: Run
    data_name: str | None
    source: LatentSampler | None = None

    def __repr__(self) -> str:
        """One line, because the representation of the network is long."""
        dims = self.model.latent_dim
        return f"<TrainedModel {self.name}: {self.spec.name}, {dims} latent dimensions>"

    @property
    def name(self) -> str:
        """The name of its run."""
        return self.run.name

    @property
    def spec(self) -> Spec:
        """What its items are."""
        return self.facts.data

    @property
    def settings(self) -> Plan:
        """The settings of its run."""
        return self.facts.config

    @property
    def epoch(self) -> int:
        """The epoch after which the weights were saved."""
        return self.facts.epoch

    @property
    def train_items(self) -> int:
        """The number of items that it was trained on."""
        return self.facts.counts[0]

    @cached_property
    def kind(self) -> ItemKind:
        """How its items are read and written."""
        return kind_of(self.spec)

    @cached_property
    def converter(self) -> Converter:
        """The way between arrays and the tensors of the network."""
        model = self.model
        return Converter(self.spec, model.codec, model.device, model.condition)

    @property
    def distortion_name(self) -> str:
        """What the distortion of its likelihood is called, for example `mse`."""
        return self.model.likelihood.distortion_name

    def held_out(self) -> InMemory:
        """The test set of its data, which must still be there, as far as the run used it.

        Raises:
            UsageError: as in `data`.
        """
        return self.test_set().split

    def test_set(self) -> NamedSplit:
        """The test set as in `held_out`, and what is known about its items.

        Their conditions are rows of numbers, which every `y` takes. Other data than those of the
        run may have other classes than the model.

        Raises:
            UsageError: as in `data`.
        """
        dataset = self.data()
        found = dataset.describe(dataset.test())
        return dataclasses.replace(found, split=self.model.codec.encode_split(found.split))

    def prepare(self, split: InMemory) -> InMemory:
        """Items as the model takes them: encoded, and drawn once if they are drawn at random."""
        encoded = self.model.codec.encode_split(split).drawn()
        condition = self.model.condition
        return encoded if condition is None else condition.encode_split(encoded)

    def data(self, progress: Progress = ignore_progress) -> RunData:
        """The data of its run, or those that `load` was given.

        Those of the run have only the items that it used, and a warning says if they have changed.

        Raises:
            UsageError: they are missing, or do not fit the model, or nobody has confirmed the path.
        """
        name, config = self.data_name, self.settings.data
        if name is None:
            raise UsageError(explain_unconfirmed(self.name, config.name))
        require_present(name, f"run {self.name}: its data")
        is_named = find_source(name).absolute_name == config.name
        with warnings.catch_warnings(action="ignore") if is_named else nullcontext():
            dataset = open_dataset_for(  # of its own data, the training has warned already
                self.spec,
                name,
                progress,
                test_fraction=config.test_fraction,
                version=config.rules,
            )
        return RunData(dataset, self.name, self.facts, is_named=is_named)

    def encode(self, items: ArrayLike, y: Any = None) -> Posterior:
        """The posterior of each item: mean and log-variance, `(N, D)` each.

        Raises:
            UsageError: the posterior of the model is not normal.
        """
        found = self.features(items, y)
        if found.keys() != set(Posterior._fields):
            raise UsageError(f"this model has {', '.join(found)}: use `features`")
        return Posterior(**found)

    def latents(self, items: ArrayLike, y: Any = None) -> Array:
        """The most probable latents of each item, which stand for it: `(N, D)`.

        They are the mean of a normal posterior. Those of a flow are what becomes of the most
        probable noise.
        """
        with torch.no_grad():
            found = [self.model.posterior(one).mode() for one in self.converter.encode(items, y)]
        return to_array(*found)

    def features(self, items: ArrayLike, y: Any = None) -> dict[str, Array]:
        """What the posterior of each item is made of, by name: `(N, ...)` each."""
        batches = self.converter.encode(items, y)
        with torch.no_grad():
            found = [self.model.posterior(batch).features() for batch in batches]
        return {name: to_array(*(one[name] for one in found)) for name in found[0]}

    def decode(self, z: ArrayLike, y: Any = None) -> Array:
        """The mean of p(x|z) for latents `(N, D)`, or for one `(D,)`: `(N, ...)`.

        Of rows, only the columns that are learned.
        """
        latents = to_latents(z, self.model.latent_dim)
        return self._decode(latents, self.condition(y, len(latents)))

    def _decode(self, z: Tensor, told: Tensor | None) -> Array:
        """The mean of p(x|z, y) for latents `(N, D)`, with conditions as the network takes them."""
        latents, size = z.to(self.model.device), chunk_length(self.spec.shape)
        parts = [slice(start, start + size) for start in range(0, len(latents), size)]
        with torch.no_grad():
            return self.converter.decode(
                self.model.decode(latents[part], None if told is None else told[part]).mean
                for part in parts
            )

    def condition(self, y: Any, count: int) -> Tensor | None:
        """The conditions of so many items as the network takes them, `(count, W)`; None for none.

        Raises:
            UsageError: y is not what the model is told; see `data.condition_values`.
        """
        return self.converter.encode_condition(self.converter.read_condition(y, count))

    def reconstruct(
        self,
        items: ArrayLike,
        y: Any = None,
        *,
        seed: int | None = None,
        sample: bool | None = None,
        noise: bool = False,
    ) -> Reconstruction[Array]:
        """Encode and decode items.

        The posterior is sampled if there is a seed, unless `sample` says otherwise. With `noise`,
        the items are samples of p(x|z) instead of its mean. Of a data frame, the decoded items are
        a frame of the same library.
        """
        source = self._noise(seed)
        is_sampled = seed is not None if sample is None else sample
        drawn, spread = source if is_sampled else None, source if noise else None
        read = self.converter.read(items, y)
        batches = self.converter.batches(read)
        parts = [reconstruct(self.model, batch, drawn, spread=spread) for batch in batches]
        outputs, *figures = zip(*parts, strict=True)
        rows = self.converter.join(self.converter.decode(outputs), read.condition)
        decoded = like_frame(items, rows, self.spec)
        return Reconstruction(decoded, *(to_array(*figure) for figure in figures))

    def sample_latents(
        self, count: int, y: Any = None, *, temperature: float = 1.0, seed: int | None = None
    ) -> Array:
        """The latents `(count, D)` that `sample` decodes."""
        drawn, told = self._noise(seed), self.condition(y, count)
        z = sample_latents(
            self.model, count, drawn, temperature=temperature, source=self.source, y=told
        )
        return to_array(z)

    def sample(
        self,
        count: int,
        y: Any = None,
        *,
        where: Where | None = None,
        temperature: float = 1.0,
        noise: bool = False,
        seed: int | None = None,
    ) -> Array:
        """Generate `count` items from the prior or `source`.

        `temperature` is a factor for the standard deviation of the noise that latents are made of.
        Images are the mean of p(x|z), or samples from it with `noise`; rows are always samples:
        `(count, ...)`. Without a seed, every call gives other items.

        `y` are the conditions of a model of p(x|y). Without them, those of images are not known
        (but if the model has learned no such ones, they are those of random training images), and
        rows are whole ones with the conditions of random rows of the training set. Rows may be
        asked for by any of their columns, as in `where={"sex": "F", "age": (30, 40)}`; see
        `sample_where`.
        """
        names = {column.name for column in self.spec.condition}
        if where and not names >= where.keys():  # some are learned
            found = self.sample_where(count, where, temperature=temperature, seed=seed, y=y)
            return to_array(found.items)
        source = self._noise(seed)
        told = self._told(y, where or {}, count, source)
        return self._draw(told, count, source, temperature=temperature, with_spread=noise)

    def sample_where(
        self,
        count: int,
        where: Where,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        y: Any = None,
        progress: Progress = ignore_progress,
    ) -> Accepted:
        """Generate `count` rows that meet conditions on their columns.

        Of the columns that a model of p(x|y) is told, those of training rows that meet the
        conditions are told, so no draw is lost. Others are learned, and rows that do not meet their
        conditions are rejected.

        Args:
            count: the number of rows.
            where: what some columns have to be; see `data.conditions`.
            temperature: as in `sample`.
            seed: as in `sample`.
            y: as in `sample`, in place of conditions on these columns.
            progress: called with the number of rows so far and `count`.

        Returns:
            The rows `(count, D)`, and how many were drawn for them.

        Raises:
            UsageError: a condition names no column or no value of it, or too few of very many
                draws meet all conditions.
        """
        names = {column.name for column in self.spec.condition}
        learned = {name: wanted for name, wanted in where.items() if name not in names}
        conditions = make_conditions(self.spec, learned)
        source, limit = self._noise(seed), max(MAX_DRAWS_FOR_ONE * count, MIN_DRAWS_IN_ALL)

        def draw(some: int) -> Tensor:
            told = self._told(y, where, some, source)
            return torch.from_numpy(self._draw(told, some, source, temperature=temperature))

        found = sample_accepted(
            draw,
            lambda rows: torch.stack([one.holds(rows) for one in conditions]).all(0),
            count,
            limit=limit,
            progress=progress,
        )
        if found.accepted < count:
            raise UsageError(explain_rare(found, count))
        return found

    def impute(
        self,
        items: Any,
        y: Any = None,
        *,
        draws: int = 0,
        samples: int = IMPORTANCE_SAMPLES,
        seed: int | None = None,
        progress: Progress = ignore_progress,
    ) -> Any:
        """Fill the missing values of rows with what is known about them, given the other values.

        A missing value is NaN in an array, and whatever it is in a frame. See `latent.imputation`.
        What a model of p(x|y) is told is not filled, but used.

        Args:
            items: rows, as an array or a frame.
            y: their conditions, if the rows do not have them.
            draws: samples of each missing value; 0 is its mean, or its most probable category.
            samples: importance samples of each row.
            seed: of the random numbers.
            progress: called with the number of rows that are done, and of all with missing values.

        Returns:
            The rows `(N, D)`, or `(draws, N, D)`; of a frame, one of the same library, or a list of
            them.

        Raises:
            UsageError: the items of the model are images, or the rows have other columns.
        """
        read, noise = self.converter.rows_with_holes(items, y), self._noise(seed)
        found = impute(
            self.model,
            read.items,
            noise,
            draws=draws,
            samples=samples,
            progress=progress,
            y=self.converter.encode_condition(read.condition),
        )
        join = self.converter.join
        if not draws:
            return like_frame(items, join(to_array(found.rows), read.condition), self.spec)
        tables = np.stack([join(one.numpy(), read.condition) for one in found.tables().cpu()])
        frames = [like_frame(items, table, self.spec) for table in tables]
        return tables if isinstance(frames[0], np.ndarray) else frames

    def _told(self, y: Any, where: Where, count: int, source: Noise) -> Tensor | None:
        """The conditions of samples, float64 `(count, C)`; None if they are not known.

        Raises:
            UsageError: y or `where` is not what the model is told.
        """
        if y is not None:
            return self.converter.read_condition(y, count)
        names = {column.name for column in self.spec.condition}
        wanted = {name: one for name, one in where.items() if name in names}
        condition = self.model.condition
        if condition is None or (self.spec.is_image and condition.dropout and not wanted):
            return None
        rows = condition.known.rows
        if not condition.dropout:  # what is not known was hidden from no network
            rows = rows[~rows.isnan().any(1)]
        known = choose_known(rows, self.spec.condition, wanted)
        return known[source.integers(len(known), count).cpu()]

    def _draw(
        self,
        told: Tensor | None,
        count: int,
        source: Noise,
        *,
        temperature: float,
        with_spread: bool = False,
    ) -> Array:
        """Samples with these conditions; whole rows of a table."""
        parts = sample_parts(
            self.model,
            count,
            source,
            temperature=temperature,
            with_spread=with_spread or self.kind.samples_noise,
            source=self.source,
            y=self.converter.encode_condition(told),
        )
        return self.converter.join(self.converter.decode(parts), told)

    def frame(self, rows: ArrayLike) -> "pa.Table":
        """Rows `(N, D)`, or one, as an Arrow table: what the numbers of the columns mean.

        Whole numbers are whole, dates are dates, categories are their texts, and a missing value is
        null. `frame(rows).to_pandas()` and `polars.from_arrow(frame(rows))` are frames of others.

        Raises:
            UsageError: the items of the model are images, or the rows have other columns.
        """
        if self.spec.is_image:
            raise UsageError("images have no columns: a frame is for the rows of a table")
        values = np.asarray(rows, np.float64)
        width = values.shape[-1] if values.ndim else 0
        if not is_whole(self.spec, width):
            self.spec.require_shape(values.shape[-1:], "the array")
        return to_arrow(*in_file_order(self.spec, values.reshape(-1, width)))

    def sample_loop(
        self,
        count: int,
        steps: int,
        y: Any = None,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Array:
        """Samples from the prior, and the images between each and the next, as one closed loop.

        `y` is one condition for all, as a name or a mapping.

        Returns:
            `(count * steps, ...)`; every item number `k * steps` is one of the samples.

        Raises:
            UsageError: the latents are codes, or a grid.
        """
        self.require_vectors("an animation")
        latents = self.sample_latents(count, y, temperature=temperature, seed=seed)
        return self.decode(close_loop(torch.from_numpy(latents), steps), y)

    def traverse(
        self,
        item: ArrayLike,
        offsets: ArrayLike,
        dims: Sequence[int] | None = None,
        *,
        y: Any = None,
        seed: int | None = None,
        level: int = 0,
    ) -> Array:
        """Decode latents that are shifted from the posterior of one item.

        Args:
            item: one image or row.
            offsets: `(K,)`, added to the latent, one per column.
            dims: one row for each of these dimensions, which is shifted alone; None is one row in
                which all dimensions are shifted together.
            y: the condition of the item.
            seed: if given, every tile is decoded from a new sample.
            level: of a hierarchical model, 0 is the top; see `infer_level`.

        Returns:
            `(rows, K, ...)`.

        Raises:
            UsageError: the model has no such item, level or dimension, or its latents are codes,
                or a grid.
        """
        self.require_vectors("a traversal")
        found = infer_level(self.model, self._encode_one(item, y), level)
        known = range(*found.posterior.event_shape)
        if any(dim not in known for dim in dims or ()):
            raise UsageError(f"dims {dims}: this model has dimensions 0 to {known[-1]}")
        shifts = torch.as_tensor(np.asarray(offsets, np.float32)).to(self.model.device)
        noise = None if seed is None else self._noise(seed)
        return self.converter.decode([traverse(self.model, found, shifts, dims, noise)])

    def kl_by_dim_of(self, item: ArrayLike, level: int = 0, y: Any = None) -> Tensor | None:
        """KL of each dimension of a level for one item, in nats: `(D,)`; None if not known."""
        by_dim = infer_level(self.model, self._encode_one(item, y), level).kl_by_dim
        return None if by_dim is None else by_dim.cpu()

    def interpolate(
        self, items: ArrayLike, steps: int = 10, *, spherical: bool = False, y: Any = None
    ) -> Array:
        """Decode the path from the latent of each item to that of the next.

        Args:
            items: at least two.
            steps: points per path, including both ends.
            spherical: whether the path is a great circle instead of a straight line.
            y: the condition of all items, or one for each: what the model is told changes on a
                straight line from that of one item to that of the next, so that both ends are the
                reconstructions of the items.

        Returns:
            `(N - 1, steps, ...)`.

        Raises:
            UsageError: there is only one item, or the latents are codes, or a grid.
        """
        self.require_vectors("an interpolation")
        read = self.converter.read(items, y)
        anchors = torch.from_numpy(self.latents(read.items, read.condition))
        if len(anchors) < 2:  # noqa: PLR2004
            raise UsageError("an interpolation needs at least two items")
        points = interpolate(anchors, steps, spherical=spherical)
        told = self.converter.encode_condition(read.condition)
        way = None if told is None else interpolate(told, steps).flatten(0, 1)
        tiles = self._decode(points.flatten(0, 1), way)
        return tiles.reshape(*points.shape[:2], *tiles.shape[1:])

    def require_vectors(self, what: str) -> None:
        """Check that latents are vectors, between which there are others.

        Args:
            what: needs them, for the message.

        Raises:
            UsageError: they are codes, or a grid.
        """
        posterior = self.settings.posterior
        is_codes = posterior.kind == "codes"
        if not is_codes and len(self.model.event_shape) == 1:
            return
        made = mark(f"posterior.name={posterior.name}" if is_codes else "model.grid=true")
        raise UsageError(
            f"{what} needs latents that are vectors: those of run {self.name} are "
            f"{'codes' if is_codes else 'a grid'} ({made}), which vae reconstruct, vae sample and "
            "vae embed take"
        )

    def to_unit(self, values: ArrayLike) -> Array:
        """Images with the values of the data, as the other methods take them: float32 in [0, 1].

        For a run with a range, its two values become 0 and 1, and values beyond them are cut off
        with a warning. Without one, bytes are scaled, and floats are in [0, 1] already.

        Raises:
            UsageError: the run is one on a table, or the type of number, the shape or a value is
                not that of its images.
        """
        return self.converter.to_unit(values)

    def from_unit(self, images: ArrayLike) -> Array:
        """Images in [0, 1], such as those that `decode` returns, with the values of the data.

        Returns:
            float32 of the same shape; without a range, the images as they are.
        """
        return self.converter.from_unit(images)

    def _encode_one(self, item: ArrayLike, y: Any = None) -> Batch:
        """What the network takes for one item, or for the first of several."""
        return next(self.converter.encode(item, y))[:1]

    def _noise(self, seed: int | None) -> Noise:
        """The source of random numbers for a seed; a new one without it."""
        return Noise(seed, self.model.device)


def load_trained(run: Run, device: torch.device, data: str | None = None) -> TrainedModel:
    """The best weights of a run, as a model on a device. `vae_cli.load` documents the arguments.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    loaded = load_model(run)
    own = loaded.facts.config.data.name if may_open_data(loaded.facts) else None
    return TrainedModel(
        model=loaded.model.to(device).to(memory_format=torch.channels_last).eval(),
        facts=loaded.facts,
        kl_by_dim=loaded.kl_by_dim,
        weights_digest=loaded.weights_digest,
        run=run,
        data_name=own if data is None else data,
    )


def choose_known(rows: Tensor, columns: Sequence[Column], where: Where) -> Tensor:
    """The conditions `(M, C)` of training items that meet what is asked for.

    If there are none, and single values are asked for, these are told, and nothing else.

    Args:
        rows: the conditions that are known, float64 `(N, C)`.
        columns: what they mean.
        where: what some of them have to be.

    Raises:
        UsageError: no item meets a range or several values, or a value is none of its column.
    """
    spec = Spec("the condition", (len(columns),), columns=tuple(columns))
    meets = [one.holds(rows) for one in make_conditions(spec, where)]
    found = rows[torch.stack(meets).all(0)] if meets else rows
    if len(found):
        return found
    if any(isinstance(wanted, list | tuple) for wanted in single_values(where).values()):
        raise UsageError(
            f"{mark('where')}: no item of the training set meets these conditions together; ask "
            "for single values, which the model is then told, though it saw no item with them"
        )
    return condition_rows(columns, single_values(where), 1, "where")


def single_values(where: Where) -> dict[str, Any]:
    """What is asked for, with a list of one value as this value."""
    return {
        name: wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
        for name, wanted in where.items()
    }


def explain_rare(found: Accepted, count: int) -> str:
    """What to say if too few draws meet the conditions."""
    advice = "widen a range, or leave a condition out"
    if not found.accepted:
        return f"{mark('where')}: none of {found.draws:,} draws meets the conditions: {advice}"
    share = f"{found.accepted:,} of {found.draws:,} draws ({found.rate:.2g} of them)"
    return (
        f"{mark('where')}: only {share} meet the conditions, not {count:,}: ask for "
        f"{plural(found.accepted, 'row')}, {advice}"
    )

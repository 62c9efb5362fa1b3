"""What is missing in a row, given what is observed: imputation, and the odds of each column.

A row x = (x_o, x_m) has observed and missing values. What a model knows about the missing ones is

    p(x_m | x_o) = ∫ p(x_m | z) p(z | x_o) dz          columns are independent given the latents

and p(z | x_o) is known up to a factor, so it is sampled by importance sampling with self-normalized
weights (Rezende, Mohamed & Wierstra, 2014, appendix F, https://arxiv.org/abs/1401.4082; Mattei &
Frellsen, 2019, eqs. 12 and 14, https://arxiv.org/abs/1812.02633):

    z_k ~ q(z),    w_k ∝ p(x_o | z_k) p(z_k) / q(z_k),    Σ_k w_k = 1
    single imputation        E[x_m | x_o] ≈ Σ_k w_k x_m^(k)           with x_m^(k) ~ p(x_m | z_k)
    multiple imputation      k ~ Categorical(w), then x_m ~ p(x_m | z_k)

The weights correct any proposal q, and a good one needs fewer samples. An encoder that never saw a
row with holes is no good one by itself. It knows complete rows, so the proposal is a mixture over M
guesses of what is missing, and the guesses of every round are drawn with the weights of the last
one (population Monte Carlo: Cappé et al., 2004, https://doi.org/10.1198/106186004X12803; weights of
the whole mixture: Elvira et al., 2019, https://arxiv.org/abs/1511.03095):

    q(z) = 1/M Σ_m q(z | x_o, x_m^(m))

One of the guesses stays the row with its holes, which an encoder that was trained on such rows
knows best; the others of the first round are samples of the model. So a model of complete rows
fills holes too.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.errors import UsageError
from vae_cli.model import LatentModel, Posterior, TableCodec
from vae_cli.model.likelihoods import TableRow
from vae_cli.model.reductions import sum_levels
from vae_cli.noise import Noise

SAMPLES, PROPOSALS, ROUNDS = 256, 16, 2
EXPECTED = 16  # values of a column, to which its own value is compared
TAIL = 0.05  # of the distribution of a missing value, below `low` and above `high`


class Filled(NamedTuple):
    """Rows whose holes are filled, and how certain that is: float64 `(B, D)` each.

    Attributes:
        rows: numbers and dates are means, whole numbers rounded ones, and categories the most
            probable ones.
        deviation: the standard deviation of a missing number; NaN for a category.
        low: what 5 % of the samples of a missing number are below; NaN for a category.
        high: what 5 % of them are above.
        probability: of the category that was chosen; NaN for a number.
    """

    rows: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor
    probability: Tensor


@final
@dataclass(frozen=True, kw_only=True)
class Completions:
    """Samples of p(z | x_o) for B rows, with their weights.

    Attributes:
        rows: in the units of the data, with NaN where a value is missing, `(B, D)`.
        log_weights: log w, normalized over the K samples, `(K, B)`.
        likelihood: p(x|z) of each sample, with mean `(K, B, W)`.
        codec: of the rows.
    """

    rows: Tensor
    log_weights: Tensor
    likelihood: TableRow
    codec: TableCodec

    def effective_samples(self) -> Tensor:
        """How many samples with equal weights are worth as much, from 1 to K: `(B,)`."""
        return (-(2 * self.log_weights).logsumexp(0)).exp()

    def log_prob_by_column(self, x: Tensor) -> Tensor:
        """Log p(x_j | x_o) for each column of encoded rows `(B, W)`, in nats: `(B, D)`."""
        by_sample = self.likelihood.log_prob_by_column(x)
        return (self.log_weights[..., None] + by_sample).logsumexp(0)

    def draw_encoded(self, count: int, noise: Noise) -> Tensor:
        """Samples of p(x | x_o) as a network takes them, `(count, B, W)`."""
        total = self.log_weights.exp().T.contiguous().cumsum(1)  # (B, K)
        places = noise.uniform_like(total.new_empty(len(total), count))
        chosen = torch.searchsorted(total, places * total[:, -1:]).clamp(max=total.shape[1] - 1)
        items = torch.arange(len(total), device=total.device)
        return torch.stack([self.likelihood.sample(noise)[one, items] for one in chosen.T])

    def draw(self, count: int, noise: Noise) -> Tensor:
        """The rows with their holes filled by samples of p(x_m | x_o): `(count, B, D)`."""
        return fill(self.rows, self.codec.decode(self.draw_encoded(count, noise)))

    def summarize(self, noise: Noise) -> Filled:
        """The rows with the mean or the mode of p(x_m | x_o) in their holes."""
        weights = self.log_weights.exp()[..., None]
        shares = (weights * self.likelihood.mean).sum(0)
        values, weights = self.codec.decode(self.likelihood.sample(noise)), weights.cpu().double()
        mean = (weights * values).sum(0)
        variance = (weights * (values - mean) ** 2).sum(0)
        low, high = (weighted_quantile(values, weights, share) for share in (TAIL, 1 - TAIL))
        columns = self.codec.layout.columns
        is_measured = torch.tensor([column.is_measured for column in columns])
        is_whole = torch.tensor([column.kind == "integer" for column in columns])
        mode = self.codec.decode(shares)  # a category is the most probable one
        guesses = torch.where(is_measured, torch.where(is_whole, mean.round(), mean), mode)
        unknown = torch.full_like(mean, torch.nan)
        return Filled(
            rows=fill(self.rows, guesses),
            deviation=torch.where(is_measured, variance.sqrt(), unknown),
            low=torch.where(is_measured, low, unknown),
            high=torch.where(is_measured, high, unknown),
            probability=self._largest_shares(shares),
        )

    def _largest_shares(self, shares: Tensor) -> Tensor:
        """The probability of the most probable category of each column: float64 `(B, D)`."""
        layout = self.codec.layout
        largest = torch.full(self.rows.shape, torch.nan, dtype=torch.float64)
        parts = layout.split(shares)[1].cpu().double().split(layout.sizes, -1)
        for place, part in zip(layout.categorical, parts, strict=True):
            largest[:, place] = part.amax(-1)
        return largest


@torch.no_grad()
def complete(
    model: LatentModel,
    rows: Tensor,
    noise: Noise,
    *,
    samples: int = SAMPLES,
    proposals: int = PROPOSALS,
    rounds: int = ROUNDS,
    y: Tensor | None = None,
) -> Completions:
    """Sample p(z | x_o) for rows with holes.

    Args:
        model: of the rows of a table, in evaluation mode.
        rows: float64 `(B, D)` in the units of the data; NaN is a missing value.
        noise: on the device of the model.
        samples: K, rounded up to a multiple of M.
        proposals: M, guesses of what is missing.
        rounds: how often guesses are drawn; the samples are those of the last round.
        y: the conditions of the rows, `(B, W)`; None if there are none.

    Raises:
        UsageError: the model is not one of rows of a table.

    Example:
        >>> import torch
        >>> from vae_cli.data.columns import Column
        >>> from vae_cli.model import MLPDecoder, MLPEncoder, StandardNormal, VAE
        >>> from vae_cli.model.likelihoods import TableLikelihood
        >>> from vae_cli.model.table_codec import RowLayout, unfitted_codec
        >>> cut = Column(name="cut", kind="category", categories=("Fair", "Good"))
        >>> codec = unfitted_codec(RowLayout((Column(name="price"), cut), True), "standard")
        >>> likelihood = TableLikelihood(codec)
        >>> width, outputs = codec.input_shape, likelihood.output_shape(codec.input_shape)
        >>> encoder, decoder = MLPEncoder(width, (8,), 2), MLPDecoder(outputs, (8,), 2)
        >>> model = VAE(encoder, decoder, likelihood, StandardNormal(2), codec)
        >>> rows = torch.tensor([[torch.nan, 1], [0.5, torch.nan]]).double()
        >>> found = complete(model, rows, Noise(0), samples=32)
        >>> found.draw(5, Noise(1)).shape, found.summarize(Noise(2)).rows.isnan().any().item()
        (torch.Size([5, 2, 2]), False)
    """
    count = -(-samples // proposals)
    guessed = (proposals - 1) * len(rows)
    repeated = None if y is None else y.repeat(proposals - 1, 1)
    z = model.prior_of(repeated, guessed).sample(guessed, noise)
    first = require_table(model).decode(model.generate(z, noise, y=repeated).sample(noise))
    guesses = fill(rows, first.unflatten(0, (proposals - 1, len(rows))))
    found = weigh(model, rows, guesses, count, noise, y)
    for _ in range(rounds - 1):
        found = weigh(model, rows, found.draw(proposals - 1, noise), count, noise, y)
    return found


def require_table(model: LatentModel) -> TableCodec:
    """The codec of a model of rows.

    Raises:
        UsageError: its items are no rows of a table.
    """
    if not isinstance(model.codec, TableCodec):
        raise UsageError("holes are filled in rows of a table, and this model has images")
    return model.codec


def fill(rows: Tensor, guesses: Tensor) -> Tensor:
    """Rows `(B, D)` with guesses `(..., B, D)` in their holes."""
    return torch.where(rows.isnan(), guesses, rows)


def weigh(
    model: LatentModel,
    rows: Tensor,
    guesses: Tensor,
    samples: int,
    noise: Noise,
    y: Tensor | None = None,
) -> Completions:
    """Draw latents for B rows and guesses of them, and weigh them by what is observed.

    Args:
        model: of the rows.
        rows: with holes, `(B, D)`.
        guesses: without holes, `(M − 1, B, D)`.
        samples: of each guess, and of the rows with holes, so that K is M times as many.
        noise: on the device of the model.
        y: the conditions of the rows, `(B, W)`; None if there are none.
    """
    codec = require_table(model)
    candidates = torch.cat([rows[None], guesses])
    x = codec.encode(candidates.flatten(0, 1)).to(model.device).unflatten(0, candidates.shape[:2])
    latents, log_ratio = propose(model, x, samples, noise, y)
    likelihood = model.decode_levels(latents, y)
    assert isinstance(likelihood, TableRow)  # as the codec is one of tables
    by_column = likelihood.log_prob_by_column(x[0])
    is_missing = rows.isnan().to(by_column.device)
    log_weights = by_column.masked_fill(is_missing, 0.0).sum(-1) + log_ratio
    return Completions(
        rows=rows, log_weights=normalize(log_weights), likelihood=likelihood, codec=codec
    )


def propose(
    model: LatentModel, candidates: Tensor, samples: int, noise: Noise, y: Tensor | None
) -> tuple[list[Tensor], Tensor]:
    """Latents of every level `(K, B, *event)`, and log p(z|y) − log q(z) of them, `(K, B)`.

    With several levels, q of a sample is that of its own guess instead of the mixture, which is
    correct too, but less even.
    """
    count = len(candidates)
    batch = Batch(candidates.flatten(0, 1), None if y is None else y.repeat(count, 1))

    def regroup(values: Tensor) -> Tensor:
        grouped: Tensor = values.unflatten(1, (count, -1))
        return grouped.flatten(0, 1)

    if len(model.latent_dims) > 1:
        inference = model.infer(batch, samples, noise)
        ratios = [level.log_ratio() for level in inference.levels]
        return [regroup(level.z) for level in inference.levels], regroup(sum_levels(ratios))
    posterior = model.posterior(batch)
    z = regroup(posterior.rsample(samples, noise))
    return [z], model.prior_of(y, z.shape[1]).log_prob(z) - mixture_log_prob(posterior, z, count)


def mixture_log_prob(posterior: Posterior, z: Tensor, count: int) -> Tensor:
    """The log-density of latents `(K, B, *event)` in a mixture of M posteriors: `(K, B)`.

    Args:
        posterior: of M · B items, those of the first guess first.
        z: the latents.
        count: M.
    """
    repeated = z[:, None].expand(-1, count, *z.shape[1:]).flatten(1, 2)
    by_guess: Tensor = posterior.log_prob(repeated).unflatten(1, (count, -1))
    return by_guess.logsumexp(1) - math.log(count)


def normalize(log_weights: Tensor) -> Tensor:
    """Log weights `(K, B)` whose weights sum to 1; they are equal if no sample explains a row."""
    known = log_weights.nan_to_num(-torch.inf)
    is_lost = known.amax(0).isinf()
    return torch.log_softmax(torch.where(is_lost, 0.0, known), 0)


def weighted_quantile(values: Tensor, weights: Tensor, share: float) -> Tensor:
    """What a share of the weight of samples `(K, B, D)` is below: `(B, D)`.

    Args:
        values: the samples.
        weights: of the samples, `(K, B, 1)`, whose sum is 1.
        share: from 0 to 1.
    """
    ordered, order = values.sort(0)
    total = weights.expand_as(values).gather(0, order).cumsum(0)
    place = (total < share).sum(0, keepdim=True).clamp(max=len(values) - 1)
    return ordered.gather(0, place)[0]


@final
@dataclass(frozen=True, kw_only=True)
class Imputation:
    """Many rows, of which R have holes.

    Attributes:
        rows: with their holes filled by means and modes, float64 `(N, D)`.
        holes: what was missing, bool `(N, D)`.
        places: of the rows that have holes, int64 `(R,)`.
        filled: how certain it is, `(R, D)` each.
        draws: samples of p(x_m | x_o), `(draws, R, D)`.
        effective_samples: of each row with holes, `(R,)`.
    """

    rows: Tensor
    holes: Tensor
    places: Tensor
    filled: Filled
    draws: Tensor
    effective_samples: Tensor

    def tables(self) -> Tensor:
        """All rows with each of the draws in their holes: `(draws, N, D)`."""
        return self.rows.expand(len(self.draws), -1, -1).index_copy(1, self.places, self.draws)


CHUNK_VALUES = 2**22  # of the outputs for the samples of some rows: 16 MiB of float32


def impute(
    model: LatentModel,
    rows: Tensor,
    noise: Noise,
    *,
    draws: int = 0,
    samples: int = SAMPLES,
    progress: Progress = ignore_progress,
    y: Tensor | None = None,
) -> Imputation:
    """Fill the holes of any number of rows.

    Args:
        model: of the rows of a table, in evaluation mode.
        rows: float64 `(N, D)` in the units of the data; NaN is a missing value.
        noise: on the device of the model.
        draws: the number of samples of each hole.
        samples: K, importance samples of each row.
        progress: called with the number of rows with holes that are done, and of all.
        y: the conditions of all rows, `(N, W)`, on the device of the model; None if there are none.

    Raises:
        UsageError: the model is not one of rows of a table.
    """
    width = max(require_table(model).layout.width, PROPOSALS * model.latent_dim)
    places = rows.isnan().any(1).nonzero()[:, 0]
    empty = rows.new_empty(draws, 0, rows.shape[1])
    found: list[tuple[Filled, Tensor, Tensor]] = [(Filled(*[rows[:0]] * 5), empty, rows[:0, 0])]
    done = 0
    for some in places.split(max(1, CHUNK_VALUES // (samples * width))) if len(places) else ():
        told = None if y is None else y[some.to(y.device)]
        completions = complete(model, rows[some], noise, samples=samples, y=told)
        drawn = completions.draw(draws, noise) if draws else rows[None, some][:0]
        effective = completions.effective_samples().cpu().double()
        found.append((completions.summarize(noise), drawn, effective))
        done += len(some)
        progress(done, len(places))
    filled, drawn_rows, effective_samples = zip(*found, strict=True)
    whole = Filled(*(torch.cat(parts) for parts in zip(*filled, strict=True)))
    return Imputation(
        rows=rows.index_copy(0, places, whole.rows),
        holes=rows.isnan(),
        places=places,
        filled=whole,
        draws=torch.cat(drawn_rows, 1),
        effective_samples=torch.cat(effective_samples),
    )


class ColumnOdds(NamedTuple):
    """How probable the value of a column is, given the rest of its row: float64 `(B,)` each.

    Attributes:
        nll: −log p(x_j | the other columns) in nats and in the units of the data: of the density of
            a number, or of the probability of a value that has one.
        surprise: by how much −log p is above its mean over the values that were expected, in units
            of its spread over them. It has no unit, so columns can be compared by it.
        expected: the mean or the mode of p(x_j | the other columns).
    """

    nll: Tensor
    surprise: Tensor
    expected: Tensor


@torch.no_grad()
def measure_column(
    model: LatentModel,
    rows: Tensor,
    places: Tensor,
    noise: Noise,
    samples: int = SAMPLES,
    y: Tensor | None = None,
) -> ColumnOdds:
    """Hide one column of each row, and ask how probable its value is.

        p(x_j | x_rest) ≈ Σ_k w_k p(x_j | z_k)        with the samples of `complete` for x_rest
        surprise = (c_j − E[c'_j]) / (1 + Var[c'_j])^½        c_j = −log p(x_j | x_rest), and c'_j
                                                              that of x'_j ~ p(x_j | x_rest)

    Without the denominator, a column such as an amount of money that is often 0 would surprise in
    most rows: 0 has a probability, and each other amount a far smaller one. 1 nat keeps a column
    whose expected values are all the same from surprising by less than that.

    Args:
        model: of the rows of a table, in evaluation mode.
        rows: float64 `(B, D)` in the units of the data.
        places: of the columns to hide, int64 `(B,)`.
        noise: on the device of the model.
        samples: K.
        y: the conditions of the rows, `(B, W)`; None if there are none.

    Raises:
        UsageError: the model is not one of rows of a table.
    """
    codec, chosen = require_table(model), places[:, None]
    encoded = codec.encode(rows)
    found = complete(model, rows.scatter(1, chosen, torch.nan), noise, samples=samples, y=y)

    def costs(x: Tensor) -> Tensor:
        by_column = -found.log_prob_by_column(x.to(model.device)).cpu().double()
        return by_column.gather(1, chosen)[:, 0]

    cost = costs(encoded)
    usual = torch.stack([costs(x) for x in found.draw_encoded(EXPECTED, noise)])
    slopes = codec.log_abs_det_by_column(encoded).gather(1, chosen)[:, 0]
    expected = found.summarize(noise).rows.gather(1, chosen)[:, 0]
    surprise = (cost - usual.mean(0)) / (1 + usual.var(0)).sqrt()
    return ColumnOdds(cost - slopes, surprise, expected)


@torch.no_grad()
def least_probable(model: LatentModel, rows: Tensor, count: int, y: Tensor | None = None) -> Tensor:
    """The places of the observed values that the decoder finds least probable: int64 `(P, 2)`.

    It is a cheap choice of columns that are worth to be hidden: one pass for all of them, with
    −log p(x_j | z) at the mode z of q(z|x), though the encoder has seen x_j.

    Args:
        model: of the rows of a table, in evaluation mode.
        rows: float64 `(B, D)` in the units of the data.
        count: of each row, at most.
        y: the conditions of the rows, `(B, W)`; None if there are none.
    """
    codec = require_table(model)
    batch = Batch(codec.encode(rows).to(model.device), y)
    likelihood = model.infer(batch).likelihood
    assert isinstance(likelihood, TableRow)  # as the codec is one of tables
    costs = -likelihood.log_prob_by_column(batch.x)[0].cpu().nan_to_num(torch.inf)
    is_learned = torch.zeros(rows.shape[1], dtype=torch.bool)
    is_learned[codec.layout.learned] = True
    costs[rows.isnan() | ~is_learned] = -torch.inf
    top = costs.topk(min(count, costs.shape[1]))
    is_one = top.values > -torch.inf
    return torch.stack([is_one.nonzero()[:, 0], top.indices[is_one]], 1)

"""The likelihood of a row: normalization in the units of the data, holes, tails, and samples."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models import AFTER_WARMUP, make_state
from tables import COLUMNS, mixed_rows
from torch import Generator, Tensor
from torch.distributions import Categorical, Normal

from vae_cli.data.batch import Batch
from vae_cli.data.columns import Column, Normalization, number_columns
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.data.split import InMemory
from vae_cli.model import (
    VAE,
    MLPDecoder,
    MLPEncoder,
    NegativeIWAE,
    StandardNormal,
    TableCodec,
    TableLikelihood,
)
from vae_cli.model.likelihoods.columns import NARROW, PACE, Family, NormalCosts, StudentCosts
from vae_cli.model.table_codec import RowLayout, fit_codec, unfitted_codec
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge
from vae_cli.training import loss_and_gradients

CPU = torch.device("cpu")


def fitted(
    rows: Tensor,
    columns: tuple[Column, ...] = COLUMNS,
    normalization: Normalization = "quantile",
    *,
    has_indicators: bool = True,
) -> TableCodec:
    layout = RowLayout(columns, has_indicators=has_indicators)
    return fit_codec(layout, InMemory.whole(rows), normalization)


def outputs_for(likelihood: TableLikelihood, *batch: int, seed: int = 0) -> Tensor:
    (width,) = likelihood.output_shape(())
    return 0.7 * torch.randn(*batch, width, generator=Generator().manual_seed(seed))


def set_log_variance(likelihood: TableLikelihood, value: float) -> None:
    pace = 1.0 if likelihood.edges is None else PACE
    torch.nn.init.constant_(likelihood.log_variance, value / pace)


def log_probs(codec: TableCodec, place: int, values: Tensor, family: Family) -> Tensor:
    """Of some values of one column, in the units of the data."""
    likelihood = TableLikelihood(codec, family)
    set_log_variance(likelihood, -1.0)
    grid = mixed_rows(1).expand(len(values), -1).clone()
    grid[:, place] = values
    x, outputs = codec.encode(grid), outputs_for(likelihood, 1).expand(len(values), -1)
    log_prob = likelihood(outputs).log_prob_by_column(x).double()
    return (log_prob + codec.log_abs_det_by_column(x))[:, place]


@torch.no_grad()
@pytest.mark.parametrize("family", ["gaussian", "student"])
@pytest.mark.parametrize("normalization", ["quantile", "standard"])
def test_probabilities_and_densities_sum_to_one_in_the_units_of_the_data(
    normalization: Normalization, family: Family
) -> None:
    """For each column alone: a sum over its values, and the integral of its density.

    The income is both: a third of the rows has 0, which has a probability.
    """
    codec = fitted(mixed_rows(2000), normalization=normalization)
    if normalization == "quantile":
        ages, days = torch.arange(-2000, 2000), 86_400 * torch.arange(0, 60_000)
        cents = torch.arange(-300_000, 300_000) / 100
        for place, values in ((1, ages), (4, days), (5, cents)):
            total = log_probs(codec, place, values.double(), family).exp().sum()
            assert total == pytest.approx(1, abs=5e-3), COLUMNS[place].name
    for place, count in ((2, 3), (6, 2)):
        values = torch.arange(count).double()
        assert log_probs(codec, place, values, family).exp().sum() == pytest.approx(1)
    grid = torch.linspace(-400, 400, 1_600_001).double() + 1e-7
    total = torch.trapezoid(log_probs(codec, 0, grid, family).exp(), grid)
    if normalization == "quantile":
        total += log_probs(codec, 0, torch.zeros(1).double(), family).exp().sum()
    assert float(total) == pytest.approx(1, abs=5e-3)


def test_the_parts_are_the_distributions_of_torch() -> None:
    columns = (*number_columns("a", "b"), *COLUMNS[2:3], COLUMNS[6])
    likelihood = TableLikelihood(unfitted_codec(RowLayout(columns), "standard"))
    with torch.no_grad():
        likelihood.log_variance.copy_(torch.tensor([-1.0, 0.5]))
    outputs, values = outputs_for(likelihood, 3, 6), torch.randn(6, 2)
    codes = torch.randint(0, 2, (6, 2), generator=Generator().manual_seed(0))
    one_hot = torch.cat([torch.eye(3)[codes[:, 0]], torch.eye(2)[codes[:, 1]]], 1)
    found = likelihood(outputs).log_prob_by_column(torch.cat([values, one_hot], 1))
    scale = torch.tensor([-0.5, 0.25]).exp()
    torch.testing.assert_close(found[..., :2], Normal(outputs[..., :2], scale).log_prob(values))
    first, second = outputs[..., 2:5], outputs[..., 5:]
    torch.testing.assert_close(found[..., 2], Categorical(logits=first).log_prob(codes[:, 0]))
    torch.testing.assert_close(found[..., 3], Categorical(logits=second).log_prob(codes[:, 1]))
    torch.testing.assert_close(
        likelihood(outputs).mean[..., 2:5], first.softmax(-1), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("has_indicators", [True, False])
@pytest.mark.parametrize("normalization", ["quantile", "standard"])
def test_the_columns_of_a_row_sum_to_the_whole(
    normalization: Normalization, has_indicators: bool
) -> None:
    rows = mixed_rows(300, holes=0.2 if has_indicators else 0)
    codec = fitted(rows, COLUMNS, normalization, has_indicators=has_indicators)
    likelihood = TableLikelihood(codec)
    distribution, x = likelihood(outputs_for(likelihood, 4, 300)), codec.encode(rows)
    by_column = distribution.log_prob_by_column(x)
    assert by_column.shape == (4, 300, len(COLUMNS))
    torch.testing.assert_close(by_column.sum(-1), distribution.log_prob(x), rtol=1e-5, atol=1e-4)
    assert not by_column[:, rows.isnan()].any(), "what is missing does not count"
    assert not by_column[..., 3].any(), "a constant neither"


def restricted(model: VAE, codec: TableCodec, kept: list[int]) -> tuple[VAE, TableCodec]:
    """The model of some columns alone, with the weights that they have in the whole model."""
    layout, whole = RowLayout(tuple(COLUMNS[place] for place in kept)), codec.layout
    narrow = unfitted_codec(layout, "standard")
    places = torch.arange(whole.width).double()[None]
    values, one_hot, _ = whole.split(places)
    starts = [*whole.starts().tolist(), one_hot.shape[1]]
    inputs = [index for index, place in enumerate(whole.measured) if place in kept]
    for place in kept:
        if place in whole.categorical:
            column = whole.categorical.index(place)
            inputs += one_hot[0, starts[column] : starts[column + 1]].long().tolist()
    likelihood = TableLikelihood(narrow)
    encoder = MLPEncoder(narrow.input_shape, (8,), 2)
    decoder = MLPDecoder(likelihood.output_shape(narrow.input_shape), (8,), 2)
    small = VAE(encoder, decoder, likelihood, StandardNormal(2), narrow)
    missing = [index for index, place in enumerate(whole.learned) if place not in kept]
    ones = [values.shape[1] + one_hot.shape[1] + index for index in missing]
    with torch.no_grad():
        layer, own = model.encoder.layers[0], small.encoder.layers[0]
        own.weight.copy_(layer.weight[:, inputs])
        own.bias.copy_(layer.bias + layer.weight[:, ones].sum(1))  # what the indicators say
        small.encoder.project.load_state_dict(model.encoder.project.state_dict())
        small.decoder.layers.load_state_dict(model.decoder.layers.state_dict())
        small.decoder.project.weight.copy_(model.decoder.project.weight[inputs])
        small.decoder.project.bias.copy_(model.decoder.project.bias[inputs])
    return small, narrow


def test_a_row_with_holes_has_the_loss_of_a_model_of_what_is_observed() -> None:
    """MIWAE: Mattei & Frellsen (2019), eq. 4, with the same networks and the same noise."""
    torch.manual_seed(0)
    codec = unfitted_codec(RowLayout(COLUMNS, has_indicators=True), "standard")
    likelihood = TableLikelihood(codec)
    encoder = MLPEncoder(codec.input_shape, (8,), 2)
    decoder = MLPDecoder(likelihood.output_shape(codec.input_shape), (8,), 2)
    model = VAE(encoder, decoder, likelihood, StandardNormal(2), codec)
    rows = mixed_rows(40)
    rows[:, [0, 1, 4, 5]] = torch.randn(40, 4, generator=Generator().manual_seed(0)).double()
    for kept in ([0, 2, 3, 5], [1, 6], [4]):
        small, narrow = restricted(model, codec, kept)
        holes = rows.clone()
        holes[:, [place for place in range(7) if place not in kept]] = torch.nan
        losses = []
        for one, x in ((model, codec.encode(holes)), (small, narrow.encode(rows[:, kept]))):
            state = make_state(one, NegativeIWAE(7), seed=3)
            loss, _ = loss_and_gradients(state, 40, Batch(x), AFTER_WARMUP)
            losses.append(loss.losses["model"])
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)


def test_what_is_missing_gets_no_gradient() -> None:
    rows = mixed_rows(200, holes=0.3)
    codec = fitted(rows)
    likelihood = TableLikelihood(codec)
    outputs = outputs_for(likelihood, 200).requires_grad_()
    (gradient,) = torch.autograd.grad(
        likelihood(outputs).log_prob(codec.encode(rows)).sum(), outputs
    )
    missing = rows[:, codec.layout.learned].isnan()
    values, categories = gradient.split(codec.layout.parts[:2], 1)
    assert values.bool().equal(~missing[:, : values.shape[1]])
    of_category = missing[:, values.shape[1] :][:, codec.layout.segments()]
    assert not categories[of_category].any()
    assert categories[~of_category].all()


def test_an_interval_is_exact_in_the_tails_and_so_is_its_gradient() -> None:
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 60
    for z in (0.0, 0.3, -2.0, 6.0, -30.0, 200.0):
        for w in (2 * NARROW, 0.1, 1.0, 5.0, 50.0):
            low, high = mpmath.mpf(abs(z)) - w, mpmath.mpf(abs(z)) + w
            double = mpmath.erfc(low / mpmath.sqrt(2)) - mpmath.erfc(high / mpmath.sqrt(2))
            expected = -2 * float(mpmath.log(double / 2))
            both = torch.tensor([[z], [0.0], [w]], dtype=torch.float64)
            error, log_variance, half = both.requires_grad_().unbind()
            cost = NormalCosts.apply(error, log_variance, half)
            assert cost.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
            single = NormalCosts.apply(*(torch.tensor([one]) for one in (z, 0.0, w))).item()
            assert single == pytest.approx(expected, rel=1e-4, abs=1e-3)
            by_z, by_log_variance = torch.autograd.grad(cost, (error, log_variance))
            at_low, at_high = (2 * mpmath.npdf(edge) / double for edge in (low, high))
            of_z = 2 * float(np.sign(z)) * float(at_low - at_high)
            of_w = -2 * float(at_low + at_high)
            assert by_z.item() == pytest.approx(of_z, rel=1e-6, abs=1e-9)
            expected = -0.5 * (z * of_z + w * of_w)  # both are divided by σ
            assert by_log_variance.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_a_narrow_interval_goes_over_into_a_density() -> None:
    """On both sides of the width at which one formula is replaced by the other."""
    w = torch.tensor([0.999 * NARROW, 1.001 * NARROW, 0.0]).double()
    for z in (0.0, 1.0, 4.0):
        error = torch.full((3,), z).double().requires_grad_()
        cost = NormalCosts.apply(error, torch.zeros(3).double(), w)
        density = Normal(0.0, 1.0).log_prob(torch.tensor(z).double())
        expected = density + torch.where(w > 0, 2 * w, 1.0).log()
        torch.testing.assert_close(cost, -2 * expected, rtol=0, atol=2e-5)
        (gradient,) = torch.autograd.grad(cost.sum(), error)
        torch.testing.assert_close(gradient, torch.full((3,), 2 * z).double(), rtol=1e-4, atol=0)


def test_costs_of_students_distribution_are_those_of_its_distribution_function() -> None:
    """Against scipy in the middle and in the tails, and the gradient by finite differences."""
    t = pytest.importorskip("scipy.stats").t(4)
    for z in (0.0, 0.4, -3.0, 40.0, -1000.0):
        for w in (2 * NARROW, 0.3, 2.0, 60.0):
            both = torch.tensor([[z], [0.0], [w]], dtype=torch.float64)
            error, log_variance, half = both.requires_grad_().unbind()
            cost = StudentCosts.apply(error, log_variance, half)
            expected = t.sf(abs(z) - w) - t.sf(abs(z) + w)
            assert cost.item() == pytest.approx(-2 * np.log(expected), rel=1e-5)
            single = StudentCosts.apply(*(torch.tensor([one]) for one in (z, 0.0, w))).item()
            assert single == pytest.approx(cost.item(), rel=1e-4, abs=1e-5)
    inputs = torch.randn(2, 40, generator=Generator().manual_seed(0)).double().requires_grad_()
    half = torch.rand(40, generator=Generator().manual_seed(1)).double()
    half[:20] = 0
    for costs in (StudentCosts, NormalCosts):
        assert torch.autograd.gradcheck(lambda a, b, c=costs: c.apply(a, b, half), (*inputs,))
    density = StudentCosts.apply(*inputs.detach(), torch.zeros(40).double())
    error, log_scale = inputs[0].detach().numpy(), inputs[1].detach().numpy() / 2
    expected = t.logpdf(error / np.exp(log_scale)) - log_scale
    np.testing.assert_allclose(-0.5 * density.numpy(), expected, rtol=1e-6)


@torch.no_grad()
def test_samples_of_student_have_its_quantiles() -> None:
    rows = torch.randn(500, 1, generator=Generator().manual_seed(0)).double()
    likelihood = TableLikelihood(fitted(rows, number_columns("a")), "student")
    samples = likelihood(torch.zeros(100_000, 1)).sample(Noise(0))[:, 0]
    t = pytest.importorskip("scipy.stats").t(4)
    for share in (0.01, 0.2, 0.5, 0.9, 0.999):
        found = (samples < t.ppf(share)).float().mean().item()
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / 100_000) ** 0.5)


@torch.no_grad()
def test_samples_have_the_probabilities_of_the_likelihood() -> None:
    rows = mixed_rows(2000)
    codec = fitted(rows)
    likelihood = TableLikelihood(codec)
    set_log_variance(likelihood, -0.5)
    outputs = outputs_for(likelihood, 1).expand(40_000, -1)
    distribution = likelihood(outputs)
    samples = distribution.sample(Noise(0))
    values, one_hot, missing = codec.layout.split(samples)
    mean, probabilities, _ = codec.layout.split(distribution.mean[0])
    torch.testing.assert_close(values.mean(0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(values.std(0), torch.full((4,), math.exp(-0.25)), rtol=0.02, atol=0)
    torch.testing.assert_close(one_hot.mean(0), probabilities, rtol=0, atol=0.01)
    assert one_hot.unique().tolist() == [0, 1]
    assert not missing.any()
    ages = codec.decode(samples)[:, 1]
    grid = rows[:1].expand(100, -1).clone()
    grid[:, 1] = torch.arange(100)
    expected = likelihood(outputs[:100]).log_prob_by_column(codec.encode(grid))[:, 1].exp()
    found = torch.bincount(ages.long(), minlength=100) / len(ages)
    inside = (rows[:, 1].min() < grid[:, 1]) & (grid[:, 1] < rows[:, 1].max())
    torch.testing.assert_close(found[inside], expected[inside], rtol=0, atol=0.01)


def test_the_output_bias_starts_at_means_and_frequencies_of_what_is_observed() -> None:
    rows = mixed_rows(3000, holes=0.4)
    codec = fitted(rows)
    likelihood = TableLikelihood(codec)
    x = codec.encode(rows)
    values, probabilities, _ = codec.layout.split(
        likelihood(likelihood.outputs_for(x.mean(0))).mean
    )
    known = ~rows[:, codec.layout.measured].isnan()
    expected = x[:, :4].sum(0) / known.sum(0)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    sizes = torch.bincount(rows[:, 2].nan_to_num(3).long())[:3]
    torch.testing.assert_close(probabilities[:3], sizes / sizes.sum(), rtol=1e-4, atol=1e-5)


def test_a_thousand_categories_and_ten_thousand_columns_are_learned_too() -> None:
    names = tuple(map(str, range(1000)))
    many = (Column(name="zip", kind="category", categories=names),)
    wide = tuple(
        Column(name=str(n), kind="category", categories=("no", "yes")) for n in range(10_000)
    )
    for columns in (many, wide):
        likelihood = TableLikelihood(unfitted_codec(RowLayout(columns), "quantile"))
        outputs = outputs_for(likelihood, 4).requires_grad_()
        rows = torch.zeros(4, len(columns)).double()
        x = unfitted_codec(RowLayout(columns), "quantile").encode(rows)
        log_prob = likelihood(outputs).log_prob(x)
        (logits,) = outputs[:1].detach().unflatten(1, (len(columns), -1))
        expected = logits.log_softmax(-1)[:, 0].sum()
        torch.testing.assert_close(log_prob[0], expected, rtol=1e-4, atol=1e-3)
        assert torch.autograd.grad(log_prob.sum(), outputs)[0].isfinite().all()


def table_plan(rows: Tensor, **tables: Any) -> tuple[Any, Spec, InMemory]:
    spec = Spec("t", (7,), columns=COLUMNS, table=TableRules(missing="model"))
    return choose(merge(("", tables)), spec), spec, InMemory.whole(rows)


def test_every_prior_and_the_network_with_two_levels_learn_from_mixed_rows() -> None:
    rows = mixed_rows(64, holes=0.1)
    for prior in ({"name": "vamp", "components": 5}, {"name": "mog", "components": 3}):
        for network in ("mlp", "two-level"):
            model = {"network": network, "hidden": [8], "latent_dim": 2}
            plan, spec, train = table_plan(rows, model=model, prior=prior)
            plan.check(spec)
            codec = plan.likelihood.build_codec(spec, train)
            encoded = codec.encode_split(train).encoded()
            state = plan.build_state(spec, CPU, codec, encoded)
            batch = Batch(encoded.network_input(encoded.rows))
            marked = batch.x.clone()
            marked[:, -codec.layout.parts[2] :] = 1
            first, same = (state.model.posterior(Batch(x)).mode() for x in (batch.x, marked))
            assert first.equal(same), "indicators have no weight before they have learned"
            loss, _ = loss_and_gradients(state, 64, batch, AFTER_WARMUP)
            assert loss.losses["model"].isfinite()


def test_indicators_have_no_weight_at_first_and_a_condition_beside_them_has() -> None:
    """Also in a classifier, which is told no condition."""
    kind = Column(name="kind", kind="category", categories=("a", "b"))
    model = {"network": "mlp", "hidden": [8], "latent_dim": 2}
    plan, spec, train = table_plan(mixed_rows(64, holes=0.1), model=model, objective={"name": "m2"})
    spec = replace(spec, condition=(kind,))
    codec = plan.likelihood.build_codec(spec, train)
    condition = plan.build_condition(spec, InMemory.whole(torch.zeros(64, 1).double()))
    encoded = codec.encode_split(train).encoded()
    built = plan.build_state(spec, CPU, codec, encoded, condition).model
    values, categories, count = codec.layout.parts
    for network, width in ((built.encoder, condition.width), (built.classifier, 0)):
        weights = network.layers[0].weight.split([values + categories, count, width], 1)
        assert [bool((one == 0).any()) for one in weights] == [False, True, False]
        assert (weights[1] == 0).all()

"""What a model is conditioned on: its encoding, and that networks and losses depend on it."""

import torch

from vae_cli.data.batch import Batch
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge

LABEL = Column(name="label", kind="category", categories=("Bag", "Coat", "Shirt"))
SPEC = Spec("digits", (1, 16, 16), classes=LABEL.categories, condition=(LABEL,))


def test_encoder_and_decoder_see_the_condition_and_none_is_one_of_its_own() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 1, 16, 16)
    for network in ("mlp", "conv"):
        model = choose(merge(("", {"model": {"network": network}})), SPEC).build_model(SPEC)
        assert model.condition is not None
        one, other = (
            model.condition.encode(torch.full((4, 1), value).double()) for value in (0.0, 1.0)
        )
        unknown = model.condition(None, 4)
        modes = [model.posterior(Batch(x, y)).mode() for y in (one, other, unknown, None)]
        decoded = [model.decode(modes[0], y).mean for y in (one, other, unknown, None)]
        for first, second, third, none in (modes, decoded):
            assert torch.equal(third, none)  # no condition is one that is not known
            assert not any(torch.equal(*pair) for pair in ((first, second), (first, none)))


def test_conditions_are_hidden_at_their_rate_and_as_a_whole() -> None:
    model = choose(merge(("", {"model": {"condition_dropout": 0.25}})), SPEC).build_model(SPEC)
    assert model.condition is not None
    y = model.condition.encode((torch.arange(20_000) % 3).double()[:, None])
    dropped = model.condition.drop(y, Noise(0))
    hidden = (dropped == model.condition.none).all(1)
    assert torch.equal(dropped[~hidden], y[~hidden])
    assert abs(hidden.double().mean() - 0.25) < 0.01  # a standard error is 0.003


def test_a_conditional_prior_starts_as_the_standard_normal_one_and_learns_one_for_each() -> None:
    plan = choose(merge(("", {"prior": {"name": "conditional"}})), SPEC)
    model = plan.build_model(SPEC)
    assert model.condition is not None
    y = model.condition.encode(torch.tensor([[0.0], [2.0]]).double())
    prior = model.prior(y)
    z = torch.randn(5, 2, 20)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(prior.log_prob(z), expected)

"""A section is a frozen dataclass with keywords only, whose methods all sections share."""

import dataclasses
from typing import Any, cast

import pytest

from vae_cli.settings.networks import MLP, Conv
from vae_cli.settings.priors import Mixture, Vamp


def test_a_section_compares_and_hashes_by_its_class_and_its_values() -> None:
    assert MLP(hidden=(3, 4)) == MLP(hidden=(3, 4)) != MLP(hidden=(3, 5))
    assert hash(MLP(hidden=(3, 4))) == hash(MLP(hidden=(3, 4)))
    assert Vamp(components=9) != Mixture(components=9)
    assert dataclasses.replace(MLP(hidden=(3,), gated=True), hidden=(4,)) == MLP(
        hidden=(4,), gated=True
    )
    assert repr(Vamp(components=9)) == "Vamp(name='vamp', components=9)"
    assert dataclasses.asdict(Vamp()) == {"name": "vamp", "components": 500}


def test_a_section_cannot_be_changed_and_has_no_other_fields() -> None:
    network = cast("Any", MLP())
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"MLP\.gated cannot be changed"):
        network.gated = True
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"MLP\.gated cannot be changed"):
        del network.gated
    for values in ({"preset": "small"}, {"network": "conv"}):
        with pytest.raises(TypeError, match=f"MLP has no {next(iter(values))}"):
            cast("Any", MLP)(**values)
    assert Conv().network == "conv"

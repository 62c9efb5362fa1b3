"""Which items are held out: each item decides for itself, by a hash of its key."""

from dataclasses import replace

import pytest
import torch

from vae_cli.data.dataset import Split
from vae_cli.data.held_out import divide, divide_for_validation, hash_keys, hash_to_unit_interval
from vae_cli.errors import UsageError

HASHES = hash_keys(str(number).encode() for number in range(20_000))


def test_about_the_test_fraction_is_held_out_and_each_item_is_in_one_part() -> None:
    train, test = divide(HASHES, 0.1, "it")
    assert len(test) / len(HASHES) == pytest.approx(0.1, abs=0.01)
    assert torch.cat([train, test]).sort().values.equal(torch.arange(len(HASHES)))


def test_the_first_items_of_a_part_are_a_random_sample_of_it() -> None:
    train, _ = divide(HASHES, 0.1, "it")
    assert train[:1000].double().mean().item() == pytest.approx(len(HASHES) / 2, rel=0.1)


def test_the_hash_of_a_key_is_the_same_on_every_machine() -> None:
    assert hash_to_unit_interval(b"a picture") == 0.8766971422625822


def test_a_test_fraction_of_zero_keeps_all_items_in_their_order() -> None:
    train, test = divide(HASHES[:50], 0, "it")
    assert train.tolist() == list(range(50))
    assert test.tolist() == []


@pytest.mark.parametrize(
    ("keys", "fraction", "reason"),
    [
        ([b"1", b"2"], 0.001, "it has 2 items, of which --test-fraction 0.001 holds out none"),
        ([b"1", b"2"], 0.999, "it has 2 items, of which --test-fraction 0.999 holds out all"),
        ([b"1"], 0.001, "it has 1 item, of which"),
        ([], 0.5, "it has 0 items, of which"),
        ([b"1"] * 9, 0.1, "holds out none: all of them are equal"),
    ],
)
def test_a_part_without_items_is_refused(keys: list[bytes], fraction: float, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        divide(hash_keys(keys), fraction, "it")


def test_copies_are_on_the_same_side_of_a_validation_set_and_others_stay_where_they_were() -> None:
    different = replace(Split.whole(torch.arange(400.0)[:, None]), hashes=HASHES[:400])
    parts = divide_for_validation(different, 0.3, copies_together=True)
    before = divide_for_validation(different, 0.3, copies_together=False)
    assert all(now.rows.equal(then.rows) for now, then in zip(parts, before, strict=True))
    pairs = replace(different, hashes=HASHES[:200].repeat(2))
    rest, kept = divide_for_validation(pairs, 0.3, copies_together=True)
    assert rest.hashes is not None
    assert kept.hashes is not None
    assert not set(rest.hashes.tolist()) & set(kept.hashes.tolist())
    assert len(kept) / 400 == pytest.approx(0.3, abs=0.08)
    assert torch.cat([rest.rows, kept.rows]).sort().values.equal(torch.arange(400))

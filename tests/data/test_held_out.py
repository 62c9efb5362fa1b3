"""Which items are held out: each item decides for itself, by a hash of its key."""

from dataclasses import replace

import pytest
import torch

from vae_cli.data.held_out import divide, divide_for_validation, hash_keys, hash_to_unit_interval
from vae_cli.data.split import InMemory
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


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.9])
@pytest.mark.parametrize("copies", [1, 150])
def test_both_parts_have_items_whenever_two_are_different(copies: int, fraction: float) -> None:
    for count in range(2, 13):
        hashes = HASHES[:count].repeat(copies)
        train, test = divide(hashes, fraction, "it")
        assert len(train) + len(test) == len(hashes)
        assert len(train) >= copies <= len(test)
        assert hashes[test].max() < hashes[train].min()


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], "it has no items: add others"),
        ([b"1"], "it has 1 item: add others, because one is to train on and one to test on"),
        ([b"1"] * 9, "it has 9 items, which are all equal: there is nothing to divide"),
    ],
)
def test_items_of_which_no_two_are_different_are_refused(keys: list[bytes], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        divide(hash_keys(keys), 0.1, "it")


def test_copies_are_on_the_same_side_of_a_validation_set_and_others_stay_where_they_were() -> None:
    different = replace(InMemory.whole(torch.arange(400.0)[:, None]), hashes=HASHES[:400])
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

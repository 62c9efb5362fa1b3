"""Specs, splits, and data sets that are divided once."""

import pytest
import torch

from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import Dataset, Parts, Spec, TableRules
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import move_splits
from vae_cli.errors import UsageError

IMAGES = Spec("pets", (3, 20, 24))
ROWS = Spec("wine", (13,), columns=tuple("abcdefghijklm"))


@pytest.mark.parametrize("spec", [IMAGES, ROWS])
def test_items_of_the_same_shape_are_accepted(spec: Spec) -> None:
    spec.require_shape(spec.shape, "x.npy")
    spec.require_shape(list(spec.shape), "x.npy")
    spec.require_shape(torch.empty(spec.shape).shape, "x.npy")


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        (IMAGES, (3, 24, 20), "x.npy holds items of 3x24x20, but pets is of 3x20x24"),
        (IMAGES, (1, 20, 24), "x.npy holds items of 1x20x24, but pets is of 3x20x24"),
        (IMAGES, (20, 24), "x.npy holds items of 20x24, but pets is of 3x20x24"),
        (IMAGES, (13,), "x.npy holds items of 13, but pets is of 3x20x24"),
        (ROWS, (12,), "x.npy holds items of 12, but wine is of 13"),
        (ROWS, (3, 20, 24), "x.npy holds items of 3x20x24, but wine is of 13"),
    ],
)
def test_items_of_another_shape_are_refused_with_both_shapes(
    spec: Spec, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        spec.require_shape(shape, "x.npy")
    assert str(refusal.value) == message


def test_images_have_more_than_one_axis() -> None:
    assert IMAGES.is_image
    assert not ROWS.is_image


def test_the_head_of_a_split_is_its_first_items_with_their_labels() -> None:
    split = InMemory(torch.zeros(9, 1), torch.tensor([7, 2, 5]), torch.tensor([0, 1, 0]))
    head = split.head(2)
    assert len(head) == 2
    assert head.rows.tolist() == [7, 2]
    assert head.labels.tolist() == [0, 1]
    for count in (None, 4):
        assert split.head(count).rows.equal(split.rows)
        assert split.head(count).labels.equal(split.labels)


def test_the_head_of_a_split_without_labels_has_none() -> None:
    head = InMemory.whole(torch.zeros(9, 1)).head(2)
    assert head.rows.tolist() == [0, 1]
    assert head.labels.shape == (0,)


@pytest.mark.parametrize("shared", [True, False])
def test_items_that_both_parts_share_are_moved_to_the_device_once(shared: bool) -> None:
    items = torch.zeros(4, 2)
    train = InMemory(items, torch.tensor([0, 1]), torch.tensor([0, 0]))
    test = InMemory(items if shared else items.clone(), torch.tensor([2, 3]), torch.tensor([1, 1]))
    a, b = move_splits(train, test, torch.device("meta"))
    assert a.items.is_meta
    assert b.items.is_meta
    assert b.rows.is_meta
    assert (a.items is b.items) is shared
    assert b.labels is test.labels


def test_a_data_set_is_read_once() -> None:
    calls: list[str] = []

    class Numbers(Dataset):
        spec = Spec("numbers", (1,))

        def read(self) -> Parts:
            calls.append("read")
            items = torch.arange(3.0)[:, None]
            return Parts(InMemory.whole(items[:2]), InMemory.whole(items[2:]))

    dataset = Numbers()
    assert not calls
    assert len(dataset.train()) == 2
    assert len(dataset.test()) == 1
    assert dataset.train() is dataset.train()
    assert calls == ["read"]
    assert dataset.names(dataset.train()) == ["0", "1"]


def test_ids_stand_beside_the_numbers_and_the_classes_of_rows_under_their_own_title() -> None:
    class Customers(Dataset):
        """Two rows, whose ids count down."""

        def __init__(self, title: str) -> None:
            columns, table = number_columns("age"), TableRules(id=title)
            classes = ("no", "yes")
            self.spec = Spec("shop", (1,), classes=classes, columns=columns, table=table)

        def read(self) -> Parts:
            whole = InMemory.whole(torch.zeros(3, 1), torch.tensor([0, 1, 1]))
            return Parts(whole.take(torch.tensor([0])), whole.take(torch.tensor([1, 2])))

        def ids(self, split: InMemory) -> list[str]:
            return [f"C{9 - row}" for row in split.rows.tolist()]

    for title, shown in (("customer", "customer"), ("name", "vae name"), ("part", "vae part")):
        shop = Customers(title)
        test = shop.describe(shop.test())
        texts = {"name": ["2", "1"], shown: ["C7", "C8"], "label": ["yes", "yes"]}
        assert list(test.texts([1, 0]).items()) == list(texts.items())
        assert test.titles([1]) == ["1 C7 yes"]

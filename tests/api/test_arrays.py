"""The conversions between the arrays of the caller and tensors."""

import numpy as np
import pytest
import torch

from vae_cli.api.arrays import to_array, to_tensor
from vae_cli.errors import UsageError


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_an_array_of_numbers_becomes_a_tensor_that_shares_its_memory(dtype: type) -> None:
    array = np.ones((2, 3), dtype)
    tensor = to_tensor(array)
    assert tensor.shape == (2, 3)
    array[0, 0] = 0
    assert tensor[0, 0] == 0


def test_an_array_that_is_read_only_gives_no_warning() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    assert to_tensor(array).tolist() == [1, 1, 1]


def test_a_tensor_is_returned_as_it_is() -> None:
    tensor = torch.ones(2)
    assert to_tensor(tensor) is tensor


def test_nested_lists_of_numbers_are_accepted() -> None:
    assert to_tensor([[0.5, 1], [2, 3]]).tolist() == [[0.5, 1], [2, 3]]


@pytest.mark.parametrize("wrong", ["a.png", ["a", "b"], None, {"a": 1}, [1j], np.array([object()])])
def test_values_that_are_not_real_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=f"arrays of numbers, not {type(wrong).__name__}$"):
        to_tensor(wrong)  # type: ignore[arg-type]


def test_parts_are_joined_along_the_first_axis() -> None:
    joined = to_array(torch.zeros(2, 3), torch.ones(1, 3))
    assert joined.dtype == np.float32
    assert joined.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]

"""Values whose tensors several processes hold once."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_cli.data import shared_memory
from vae_cli.data.batches import wrap_array
from vae_cli.data.memory import MappedFile, map_array, read_array
from vae_cli.data.shared_memory import find_mapped_file, open_memory, read_memory, write_memory
from vae_cli.data.split import InMemory
from vae_cli.errors import ChangedDataError
from vae_cli.model.codec import ImageCodec

pytestmark = pytest.mark.skipif(
    not shared_memory.HAS_MEMORY_FILES, reason="only Linux has files in memory"
)
TYPES = (
    *(torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float16),
    *(torch.float32, torch.float64, torch.complex64),
)


def share(value: object) -> object:
    handle = write_memory(value)
    try:
        return read_memory(handle)[0]
    finally:
        os.close(handle)  # what is mapped stays


def test_tensors_of_all_types_and_shapes_are_equal_and_what_is_the_same_stays_the_same() -> None:
    some = torch.arange(24).reshape(2, 3, 4)
    tensors = [one.to(kind) for kind in TYPES for one in (some, some.mT, some[:0], some[1, 1, 1])]
    tensors += [some[:1].expand(5, 3, 4), torch.tensor([torch.nan, torch.inf])]
    value = {"tensors": tensors, "same": some, "array": np.arange(5.0), "text": ("ä", None)}
    found = share(value | {"again": some})
    assert isinstance(found, dict)
    for one, other in zip(tensors, found["tensors"], strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert torch.equal(one.nan_to_num(5), other.nan_to_num(5))
    assert found["same"] is found["again"]
    assert found["array"].tolist() == value["array"].tolist()
    assert found["text"] == value["text"]


def test_a_part_with_the_encoding_of_its_codec_is_shared_as_a_whole() -> None:
    split = InMemory.whole(torch.randint(256, (9, 1, 4, 4), dtype=torch.uint8))
    encoded = ImageCodec(is_stochastic=True).encode_split(split)
    found = share(encoded)
    assert isinstance(found, InMemory)
    assert found.network_input(found.rows).equal(encoded.network_input(encoded.rows))


def test_a_process_that_writes_changes_its_own_copy_alone() -> None:
    handle = write_memory(torch.zeros(1000))
    first, second = read_memory(handle)[0], read_memory(handle)[0]
    os.close(handle)
    first.fill_(7)
    assert second.eq(0).all()
    del first
    gc.collect()
    assert second.eq(0).all(), "the memory lives as long as anybody maps it"


def test_what_is_mapped_from_a_file_is_mapped_again_and_a_changed_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x with spaces.npy"
    np.save(path, np.arange(2**20).reshape(-1, 2, 4, 8).astype(np.float32))
    whole = wrap_array(map_array(path)).permute(0, 3, 1, 2)[3:]  # channels come first
    handle = write_memory(whole)
    assert os.fstat(handle).st_size < 2**16, "the contents stay on the disk"
    found = read_memory(handle)[0]
    assert found.equal(whole)
    part = find_mapped_file(found)
    assert part is not None
    assert part.path == str(path)

    monkeypatch.setattr("vae_cli.data.memory.IN_MEMORY", 0)
    watched = read_array(path)[1]
    assert watched is not None
    known = write_memory(watched)
    again = read_memory(known)[0]
    assert isinstance(again, MappedFile)
    again.require_unchanged()
    (tmp_path / "other.npy").write_bytes(path.read_bytes() + b"0")
    (tmp_path / "other.npy").replace(path)
    for one in (handle, known):
        with pytest.raises(ChangedDataError):
            read_memory(one)
        os.close(one)


def test_only_the_memory_that_was_meant_and_only_that_of_the_same_user_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = write_memory("value")
    inode = os.fstat(handle).st_ino
    opened = open_memory(os.getpid(), handle, inode)
    assert opened is not None
    assert read_memory(opened)[0] == "value"
    os.close(opened)
    assert open_memory(os.getpid(), handle, inode + 1) is None
    assert open_memory(os.getpid(), 10**6, inode) is None
    assert open_memory(2**22 + 1, handle, inode) is None, "there is no such process"
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PermissionError, match="belongs to user"):
        open_memory(os.getpid(), handle, inode)
    os.close(handle)

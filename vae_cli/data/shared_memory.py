"""Values whose tensors several processes on one machine hold once, in memory of the kernel.

One process puts a value into a file that is only in memory (`memfd_create`), and others map it. It
has no name, needs no disk and no room in `/dev/shm`, and is gone when the last process that maps it
has ended, however. Only Linux has such files.

The value is pickled, but the contents of its arrays and tensors lie beside the pickle (PEP 574), so
that reading it copies none of them. They are mapped copy-on-write: a process that writes to a
tensor changes its own copy of a page. A tensor that is memory-mapped from a file on the disk stays
there: the others map the same file.

A pickle may run code when it is read. So memory is only read if it belongs to the same user, who
may run any code anyway. Nothing else in this package is ever unpickled.
"""

import io
import mmap
import os
import pickle
import warnings
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.errors import ChangedDataError

HAS_MEMORY_FILES = hasattr(os, "memfd_create")
ALIGNMENT = 64  # bytes, of the contents of each tensor
SMALLEST_MAPPED = 2**20  # bytes of a tensor that is looked for among the files that are mapped
MAPPINGS = Path("/proc/self/maps")


def write_memory(value: object) -> int:
    """A file in memory that holds a value.

    Returns:
        Its descriptor; the memory is freed when it is closed and nobody has mapped it.

    Raises:
        OSError: the system gives no such file, or memory is full.
        PicklingError, TypeError, AttributeError: the value cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    content = io.BytesIO()
    _Pickler(content, 5, buffer_callback=buffers.append).dump(value)
    parts = [content.getbuffer(), *(buffer.raw() for buffer in buffers)]
    sizes = np.array([len(parts), *map(len, parts)], np.int64)
    handle = os.memfd_create("vae")
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            for part in (sizes.data.cast("B"), *parts):
                file.write(part)
                file.write(bytes(-len(part) % ALIGNMENT))
    except OSError:
        os.close(handle)
        raise
    return handle


def open_memory(process: int, handle: int, inode: int) -> int | None:
    """The file in memory of another process, for reading; None if that process has ended.

    Args:
        process: its number.
        handle: the descriptor that it has of the file.
        inode: of the file, because another process may get the number.

    Raises:
        PermissionError: it belongs to another user, or the system does not allow it.
    """
    try:
        opened = os.open(f"/proc/{process}/fd/{handle}", os.O_RDONLY)
    except (FileNotFoundError, ProcessLookupError):
        return None
    facts = os.fstat(opened)
    if facts.st_ino == inode and facts.st_uid == os.geteuid():
        return opened
    os.close(opened)
    if facts.st_ino == inode:
        raise PermissionError(f"the memory of process {process} belongs to user {facts.st_uid}")
    return None


def read_memory(handle: int) -> tuple[Any, mmap.mmap]:
    """The value in a file in memory, and the mapping that its tensors keep.

    Raises:
        ChangedDataError: a file on the disk that it refers to has been changed.
    """
    mapping = mmap.mmap(handle, os.fstat(handle).st_size, access=mmap.ACCESS_COPY)
    whole = memoryview(mapping)
    count = int(np.frombuffer(whole, np.int64, 1)[0])
    parts, start = [], _aligned(8 * (1 + count))
    for size in np.frombuffer(whole, np.int64, count, offset=8).tolist():
        parts.append(whole[start : start + size])
        start += _aligned(size)
    return pickle.loads(parts[0], buffers=parts[1:]), mapping


def _aligned(size: int) -> int:
    """The size with what follows, so that the next part is aligned."""
    return size + -size % ALIGNMENT


@final
class _Pickler(pickle.Pickler):
    """Puts the contents of tensors beside the pickle, or names the files that they are in."""

    def reducer_override(self, item: Any) -> Any:
        """How a tensor on the processor is made again; other values as usual."""
        if type(item) is not Tensor or item.device.type != "cpu" or item.layout != torch.strided:
            return NotImplemented
        if item.requires_grad:
            return NotImplemented
        if found := find_mapped_file(item):
            return _map_tensor, (found, item.dtype, item.shape, item.stride())
        content: Any = item.contiguous().reshape(-1).view(torch.uint8).numpy()
        return _wrap_tensor, (pickle.PickleBuffer(content), item.dtype, item.shape)


def _wrap_tensor(content: memoryview, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    """A tensor over the memory of its contents."""
    if shape.numel() == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).view(shape)


@final
class MappedPart(NamedTuple):
    """Where in a file on the disk some memory is mapped from.

    Attributes:
        path: of the file.
        inode: its number, because another file may get its name.
        start: in bytes.
    """

    path: str
    inode: int
    start: int


def find_mapped_file(tensor: Tensor) -> MappedPart | None:
    """The file that a tensor is memory-mapped from; None if it is in memory of its own."""
    if tensor.nbytes < SMALLEST_MAPPED:
        return None
    address = tensor.data_ptr()
    for line in MAPPINGS.read_text(errors="surrogateescape").splitlines():
        span, _, offset, _, inode, *path = line.split(maxsplit=5)
        first, last = (int(number, 16) for number in span.split("-"))
        if first <= address < last:
            is_file = bool(path) and path[0].startswith("/") and not path[0].endswith(" (deleted)")
            start = int(offset, 16) + address - first
            return MappedPart(path[0], int(inode), start) if is_file else None
    return None


def _map_tensor(
    part: MappedPart, dtype: torch.dtype, shape: torch.Size, stride: tuple[int, ...]
) -> Tensor:
    """A tensor that is memory-mapped from a file on the disk.

    Raises:
        ChangedDataError: it is another file now.
    """
    ends = ((size - 1) * step for size, step in zip(shape, stride, strict=True))
    count = 1 + sum(ends)
    before = part.start % mmap.ALLOCATIONGRANULARITY
    with open(part.path, "rb") as file:  # noqa: PTH123
        if os.fstat(file.fileno()).st_ino != part.inode:
            raise ChangedDataError(f"{part.path} was changed while it was read: start again")
        size = before + count * dtype.itemsize
        start = part.start - before
        mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ, offset=start)
    with warnings.catch_warnings(action="ignore"):  # that it is read-only; nobody writes to it
        flat = torch.frombuffer(mapping, dtype=dtype, count=count, offset=before)
    return flat.as_strided(shape, stride)

"""Shards of a few pictures, written as others write them, and what is in them."""

import io
import json
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pyarrow import parquet
from torch import Tensor

from vae_cli.data.dataset import PictureRules, ignore_progress
from vae_cli.data.shard_source import OpenedShards, open_shards
from vae_cli.data.shards import Shards

Members = Mapping[str, bytes]


def write_tar(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_parquet(path: Path, pictures: Members, group: int = 3, **columns: Any) -> Path:
    rows = [{"bytes": content, "path": name} for name, content in pictures.items()]
    table = pa.table({"image": rows, **columns})
    names = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": names}}})}
    parquet.write_table(table.replace_schema_metadata(metadata), path, row_group_size=group)
    return path


def picture(suffix: str, mode: str, size: tuple[int, int] = (40, 30), seed: int = 0) -> bytes:
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "I;16": 1}[mode]
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    generator = np.random.default_rng(seed)
    white, kind = (65535, np.uint16) if mode == "I;16" else (255, np.uint8)
    image = Image.fromarray(generator.integers(0, white, shape).astype(kind))
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    file = io.BytesIO()
    image.save(file, suffix, exif=exif)
    return file.getvalue()


def opened(name: object, **rules: Any) -> OpenedShards:
    return open_shards(str(name), rules=PictureRules(**rules), progress=ignore_progress)


def read_all(shards: Shards) -> Tensor:
    items = []
    for shard, (start, end) in enumerate(shards.starts.unfold(0, 2, 1).tolist()):
        shards.prepare(shard)
        shards.prepare(shard)  # nothing happens
        order = torch.randperm(end - start)
        try:
            with ThreadPoolExecutor(3) as pool:
                some = list(pool.map(partial(shards.read, shard), order.split(3)))
            items.append(torch.cat(some)[order.argsort()])
        finally:
            shards.release(shard)
            shards.release(shard)
    return torch.cat(items)

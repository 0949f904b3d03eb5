"""Large weights of a ``.pt2`` file as pages of that file, so that processes that serve it share them.

`torch.export.load` reads each weight into memory of the process's own. The archive is a zip whose members are
stored as they are, aligned, beside a ``…weights_config.json`` that names the member of each weight.
"""

from __future__ import annotations

import json
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

LEAST_BYTES = 1 << 20
"""Smaller weights aren't worth a look."""
_HEADER = struct.Struct("<26x2H")
"""Of a member: lengths of its name and of the extra field, after which its data begins (APPNOTE, 4.3.7)."""


def share(module: torch.nn.Module, path: Path) -> int:
    """Let the large weights of `module` be pages of `path`, where it holds the very same bytes.

    Returns:
        how many bytes of weights are shared now.
    """
    large = {name: one for name, one in module.state_dict(keep_vars=True).items() if _is_large(one)}
    if not large or not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        members = _members(archive)
        # Copy on write: a model may change its own weights, and then has these pages for itself.
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    shared = 0
    for name, tensor in large.items():
        member = members.get(name)
        if member is None or member.compress_type != zipfile.ZIP_STORED or member.file_size != tensor.nbytes:
            continue
        lengths = _HEADER.unpack_from(pages, member.header_offset)
        begin = member.header_offset + 30 + sum(lengths)
        if begin % tensor.element_size():
            continue
        mapped = torch.frombuffer(pages, dtype=torch.uint8, count=tensor.nbytes, offset=begin)
        if torch.equal(mapped, tensor.detach().reshape(-1).view(torch.uint8)):
            tensor.data = mapped.view(tensor.dtype).reshape(tensor.shape)
            shared += tensor.nbytes
    return shared


def _is_large(one: Any) -> bool:
    if not isinstance(one, torch.Tensor) or one.layout is not torch.strided or not one.is_cpu:
        return False
    return one.nbytes >= LEAST_BYTES and one.is_contiguous()


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The member that holds each weight, as far as the archive says so."""
    found = {}
    for member in archive.infolist():
        folder, _, file = member.filename.rpartition("/")
        if not (folder.endswith("data/weights") and file.endswith("weights_config.json")):
            continue
        known = json.loads(archive.read(member)).get("config")
        for name, row in known.items() if isinstance(known, dict) else ():
            if isinstance(row, dict) and not row.get("use_pickle"):
                found[name] = archive.NameToInfo.get(f"{folder}/{row.get('path_name')}")
    return {name: member for name, member in found.items() if member is not None}

"""Machine types: what they have, and what they cost by list price where that is known.

Memory and processors follow from family and size (Amazon EC2 instance types); a few sizes that don't
follow stand by themselves. Which types exist for endpoints is botocore's to say (`known_types`).
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from clouddeploy.spec import Architecture

DEFAULT = "ml.m5.large"
PRICES_SOURCE = "list price in us-east-1, 2025"

GIB_PER_VCPU = {
    **dict.fromkeys(["c5", "c5d", "c6i", "c6in", "c6g", "c6gd", "c6gn", "c7i", "c7g", "c8g"], 2.0),
    **dict.fromkeys(
        ["m4", "m5", "m5d", "m6i", "m6g", "m6gd", "m7i", "m8g", "g4dn", "g5", "g6", "inf2", "trn1"], 4.0
    ),
    **dict.fromkeys(["r5", "r5d", "r6i", "r6g", "r6gd", "r7i", "r7gd", "r8g", "g6e"], 8.0),
}
"""Memory for each virtual processor, where it is the same for every size of the family."""

ODD_SIZES = {
    "ml.t2.medium": (2, 4.0),
    "ml.t2.large": (2, 8.0),
    "ml.t2.xlarge": (4, 16.0),
    "ml.t2.2xlarge": (8, 32.0),
    "ml.c4.large": (2, 3.75),
    "ml.c4.xlarge": (4, 7.5),
    "ml.c4.2xlarge": (8, 15.0),
    "ml.c4.4xlarge": (16, 30.0),
    "ml.c4.8xlarge": (36, 60.0),
    "ml.p2.xlarge": (4, 61.0),
    "ml.p2.8xlarge": (32, 488.0),
    "ml.p2.16xlarge": (64, 732.0),
    "ml.p3.2xlarge": (8, 61.0),
    "ml.p3.8xlarge": (32, 244.0),
    "ml.p3.16xlarge": (64, 488.0),
    "ml.p4d.24xlarge": (96, 1152.0),
    "ml.p4de.24xlarge": (96, 1152.0),
    "ml.p5.48xlarge": (192, 2048.0),
    "ml.inf1.xlarge": (4, 8.0),
    "ml.inf1.2xlarge": (8, 16.0),
    "ml.inf1.6xlarge": (24, 48.0),
    "ml.inf1.24xlarge": (96, 192.0),
}
"""Virtual processors and GiB of memory of sizes that follow no rule."""

GPUS = {
    "g4dn": {"12xlarge": 4},
    "g5": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "g6": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "g6e": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "p2": {"8xlarge": 8, "16xlarge": 16},
    "p3": {"8xlarge": 4, "16xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
}
"""NVIDIA GPUs by family and size; sizes not named have one."""

GPU_FAMILY = re.compile(r"(g|p)\d")
ARM_FAMILY = re.compile(r"[cmr]\d+g")
NO_TORCH_IMAGE = re.compile(r"inf|trn|dl|p6e-gb")
"""Families with accelerators that the PyTorch images don't drive."""

USD_PER_HOUR = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.m5.12xlarge": 2.765,
    "ml.m5.24xlarge": 5.53,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.c5.9xlarge": 1.836,
    "ml.c5.18xlarge": 3.672,
    "ml.g5.xlarge": 1.408,
}
"""List prices for real-time inference, as widely published in 2025 and not read from AWS's price list:
to be checked against the Amazon SageMaker pricing page. For every other type the price is unknown here."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One machine type.

    Args:
        name: such as ``ml.m5.large``.
        vcpus: virtual processors; None when unknown.
        memory_mb: MiB of memory; None when unknown.
        gpus: NVIDIA GPUs.
        architecture: of its processors.
        usd_per_hour: list price in us-east-1; None when unknown.
    """

    name: str
    vcpus: int | None
    memory_mb: int | None
    gpus: int
    architecture: Architecture
    usd_per_hour: float | None

    @property
    def processor(self) -> Literal["cpu", "gpu"]:
        """Which kind of image it takes."""
        return "gpu" if self.gpus else "cpu"


def instance(name: str) -> Instance:
    """What is known of the type `name`."""
    _, family, size = name.split(".")
    vcpus, memory_gib = ODD_SIZES.get(name) or _by_rule(family, size)
    gpus = GPUS.get(family, {}).get(size, 1) if GPU_FAMILY.match(family) else 0
    return Instance(
        name,
        vcpus,
        None if memory_gib is None else int(memory_gib * 1024),
        gpus,
        "arm64" if ARM_FAMILY.match(family) or "-gb" in family else "x86_64",
        USD_PER_HOUR.get(name),
    )


def _by_rule(family: str, size: str) -> tuple[int | None, float | None]:
    share = GIB_PER_VCPU.get(family)
    vcpus = {"medium": 1, "large": 2, "xlarge": 4}.get(size)
    if vcpus is None and (many := re.fullmatch(r"(\d+)xlarge", size)):
        vcpus = 4 * int(many[1])
    if share is None or vcpus is None:
        return None, None
    return vcpus, share * vcpus


@lru_cache(maxsize=1)
def known_types() -> frozenset[str]:
    """The types that CreateEndpointConfig takes, from botocore's description of the API.

    Read from the file itself, as loading it through botocore takes long; empty when it isn't found.
    """
    import botocore

    folder = Path(botocore.__file__).parent / "data" / "sagemaker"
    for version in sorted(folder.glob("*"), reverse=True):
        for name, opened in (("service-2.json.gz", gzip.open), ("service-2.json", open)):
            path = version / name
            if path.exists():
                with opened(path, "rb") as file:
                    text = file.read()
                found = re.search(
                    rb'"ProductionVariantInstanceType":\{"type":"string","enum":(\[[^\]]*\])', _packed(text)
                )
                return frozenset(json.loads(found[1])) if found else frozenset()
    return frozenset()


def _packed(text: bytes) -> bytes:
    """The part of a service description around the enum, without white space."""
    at = text.find(b'"ProductionVariantInstanceType":{')
    return re.sub(rb"\s", b"", text[at : at + 40_000]) if at >= 0 else b""

"""AWS's own PyTorch inference images (Deep Learning Containers), as of November 2026.

A dated table of ours, so that nothing heavy is loaded to find an image; a test compares it with the one
that ships in ``sagemaker-core``. Newer images can be given by the provider's option ``image``.
"""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.errors import SpecError
from clouddeploy.spec import Architecture, suggest

AS_OF = "2026-11"
COMMON = "763104351884"
ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-1": COMMON,
    "ap-northeast-2": COMMON,
    "ap-northeast-3": "364406365360",
    "ap-south-1": COMMON,
    "ap-south-2": "772153158452",
    "ap-southeast-1": COMMON,
    "ap-southeast-2": COMMON,
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-central-1": COMMON,
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-1": COMMON,
    "eu-central-2": "380420809688",
    "eu-north-1": COMMON,
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eu-west-1": COMMON,
    "eu-west-2": COMMON,
    "eu-west-3": COMMON,
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "sa-east-1": COMMON,
    "us-east-1": COMMON,
    "us-east-2": COMMON,
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
    "us-west-1": COMMON,
    "us-west-2": COMMON,
}
"""The account that owns the images in each region."""


@dataclass(frozen=True, slots=True)
class Image:
    """One version of the images.

    Args:
        torch: the PyTorch that is in it.
        python: such as ``py312``.
        arm_repository: name of the arm64 repository.
        arm_suffix: what an arm64 tag ends with.
    """

    torch: str
    python: str
    arm_repository: str
    arm_suffix: str


NEWEST = Image("2.6.0", "py312", "pytorch-inference-arm64", "-ubuntu22.04-sagemaker")
IMAGES = (NEWEST, Image("2.4.0", "py311", "pytorch-inference-graviton", "-ubuntu22.04-sagemaker"))


def image_uri(region: str, *, processor: str, architecture: Architecture, image: Image = NEWEST) -> str:
    """The image's URI for machines with ``cpu`` or ``gpu``.

    Raises:
        SpecError: our table has no image in the region.
    """
    account = ACCOUNTS.get(region)
    if account is None:
        raise SpecError(
            f"no PyTorch image is known for region {region!r}{suggest(region, ACCOUNTS)}",
            why=f"the table of {AS_OF} has {len(ACCOUNTS)} regions",
            fix="choose one of them, or give the provider image='<uri>'",
        )
    arm = architecture == "arm64"
    repository = image.arm_repository if arm else "pytorch-inference"
    tag = f"{image.torch}-{processor}-{image.python}{image.arm_suffix if arm else ''}"
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{domain}/{repository}:{tag}"


def repositories(region: str, partition: str) -> tuple[str, ...]:
    """ARNs of the repositories of AWS's images in `region`; none where our table has no image."""
    account = ACCOUNTS.get(region)
    names = ("pytorch-inference", NEWEST.arm_repository) if account else ()
    return tuple(f"arn:{partition}:ecr:{region}:{account}:repository/{name}" for name in names)


def registry_arn(image: str, partition: str) -> str:
    """ARN pattern of an ECR image's repository, for the role that pulls it; ``*`` for another registry."""
    host, _, rest = image.partition("/")
    parts = host.split(".")
    if parts[1:3] != ["dkr", "ecr"]:
        return "*"
    repository = rest.partition("@")[0].rpartition(":")[0] or rest
    return f"arn:{partition}:ecr:{parts[3]}:{parts[0]}:repository/{repository}"

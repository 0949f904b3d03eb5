"""The containers that answer for one endpoint with one endpoint config."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.backends import logs, roles
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.plane.artifact import BadArtifact, Objects, Source
from clouddeploy.emulator.plane.container import Container, Gone
from clouddeploy.emulator.plane.pool import Pool
from clouddeploy.emulator.plane.recipe import Recipe, StartFailed
from clouddeploy.emulator.registry import StoredImage
from clouddeploy.emulator.sagemaker import images
from clouddeploy.emulator.settings import Settings

PING_FAILED = (
    "The primary container for production variant {variant} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


NO_IMAGE = (
    "Please make sure all images included in the model for the production variant {variant} exist, and that "
    "the execution role used to create the model has permissions to access them."
)
Images = Callable[[str, str], StoredImage | None]
"""The image of the embedded registry that a URI names in a region (see `images.find`)."""


class FleetFailed(Exception):
    """A variant can't serve; the message is the endpoint's failure reason."""


@dataclass
class Variant:
    """One production variant's container."""

    name: str
    container: Container
    holder: str
    stream: str
    startup_s: float
    serverless: bool


@dataclass
class Fleet:
    """The variants of an endpoint that serve."""

    variants: dict[str, Variant] = field(default_factory=dict)

    def choose(self, weights: Mapping[str, float]) -> Variant:
        """A variant by chance, in proportion to `weights`."""
        if len(self.variants) == 1:
            return next(iter(self.variants.values()))
        names = list(self.variants)
        shares = [max(weights.get(name, 0.0), 0.0) for name in names]
        if not any(shares):
            shares = [1.0] * len(names)
        return self.variants[random.choices(names, shares)[0]]


class Fleets:
    """Makes fleets and ends them.

    Args:
        pool: the containers.
        s3: where model data lies.
        settings: asked for time-outs.
        url: where containers reach the embedded cloud.
        images: finds the images that models name.
    """

    def __init__(
        self,
        pool: Pool,
        s3: Objects,
        settings: Callable[[], Settings],
        url: Callable[[], str],
        images: Images,
    ) -> None:
        self._images = images
        self._pool = pool
        self._s3 = s3
        self._settings = settings
        self._url = url

    def start(
        self, region: str, endpoint: str, variants: list[dict[str, Any]], models: Mapping[str, dict[str, Any]]
    ) -> Fleet:
        """A fleet in which every container has answered its first ping.

        Raises:
            FleetFailed: one did not; nothing of the fleet is left.
        """
        fleet = Fleet()
        try:
            for config in variants:
                variant = self._hold(region, endpoint, config, models[config["ModelName"]])
                fleet.variants[variant.name] = variant
                self._start(variant)
        except BaseException:
            self.end(fleet)
            raise
        return fleet

    def _hold(self, region: str, endpoint: str, config: dict[str, Any], model: dict[str, Any]) -> Variant:
        name, definition = config["VariantName"], container_of(model)
        source = Source.of(definition)
        instance = f"i-{secrets.token_hex(9)[:17]}"
        stream, group = f"{name}/{instance}", f"/aws/sagemaker/Endpoints/{endpoint}"
        image = self._image(region, name, config, model)
        content = source.digest(self._s3) if source else "empty"
        recipe = Recipe(source, content, self._variables(region, definition), image)
        logs.open_stream(region, group, stream)

        def sink(line: str) -> None:
            logs.write(region, group, stream, line)

        if image is not None and not images.fits(image, str(config.get("InstanceType", ""))):
            sink(f"exec {' '.join(image.entrypoint)}: exec format error")
            raise FleetFailed(PING_FAILED.format(variant=name))
        holder = f"{region}/{endpoint}#{name}/{instance}"
        container = self._pool.hold(recipe, holder, sink)
        startup_s = (
            config.get("ContainerStartupHealthCheckTimeoutInSeconds") or self._settings().startup_timeout_s
        )
        return Variant(name, container, holder, stream, startup_s, bool(config.get("ServerlessConfig")))

    def _image(
        self, region: str, variant: str, config: Mapping[str, Any], model: Mapping[str, Any]
    ) -> StoredImage | None:
        """The model's image, as far as it lies in the embedded registry.

        Raises:
            FleetFailed: it is gone, or the role may not fetch it.
        """
        try:
            image = self._images(region, str(container_of(model).get("Image", "")))
        except Refused as error:
            raise FleetFailed(NO_IMAGE.format(variant=variant)) from error
        role = roles.find(str(model.get("ExecutionRoleArn", "")))
        if image is not None and (role is None or not images.may_pull(role, image)):
            raise FleetFailed(NO_IMAGE.format(variant=variant))
        return image

    def _variables(self, region: str, definition: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        ours = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": self._url(),
            "AWS_ACCESS_KEY_ID": "container",
            "AWS_SECRET_ACCESS_KEY": "container",
        }
        return tuple(sorted({**ours, **definition.get("Environment", {})}.items()))

    def _start(self, variant: Variant) -> None:
        try:
            self._pool.ensure(variant.container, variant.startup_s)
        except BadArtifact as error:
            raise FleetFailed(str(error)) from error
        except (StartFailed, Gone) as error:
            raise FleetFailed(PING_FAILED.format(variant=variant.name)) from error
        except OSError as error:  # this machine's trouble: no room on the disk, no process to be had
            raise FleetFailed(f"The embedded cloud could not start the container: {error}") from error

    def end(self, fleet: Fleet | None, *, drain: bool = False) -> None:
        """Let the containers of a fleet go, with `drain` only after the requests under way."""
        drain_s = self._settings().request_timeout_s if drain else 0
        for variant in list(fleet.variants.values()) if fleet else []:
            self._pool.release(variant.container, variant.holder, drain_s=drain_s)


def container_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """The container definition that answers requests: the only one, or the first of several."""
    found: dict[str, Any] = model.get("PrimaryContainer") or model["Containers"][0]
    return found

"""Where events go that failed when invoked asynchronously."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.site import Site


@dataclass(frozen=True)
class FailureDestination:
    """The alias's on-failure destination (``EventInvokeConfig``).

    Args:
        site: where it lives.
        destination: ARN of a queue or topic.
        needs: keys of what must exist before.
    """

    site: Site
    destination: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "on-failure destination"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``on-failure/<function>:live``."""
        return f"on-failure/{self.site.name}:{names.ALIAS}"

    @property
    def removal(self) -> str:
        """Removes it; the queue or topic stays."""
        return (
            f"aws lambda delete-function-event-invoke-config --function-name {self.site.name} "
            f"--qualifier {names.ALIAS}"
        )

    def desired(self) -> State:
        """The destination."""
        return {"destination": self.destination}

    def read(self) -> State | None:
        """As Lambda has it."""
        if self.site.empty:
            return None
        found = self.site.find_live("GetFunctionEventInvokeConfig")
        if found is None:
            return None
        config = found.get("DestinationConfig") or {}
        return {"destination": (config.get("OnFailure") or {}).get("Destination", "")}

    def create(self, wish: State) -> None:
        """Put it; that it is there already is success."""
        self.site.survey.spend()
        config = {"OnFailure": {"Destination": wish["destination"]}}
        self.site.live("PutFunctionEventInvokeConfig", DestinationConfig=config)

    def update(self, actual: State, wish: State) -> None:
        """Put it anew."""
        self.create(wish)

    def delete(self) -> None:
        """Remove it."""
        self.site.survey.spend()
        self.site.find_live("DeleteFunctionEventInvokeConfig")

"""API calls of a deploy to Cloud Functions, against those that ``gcloud functions deploy`` makes.

gcloud can't be run here, so its calls are counted in its own source (Google Cloud CLI, Apache 2.0,
``googlecloudsdk/command_lib/functions/v2/deploy/command.py``, function ``Run``), for a new function of the
second generation with ``--source`` a folder, ``--region``, ``--trigger-http`` and no public access:

==================================  =============================================================
call                                where in gcloud's source
==================================  =============================================================
functions.GetFunction               ``client.GetFunction``: is there one already
functions.ListRuntimes              ``client.ListRuntimes``: is the runtime one of the second generation
functions.GenerateUploadUrl         ``_GetBuildConfig``: where the source goes
PUT of the source                   to that signed URL
serviceusage, three times           ``api_enablement.PromptToEnableApiIfDisabled``: run, cloudbuild,
                                    artifactregistry
cloudbuild                          ``ValidateDefaultBuildServiceAccountAndPromptWarning``: counted as one
functions.CreateFunction            ``_CreateAndWait``
operations.GetOperation, n times    ``_CreateAndWait``: the polls, which aren't compared
functions.GetFunction               ``_GetFunctionWithRetry``
==================================  =============================================================

An update makes the same calls with UpdateFunction in place of CreateFunction. gcloud makes no bucket, no
lock and no service account of the function's own, and moves no traffic by itself; ours does with its calls.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from clouddeploy.spec import Autoscaling
from clouddeploy.testing.conformance import recorded
from clouddeploy.testing.models import linear_model
from clouddeploy.testing.rigs import cloud_functions

NAME = "counted"
WISH: dict[str, Any] = {"autoscaling": Autoscaling(min=0, max=20, concurrency=8)}
POLL = "GetOperation"
READS = ("Get", "List", "Download", "Query")
GCLOUD = (
    "GetFunction",
    "ListRuntimes",
    "GenerateUploadUrl",
    "PUT",
    "serviceusage",
    "serviceusage",
    "serviceusage",
    "cloudbuild",
    "CreateFunction",
    "GetFunction",
)


def without_polls(calls: list[tuple[str, str]]) -> list[str]:
    """The methods of `calls` without those that only ask whether an operation is done."""
    return [method for _, method in calls if method != POLL]


def main() -> None:
    """Print the ratio for a first deploy, and the changing calls of one without changes."""
    with tempfile.TemporaryDirectory() as folder, cloud_functions() as rig:
        model = linear_model(Path(folder))
        deployer, calls = recorded(rig)
        deployer.deploy(model, NAME, **WISH)
        again, repeated = recorded(rig)
        again.deploy(model, NAME, **WISH)
        changes = [method for _, method in repeated.calls if not method.startswith(READS)]
        newer, updating = recorded(rig)
        newer.deploy(linear_model(Path(folder), 2.0), NAME, **WISH)
        rig.deployer().delete(NAME)
    ours = without_polls(calls.calls)
    polls = Counter(method for _, method in calls.calls)[POLL]
    print(f"gcloud, {len(GCLOUD)} calls and its polls: {' '.join(GCLOUD)}")
    print(f"ours, {len(ours)} calls and {polls} polls: {' '.join(ours)}")
    ratio = len(ours) / len(GCLOUD)
    verdict("API calls of a first deploy / gcloud functions deploy", ratio, "at most 1", ratio <= 1)
    print(f"an unchanged deploy: {len(repeated.calls)} calls: {' '.join(m for _, m in repeated.calls)}")
    verdict("mutating calls of an unchanged deploy", float(len(changes)), "0", not changes)
    update = without_polls(updating.calls)
    print(f"an update that pins, builds, moves and cleans up, {len(update)} calls: {' '.join(update)}")


if __name__ == "__main__":
    main()

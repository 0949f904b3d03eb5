"""All methods of the APIs, by verb and path.

The APIs' hosts are told apart by their paths alone, which differ for all that is in use. Paths are those
of the REST references.
"""

from __future__ import annotations

from clouddeploy.emulator.google import (
    accounts,
    artifacts,
    logs,
    monitoring,
    operation_calls,
    projects,
    secrets,
)
from clouddeploy.emulator.google.functions import control as functions
from clouddeploy.emulator.google.functions import source
from clouddeploy.emulator.google.functions.fields import FIELDS as FUNCTIONS
from clouddeploy.emulator.google.route import PAGED, Route, policy_routes, route
from clouddeploy.emulator.google.run import revisions, services
from clouddeploy.emulator.google.run.fields import FIELDS as RUN

LOCATION = "projects/*/locations/*"
FUNCTION, SERVICE = f"{LOCATION}/functions/*", f"{LOCATION}/services/*"
REVISION, REPOSITORY = f"{SERVICE}/revisions/*", f"{LOCATION}/repositories/*"
PACKAGE, SECRET, ACCOUNT = f"{REPOSITORY}/packages/*", "projects/*/secrets/*", "projects/*/serviceAccounts/*"
ALERT = "projects/*/alertPolicies/*"

_FUNCTIONS = (
    route(
        f"functions.CreateFunction POST /v2/{{{LOCATION}}}/functions",
        functions.create,
        "functionId",
        schema=FUNCTIONS,
        message="Function",
        at="function",
    ),
    route(
        f"functions.GenerateUploadUrl POST /v2/{{{LOCATION}}}/functions:generateUploadUrl",
        source.upload_url,
        schema=FUNCTIONS,
        message="GenerateUploadUrl",
    ),
    route(
        f"functions.GenerateDownloadUrl POST /v2/{{{FUNCTION}}}:generateDownloadUrl",
        source.download_url,
    ),
    route(f"functions.ListFunctions GET /v2/{{{LOCATION}}}/functions", functions.list_all, *PAGED),
    route(f"functions.GetFunction GET /v2/{{{FUNCTION}}}", functions.get, "revision"),
    route(
        f"functions.UpdateFunction PATCH /v2/{{{FUNCTION}}}",
        functions.update,
        "updateMask",
        schema=FUNCTIONS,
        message="Function",
        at="function",
    ),
    route(f"functions.DeleteFunction DELETE /v2/{{{FUNCTION}}}", functions.delete),
    route(f"functions.ListRuntimes GET /v2/{{{LOCATION}}}/runtimes", functions.runtimes, "filter"),
    route("functions.ListLocations GET /v2/{projects/*}/locations", projects.locations, *PAGED),
    *policy_routes("functions", f"/v2/{{{FUNCTION}}}"),
)
_RUN = (
    route(
        f"run.CreateService POST /v2/{{{LOCATION}}}/services",
        services.create,
        "serviceId",
        "validateOnly",
        schema=RUN,
        message="Service",
        at="service",
    ),
    route(f"run.ListServices GET /v2/{{{LOCATION}}}/services", services.list_all, *PAGED, "showDeleted"),
    route(f"run.GetService GET /v2/{{{SERVICE}}}", services.get),
    route(
        f"run.UpdateService PATCH /v2/{{{SERVICE}}}",
        services.update,
        "updateMask",
        "validateOnly",
        "allowMissing",
        schema=RUN,
        message="Service",
        at="service",
    ),
    route(f"run.DeleteService DELETE /v2/{{{SERVICE}}}", services.delete, "validateOnly", "etag"),
    route(f"run.ListRevisions GET /v2/{{{SERVICE}}}/revisions", revisions.list_all, *PAGED, "showDeleted"),
    route(f"run.GetRevision GET /v2/{{{REVISION}}}", revisions.get),
    route(f"run.DeleteRevision DELETE /v2/{{{REVISION}}}", revisions.delete, "validateOnly", "etag"),
    *policy_routes("run", f"/v2/{{{SERVICE}}}"),
)
_OPERATIONS = (
    route(f"operations.GetOperation GET /v2/{{{LOCATION}/operations/*}}", operation_calls.get),
    route(f"operations.GetOperation GET /v1/{{{LOCATION}/operations/*}}", operation_calls.get),
    route(f"operations.ListOperations GET /v2/{{{LOCATION}}}/operations", operation_calls.list_all, *PAGED),
    route(f"operations.WaitOperation POST /v2/{{{LOCATION}/operations/*}}:wait", operation_calls.wait),
    route(f"operations.DeleteOperation DELETE /v2/{{{LOCATION}/operations/*}}", operation_calls.delete),
)
_IAM = (
    route(
        "iam.CreateServiceAccount POST /v1/{projects/*}/serviceAccounts",
        accounts.create,
        schema=accounts.MESSAGES,
        message="CreateServiceAccountRequest",
    ),
    route("iam.ListServiceAccounts GET /v1/{projects/*}/serviceAccounts", accounts.list_all, *PAGED),
    route(f"iam.GetServiceAccount GET /v1/{{{ACCOUNT}}}", accounts.get),
    route(
        f"iam.PatchServiceAccount PATCH /v1/{{{ACCOUNT}}}",
        accounts.patch,
        schema=accounts.MESSAGES,
        message="PatchServiceAccountRequest",
    ),
    route(f"iam.DeleteServiceAccount DELETE /v1/{{{ACCOUNT}}}", accounts.delete),
    *policy_routes("iam", f"/v1/{{{ACCOUNT}}}", read="POST"),
)
_SECRETS = (
    route(
        "secretmanager.CreateSecret POST /v1/{projects/*}/secrets",
        secrets.create,
        "secretId",
        schema=secrets.MESSAGES,
        message="Secret",
        at="secret",
    ),
    route("secretmanager.ListSecrets GET /v1/{projects/*}/secrets", secrets.list_all, *PAGED),
    route(f"secretmanager.GetSecret GET /v1/{{{SECRET}}}", secrets.get),
    route(f"secretmanager.DeleteSecret DELETE /v1/{{{SECRET}}}", secrets.delete, "etag"),
    route(
        f"secretmanager.AddSecretVersion POST /v1/{{{SECRET}}}:addVersion",
        secrets.add_version,
        schema=secrets.MESSAGES,
        message="AddSecretVersionRequest",
    ),
    route(f"secretmanager.GetSecretVersion GET /v1/{{{SECRET}/versions/*}}", secrets.get_version),
    route(f"secretmanager.AccessSecretVersion GET /v1/{{{SECRET}/versions/*}}:access", secrets.access),
    *(
        route(
            f"secretmanager.{verb}SecretVersion POST /v1/{{{SECRET}/versions/*}}:{verb.lower()}",
            secrets.change_version,
        )
        for verb in ("Disable", "Enable", "Destroy")
    ),
    *policy_routes("secretmanager", f"/v1/{{{SECRET}}}"),
)
_ARTIFACTS = (
    route(
        f"artifactregistry.CreateRepository POST /v1/{{{LOCATION}}}/repositories",
        artifacts.create,
        "repositoryId",
        schema=artifacts.MESSAGES,
        message="Repository",
        at="repository",
    ),
    route(
        f"artifactregistry.ListRepositories GET /v1/{{{LOCATION}}}/repositories", artifacts.list_all, *PAGED
    ),
    route(f"artifactregistry.GetRepository GET /v1/{{{REPOSITORY}}}", artifacts.get),
    route(
        f"artifactregistry.PatchRepository PATCH /v1/{{{REPOSITORY}}}",
        artifacts.patch,
        "updateMask",
        schema=artifacts.MESSAGES,
        message="Repository",
        at="repository",
    ),
    route(f"artifactregistry.DeleteRepository DELETE /v1/{{{REPOSITORY}}}", artifacts.delete),
    route(
        f"artifactregistry.ListDockerImages GET /v1/{{{REPOSITORY}}}/dockerImages",
        artifacts.list_images,
        *PAGED,
    ),
    route(
        f"artifactregistry.ListPackages GET /v1/{{{REPOSITORY}}}/packages", artifacts.list_packages, *PAGED
    ),
    route(f"artifactregistry.DeletePackage DELETE /v1/{{{PACKAGE}}}", artifacts.delete_package),
    route(
        f"artifactregistry.ListVersions GET /v1/{{{PACKAGE}}}/versions",
        artifacts.list_versions,
        *PAGED,
        "view",
    ),
    route(
        f"artifactregistry.DeleteVersion DELETE /v1/{{{PACKAGE}/versions/!}}",
        artifacts.delete_version,
        "force",
    ),
    *policy_routes("artifactregistry", f"/v1/{{{REPOSITORY}}}"),
)
_OBSERVING = (
    route(
        "logging.ListEntries POST /v2/entries:list",
        logs.list_entries,
        schema=logs.MESSAGES,
        message="ListLogEntriesRequest",
    ),
    route("logging.DeleteLog DELETE /v2/{projects/*/logs/*}", logs.delete_log),
    route(
        "monitoring.ListTimeSeries GET /v3/{projects/*}/timeSeries",
        monitoring.list_series,
        *PAGED,
        "interval.startTime",
        "interval.endTime",
        "view",
        "aggregation.alignmentPeriod",
        "aggregation.perSeriesAligner",
        "aggregation.crossSeriesReducer",
        "aggregation.groupByFields",
    ),
    route(
        "monitoring.CreateAlertPolicy POST /v3/{projects/*}/alertPolicies",
        monitoring.create_alert,
        schema=monitoring.MESSAGES,
        message="AlertPolicy",
        at="alert_policy",
    ),
    route("monitoring.ListAlertPolicies GET /v3/{projects/*}/alertPolicies", monitoring.list_alerts, *PAGED),
    route(f"monitoring.GetAlertPolicy GET /v3/{{{ALERT}}}", monitoring.get_alert),
    route(
        f"monitoring.UpdateAlertPolicy PATCH /v3/{{{ALERT}}}",
        monitoring.patch_alert,
        "updateMask",
        schema=monitoring.MESSAGES,
        message="AlertPolicy",
        at="alert_policy",
    ),
    route(f"monitoring.DeleteAlertPolicy DELETE /v3/{{{ALERT}}}", monitoring.delete_alert),
)
_PROJECTS = (
    route("resourcemanager.GetProject GET /v1/{projects/*}", projects.get),
    route("resourcemanager.GetProject GET /v3/{projects/*}", projects.get),
    *policy_routes("resourcemanager", "/v1/{projects/*}", read="POST"),
    *policy_routes("resourcemanager", "/v3/{projects/*}", read="POST"),
    route("serviceusage.GetService GET /v1/{projects/*/services/*}", projects.usage),
)
ROUTES: tuple[Route, ...] = (
    *_FUNCTIONS,
    *_RUN,
    *_OPERATIONS,
    *_IAM,
    *_SECRETS,
    *_ARTIFACTS,
    *_OBSERVING,
    *_PROJECTS,
)

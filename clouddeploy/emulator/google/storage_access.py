"""What a service account may do in Cloud Storage: by the bucket's policy and the project's.

Roles: "IAM roles for Cloud Storage". Conditions are judged as far as they ask for an object's name ("Resource
attributes for IAM Conditions"); with any other, a binding gives nothing. Google's own accounts have the role
Editor, and callers without an account of the project have every right, as everywhere in the embedded cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import ANYBODY
from clouddeploy.emulator.google.principals import EVERYTHING, principal_of

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google
    from clouddeploy.emulator.http.message import Request

ALL = "storage."
ROLES: Mapping[str, tuple[str, ...]] = {
    "roles/owner": (ALL,),
    "roles/editor": (ALL,),
    "roles/storage.admin": (ALL,),
    "roles/storage.objectAdmin": ("storage.objects.", "storage.multipartUploads."),
    "roles/storage.objectUser": ("storage.objects.", "storage.multipartUploads."),
    "roles/storage.objectCreator": ("storage.objects.create", "storage.multipartUploads."),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.bucketViewer": ("storage.buckets.get", "storage.buckets.list"),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.legacyObjectReader": ("storage.objects.get",),
}
"""How the permissions begin that a role has; `setIamPolicy` on objects is left out of none."""
GOOGLES = ("@developer.gserviceaccount.com", "@appspot.gserviceaccount.com")
_NAMED = re.compile(r"""resource\.name(?:\.startsWith\(["']([^"']*)["']\)|\s*==\s*["']([^"']*)["'])""")


def permits(cloud: Google, request: Request, permission: str, bucket: str, name: str) -> bool:
    """Whether the sender of `request` has `permission` on an object, or on a bucket where `name` is empty."""
    email = principal_of(request.headers.get("authorization", ""))
    if email in (ANYBODY, EVERYTHING, None) or str(email).endswith(GOOGLES):
        return True
    found = cloud.storage.store.buckets.get(bucket)
    project = found.project if found is not None else ""
    held = [*(found.policy.get("bindings", ()) if found is not None else ())]
    held += cloud.policies.get(f"projects/{project}").get("bindings", ())
    resource = f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
    return any(_gives(binding, f"serviceAccount:{email}", permission, resource) for binding in held)


def _gives(binding: Mapping[str, Any], member: str, permission: str, resource: str) -> bool:
    members: Iterable[str] = binding.get("members", ())
    if not {member, "allUsers", "allAuthenticatedUsers"} & set(members):
        return False
    if not permission.startswith(ROLES.get(str(binding.get("role")), ("-",))):
        return False
    condition = (binding.get("condition") or {}).get("expression")
    return condition is None or _holds(str(condition), resource)


def _holds(expression: str, resource: str) -> bool:
    named = _NAMED.fullmatch(expression.strip())
    if named is None:
        return False
    return resource.startswith(named[1]) if named[1] is not None else resource == named[2]

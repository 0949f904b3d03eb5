"""What Lambda's Python images have installed, as far as this host has it too.

"Runtime-included SDK versions" (Building Lambda functions with Python, Lambda Developer Guide) and the
folder ``/var/runtime`` of ``public.ecr.aws/lambda/python:3.13``, as read in November 2026: the runtime
interface client, boto3 and what they need. The host's own versions run, which is an approximation.
"""

from __future__ import annotations

import platform
import sys

IMAGE = "lambda-python-2026-11"
DISTRIBUTIONS = ("awslambdaric", "boto3", "simplejson")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def architecture() -> str:
    """This machine's, in Lambda's words."""
    machine = platform.machine().lower()
    return {"aarch64": "arm64", "amd64": "x86_64"}.get(machine, machine)

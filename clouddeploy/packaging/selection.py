"""What is left out of an artifact by default, and what looks like a secret in it.

Both are tables. A warning says where and what kind, never the secret itself.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import BinaryIO

from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.source import opened

LEFT_OUT: tuple[tuple[str, str], ...] = (
    (".env", "environment file"),
    (".env.*", "environment file"),
    (".envrc", "environment file"),
    (".git", "version control"),
    (".gitignore", "version control"),
    (".gitattributes", "version control"),
    (".gitmodules", "version control"),
    (".hg", "version control"),
    (".svn", "version control"),
    (".bzr", "version control"),
    ("CVS", "version control"),
    ("__pycache__", "cache"),
    ("*.pyc", "cache"),
    ("*.pyo", "cache"),
    (".cache", "cache"),
    (".mypy_cache", "cache"),
    (".pytest_cache", "cache"),
    (".ruff_cache", "cache"),
    (".hypothesis", "cache"),
    (".tox", "cache"),
    (".nox", "cache"),
    (".venv", "virtual environment"),
    ("venv", "virtual environment"),
    ("node_modules", "installed packages"),
    ("*.egg-info", "installed packages"),
    (".ipynb_checkpoints", "notebook checkpoint"),
    (".idea", "editor's folder"),
    (".vscode", "editor's folder"),
    (".aws", "credentials"),
    (".ssh", "credentials"),
    (".DS_Store", "system file"),
    ("Thumbs.db", "system file"),
    ("*.partial", "unfinished file"),
    ("*.swp", "unfinished file"),
    ("*~", "unfinished file"),
)
"""Patterns for one part of a path, whatever its depth, and what it is."""

TOLD = frozenset({"environment file", "credentials"})
"""Kinds whose absence is told: somebody may have meant to pack them."""

SECRET_NAMES: tuple[tuple[str, str], ...] = (
    ("*.pem", "a certificate or private key"),
    ("*.key", "a private key"),
    ("*.p12", "a key store"),
    ("*.pfx", "a key store"),
    ("*.jks", "a key store"),
    ("*.kdbx", "a password safe"),
    ("id_rsa", "an SSH private key"),
    ("id_dsa", "an SSH private key"),
    ("id_ecdsa", "an SSH private key"),
    ("id_ed25519", "an SSH private key"),
    ("credentials", "credentials"),
    ("credentials.json", "credentials"),
    ("client_secret*.json", "credentials"),
    (".netrc", "passwords"),
    (".pgpass", "passwords"),
    (".pypirc", "passwords"),
    (".npmrc", "credentials"),
    (".htpasswd", "passwords"),
    ("*.tfstate", "Terraform state, which holds secrets"),
)

SECRET_TEXTS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"), "an AWS access key id"),
    (
        re.compile(rb"(?i)aws.{0,20}secret.{0,20}[=:]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"),
        "an AWS secret access key",
    ),
    (re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY"), "a private key"),
    (re.compile(rb"(?<![A-Za-z0-9_])gh[pousr]_[A-Za-z0-9]{36}"), "a GitHub token"),
    (re.compile(rb"(?<![A-Za-z0-9_])github_pat_[A-Za-z0-9_]{40}"), "a GitHub token"),
    (re.compile(rb"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{20}"), "a GitLab token"),
    (re.compile(rb"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{34}"), "a Hugging Face token"),
    (re.compile(rb"(?<![A-Za-z0-9_-])sk-(?:proj-|ant-)?[A-Za-z0-9_-]{32}"), "an API key"),
    (re.compile(rb"(?<![A-Za-z0-9_])[rs]k_live_[A-Za-z0-9]{24}"), "a Stripe key"),
    (re.compile(rb"(?<![A-Za-z0-9_-])xox[abeprs]-[A-Za-z0-9-]{10}"), "a Slack token"),
    (re.compile(rb"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}"), "a Google API key"),
    (re.compile(rb"\"type\"\s*:\s*\"service_account\""), "a Google service account's key"),
    (re.compile(rb"(?<![A-Za-z0-9_-])pypi-AgEI[A-Za-z0-9_-]{50}"), "a PyPI token"),
    (re.compile(rb"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}"), "an npm token"),
)

LOOKED_AT_BYTES = 1 << 20
MOST_LINES = 5
"""Suspicious lines told for one file."""


def left_out(name: str) -> str:
    """Why the file `name` isn't packed by default; empty when it is."""
    for part in name.split("/"):
        for pattern, kind in LEFT_OUT:
            if fnmatchcase(part, pattern):
                return kind
    return ""


def suspicions(member: Member) -> list[str]:
    """What looks like a secret in `member`, as ``file:line: kind``.

    Only text is searched, and its first MiB: weights are neither.
    """
    last = member.name.rpartition("/")[2]
    kind = next((kind for pattern, kind in SECRET_NAMES if fnmatchcase(last.lower(), pattern)), "")
    found = [f"{member.name}: looks like {kind} by its name"] if kind else []
    with opened(member.source, member.name) as file:
        found += [f"{member.name}:{line}: looks like {kind}" for line, kind in _suspicious_lines(file)]
    return found


def _suspicious_lines(file: BinaryIO) -> list[tuple[int, str]]:
    if b"\0" in file.read(8192):
        return []
    file.seek(0)
    found: list[tuple[int, str]] = []
    for number, line in enumerate(file.read(LOOKED_AT_BYTES).split(b"\n"), start=1):
        kind = next((kind for pattern, kind in SECRET_TEXTS if pattern.search(line)), "")
        if kind:
            found.append((number, kind))
        if len(found) == MOST_LINES:
            break
    return found

"""Virtual environments that hold what the base image has, and nothing else.

Their site-packages are links to the host's distributions, so that one is made in a fraction of a
second without network; they are kept in the user's cache folder under the digest of what is in them.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.plane.base_image import IMAGE, Installed, installed


def cache_folder() -> Path:
    """Where environments are kept: ``CLOUDDEPLOY_CACHE_DIR``, else the user's cache folder."""
    chosen = os.environ.get("CLOUDDEPLOY_CACHE_DIR")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "clouddeploy"


@dataclass(frozen=True)
class Environment:
    """A finished virtual environment.

    Args:
        key: digest of what is in it.
        folder: where it is.
        distributions: what was linked into it.
    """

    key: str
    folder: Path
    distributions: tuple[Installed, ...]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return site_of(self.folder)

    def has(self, name: str) -> bool:
        """Whether the base image's distribution `name` is in it."""
        return any(d.name == name for d in self.distributions)


def site_of(folder: Path) -> Path:
    """The site-packages of the environment in `folder`."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The folder of the environment `key`, built once by whoever comes first, in any process."""
    folder = cache_folder() / "environments" / key
    if folder.is_dir():
        return folder
    with _locked(folder.with_name(f"{key}.lock")):
        if folder.is_dir():
            return folder
        building = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=folder.parent))
        try:
            build(building)
            building.rename(folder)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return folder


def digest(parts: Iterable[str]) -> str:
    """A name for what `parts` describe: 32 hexadecimal digits."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def link(distributions: Iterable[Installed], folder: Path) -> None:
    """Make a virtual environment in `folder` whose site-packages point to `distributions`."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    site = site_of(folder)
    for distribution in distributions:
        for entry in sorted(distribution.entries()):
            source, target = distribution.root / entry, site / entry
            if target.exists() or not source.exists() or entry.endswith(".pth"):
                continue
            if source.is_dir() and not _whole(source, entry):
                _link_files(distribution, entry, site)
            else:
                target.symlink_to(source)


def _whole(source: Path, entry: str) -> bool:
    """Whether the folder belongs to one distribution: a package, its metadata or its libraries."""
    return (source / "__init__.py").exists() or entry.endswith((".dist-info", ".egg-info", ".libs"))


def _link_files(distribution: Installed, entry: str, site: Path) -> None:
    """A namespace folder that several distributions share: link this one's files alone."""
    for name in distribution.files:
        source, target = distribution.root / name, site / name
        if name.startswith(f"{entry}/") and source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)


@functools.lru_cache(maxsize=1)
def base_environment() -> Environment:
    """The environment that equals SageMaker's image as far as this host allows."""
    return environment_of(IMAGE, installed())


def environment_of(image: str, distributions: tuple[Installed, ...]) -> Environment:
    """The environment of this interpreter and `distributions`, made when it isn't there yet."""
    key = digest(
        [image, sys.base_prefix, sys.version, *(f"{d.name}=={d.version} {d.root}" for d in distributions)]
    )
    return Environment(key, cached(key, lambda folder: link(distributions, folder)), distributions)

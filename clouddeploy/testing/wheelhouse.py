"""Wheels made on the spot, and the variables that let uv find these and nothing else: no network.

house = Wheelhouse(folder)
house.wheel("tiny", "1.0", {"tiny/__init__.py": "ANSWER = 42"})
house.repack("numpy")                       # what is installed here, as a wheel again
os.environ.update(house.env())
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ANYWHERE = "py3-none-any"


@dataclass(frozen=True)
class Wheelhouse:
    """A folder of wheels.

    Args:
        folder: where they are; made where it is missing.
    """

    folder: Path

    def env(self) -> dict[str, str]:
        """Environment variables under which uv takes wheels from here alone."""
        return {
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_NO_CONFIG": "1",
            "UV_FIND_LINKS": str(self.folder),
            # What uv remembers of an index would be found even offline.
            "UV_CACHE_DIR": str(self.folder / ".uv-cache"),
        }

    def wheel(
        self,
        name: str,
        version: str,
        files: Mapping[str, str | bytes],
        *,
        tag: str = ANYWHERE,
        requires: Iterable[str] = (),
        executable: Iterable[str] = (),
    ) -> Path:
        """A new wheel (PyPA, "Binary distribution format").

        Args:
            name: of the distribution.
            version: of it.
            files: content by path.
            tag: Python, ABI and platform that it says it is for.
            requires: its own requirements.
            executable: those of `files` that carry execute bits.
        """
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
        metadata += [f"Requires-Dist: {line}\n" for line in requires]
        content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        content[f"{_info(name, version)}/METADATA"] = "".join(metadata).encode()
        return self._write(name, version, tag, content, set(executable))

    def repack(self, name: str, *, tag: str = "", site: Path | None = None) -> Path:
        """The distribution that is installed here, as a wheel; scripts are left out.

        Args:
            name: of the distribution.
            tag: claims another Python or platform than the one it is for, where only its presence counts.
            site: the site-packages that it is taken from; by default this interpreter's own.

        Raises:
            importlib.metadata.PackageNotFoundError: it isn't installed.
        """
        found = _distribution(name, site)
        content, executable = {}, set()
        for file in found.files or ():
            path = Path(str(found.locate_file(file)))
            if ".." in file.parts or file.suffix == ".pyc" or not path.is_file():
                continue
            if file.parts[0].endswith(".dist-info") and file.name in (
                "RECORD",
                "WHEEL",
                "INSTALLER",
                "REQUESTED",
                "direct_url.json",
            ):
                continue
            content[file.as_posix()] = path.read_bytes()
            if path.stat().st_mode & 0o111:
                executable.add(file.as_posix())
        info = next(path.partition("/")[0] for path in content if ".dist-info/" in path)
        own = f"{_info(found.name, found.version)}/"
        content = {path.replace(f"{info}/", own, 1): data for path, data in content.items()}
        return self._write(found.name, found.version, tag or _tag(found), content, executable)

    def _write(
        self, name: str, version: str, tag: str, content: dict[str, bytes], executable: set[str]
    ) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        info = _info(name, version)
        pure = "true" if tag.endswith("-any") else "false"
        tags = "".join(f"Tag: {one}\n" for one in _expanded(tag))
        content[f"{info}/WHEEL"] = (
            f"Wheel-Version: 1.0\nGenerator: clouddeploy\nRoot-Is-Purelib: {pure}\n{tags}".encode()
        )
        record = "".join(f"{path},{_hash(data)},{len(data)}\n" for path, data in sorted(content.items()))
        content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        path = self.folder / f"{info.removesuffix('.dist-info')}-{tag}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for member, data in sorted(content.items()):
                one = zipfile.ZipInfo(member)
                one.external_attr = (0o100755 if member in executable else 0o100644) << 16
                archive.writestr(one, data)
        return path


def _distribution(name: str, site: Path | None) -> importlib.metadata.Distribution:
    if site is None:
        return importlib.metadata.distribution(name)
    context = importlib.metadata.DistributionFinder.Context(name=name, path=[str(site)])
    for found in importlib.metadata.MetadataPathFinder.find_distributions(context):
        return found
    raise importlib.metadata.PackageNotFoundError(name)


def _info(name: str, version: str) -> str:
    return f"{name.replace('-', '_')}-{version}.dist-info"


def _tag(found: importlib.metadata.Distribution) -> str:
    rows = (found.read_text("WHEEL") or "").splitlines()
    tags = [row.partition(":")[2].strip() for row in rows if row.startswith("Tag:")]
    parts = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(part)) for part in parts) or ANYWHERE


def _expanded(tag: str) -> Iterable[str]:
    pythons, abis, platforms = (part.split(".") for part in tag.split("-"))
    return [f"{p}-{a}-{q}" for p in pythons for a in abis for q in platforms]


def _hash(data: bytes) -> str:
    digest = hashlib.sha256(data).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

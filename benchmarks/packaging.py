"""Packaging against its peers: Python's ``tarfile`` for the archive, ``cp`` for the uncompressed form.

    python benchmarks/packaging.py                      # 1 GiB; the slow peer gets 256 MiB
    python benchmarks/packaging.py --peer-mib 1024      # tarfile gets the whole GiB too: minutes

Weights are normal float32 numbers, in the page cache. Runs alternate, medians count, and what is
still to be written to the disk is written between them, outside the measured time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clouddeploy.model import File, Model
from clouddeploy.packaging import Artifact, sagemaker_artifact

MIB = 1 << 20
SETTLE_S = 2.1  # younger files are hashed again, since their time stamps prove nothing
HANDLER = "def load(model_dir):\n    return None\n\n\ndef predict(inputs):\n    return inputs\n"
PEAK = """
import sys
from pathlib import Path

def peak_mib():
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM")) / 1024

bare = peak_mib()
from clouddeploy.model import File
from clouddeploy.packaging import Artifact, Member
file = File.read("w.bin", Path(sys.argv[1]))
artifact = Artifact(sys.argv[2], (Member(file.name, file.size, file.sha256, file.path),))
artifact.write(Path(sys.argv[1]).parent / "peak")
print(peak_mib() - bare)
"""


def main() -> None:
    """Run it and print ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size-mib", type=int, default=1024, help="weights to package")
    parser.add_argument(
        "--peer-mib", type=int, default=256, help="weights that tarfile is given, and ours beside it"
    )
    parser.add_argument(
        "--memory-mib", type=int, default=2048, help="sparse weights for the peak of memory; 0: skip"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=2, help="rounds with tarfile in them")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to work; default: the temporary folder"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.folder) as place:
        folder = Path(place)
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, folder {folder.parent}")
        archive(folder, min(asked.peer_mib, asked.size_mib), asked.slow_rounds)
        uncompressed(folder, asked.size_mib, asked.rounds)
        if asked.memory_mib:
            memory(folder, asked.memory_mib)


def archive(folder: Path, mib: int, rounds: int) -> None:
    """``model.tar.gz`` against ``tarfile.open(…, "w:gz")``, and what unpacking it takes."""
    model = made(folder, mib)
    artifact = sagemaker_artifact(model, compression="gzip")
    weights, ours, theirs = model.files[0].path, folder / "ours.tar.gz", folder / "theirs.tar.gz"

    def by_tarfile() -> None:
        with tarfile.open(theirs, "w:gz") as tar:
            tar.add(weights, "w.bin")

    took = alternate(
        rounds, {"clouddeploy": lambda: artifact.write(ours), "tarfile": by_tarfile}, [ours, theirs]
    )
    artifact.write(ours)
    by_tarfile()
    sizes = {"clouddeploy": ours.stat().st_size, "tarfile": theirs.stat().st_size}
    print(f"\nmodel.tar.gz of {mib} MiB of float32 weights")
    for name in took:
        share = sizes[name] / weights.stat().st_size
        print(f"  {name:12} {took[name]:8.2f} s {mib / took[name]:8.0f} MiB/s {share:8.2%} of the size")
    print(f"  ratio: {took['tarfile'] / took['clouddeploy']:.1f} times faster (to reach: 5), "
          f"{sizes['clouddeploy'] / sizes['tarfile']:.4f} of tarfile's size (to reach: 1)")  # fmt: skip
    unpacking(folder, ours, mib)
    shutil.rmtree(weights.parent)
    ours.unlink()
    theirs.unlink()


def unpacking(folder: Path, path: Path, mib: int) -> None:
    """What a container has to do before it can load the archive, on one core."""
    target = folder / "unpacked"

    def unpack() -> None:
        target.mkdir()
        subprocess.run(["tar", "-xzf", path, "-C", target], check=True)

    took = alternate(3, {"tar -xzf": unpack}, [target])["tar -xzf"]
    print(f"  unpacking it (tar -xzf): {took:.2f} s, {mib / took:.0f} MiB/s of weights")


def uncompressed(folder: Path, mib: int, rounds: int) -> None:
    """The uncompressed form against ``cp``."""
    model = made(folder, mib)
    began = time.perf_counter()
    (file,) = model.files
    weights = file.path
    time.sleep(SETTLE_S)
    settled = replace(model, files=(File.read(file.name, weights),))
    artifact = sagemaker_artifact(settled, compression="none")
    fresh = Artifact("prefix", tuple(replace(m, stamp=None) for m in artifact.members))
    outs = [folder / name for name in ("ours", "fresh", "copy")]
    took = alternate(
        rounds,
        {
            "clouddeploy": lambda: artifact.write(outs[0]),
            "file just written": lambda: fresh.write(outs[1]),
            "cp": lambda: subprocess.run(["cp", weights, outs[2]], check=True),
        },
        outs,
    )
    print(f"\nuncompressed form of {mib} MiB ({time.perf_counter() - began:.0f} s in all)")
    for name, seconds in took.items():
        print(f"  {name:18} {seconds:8.3f} s {mib / seconds:8.0f} MiB/s {seconds / took['cp']:6.2f} of cp")
    print(f"  ratio: {took['clouddeploy'] / took['cp']:.2f} of cp (to reach: 1.5)")
    print("  (a file written less than two seconds before it was hashed is hashed again while it is copied)")
    shutil.rmtree(weights.parent)


def memory(folder: Path, mib: int) -> None:
    """Peak memory above the bare interpreter, imports counted.

    From Linux's high-water mark of the process: `getrusage` counts the parent's, too, from before the exec.
    """
    if not Path("/proc/self/status").exists():
        print("\npeak memory: not measured, it needs Linux's /proc")
        return
    path = folder / "sparse"
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    print(f"\npeak memory above the interpreter for {mib} MiB (to reach: 64 MiB)")
    for form in ("gzip", "prefix"):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, path, form], check=True, capture_output=True, text=True
        )
        print(f"  {form:12} {float(done.stdout):8.1f} MiB")
        remove(folder / "peak")
    path.unlink()


def made(folder: Path, mib: int) -> Model:
    """A model of `mib` MiB of weights on disk."""
    import numpy as np

    source = folder / f"source-{mib}"
    source.mkdir()
    numbers = np.random.default_rng(0)
    with (source / "w.bin").open("wb") as file:
        for _ in range(mib):
            file.write(numbers.standard_normal(MIB // 4, dtype=np.float32).tobytes())
    (source / "handler.py").write_text(HANDLER)
    files = (File.read("w.bin", source / "w.bin"),)
    code = (File.read("handler.py", source / "handler.py"),)
    return Model(format="files", files=files, code=code, handler="handler.py")


def alternate(rounds: int, works: dict[str, Callable[[], object]], outs: list[Path]) -> dict[str, float]:
    """Median seconds of each of `works`, run in turn; `outs` is what they write, removed each time."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            os.sync()
            began = time.perf_counter()
            work()
            took[name].append(time.perf_counter() - began)
            for out in outs:
                remove(out)
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()

"""Fuzz by coverage what reads clients' bytes, and a running server by its own OpenAPI document.

    make fuzz                                       every harness for a minute, then the server
    python -m tools.fuzz head chunks --seconds 600  these alone, for longer
    python -m tools.fuzz api                        the server alone

atheris and schemathesis get an environment of their own, in ``.fuzz``, where also what fuzzing finds is kept.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from clouddeploy.testing.served import ServerProcess
from tests.fuzz.models import write_models
from tools.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".fuzz"
PINS = Path(__file__).with_name("requirements.txt")
LIBRARIES = ("numpy", "httptools", "msgspec", "orjson", "pyjwt", "cryptography", "protobuf", "grpcio", "isal")
API = "api"
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance"),
    *("unsupported_method", "allow_header_conformance"),
)
"""Of schemathesis. Not whether all is taken that the schema allows: it can't tell rows of one length."""


def environment() -> Path:
    """The folder of the programs, made when it isn't there yet."""
    folder, made = HOME / "env", HOME / "env" / "made"
    pins = PINS.read_text("utf-8")
    if not made.is_file() or made.read_text("utf-8") != pins:
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet"]
        subprocess.run([*pip, "-r", str(PINS), *LIBRARIES, "-c", str(ROOT / "requirements.lock")], check=True)
        made.write_text(pins, "utf-8")
    return folder / "bin"


def harness(name: str, seconds: int) -> bool:
    """Run one harness; whether it found nothing."""
    command = [str(environment() / "python"), "-m", "tools.fuzz.one", name, str(HOME / name)]
    command += [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=4096", "-max_len=4096"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = [line for line in ended.stderr.splitlines() if line[:1] == "#" and line[1:2].isdigit()][-1:]
    print(f"{name}: {'nothing found' if ended.returncode == 0 else 'FAILED'} {' '.join(last)}", flush=True)
    if ended.returncode:
        print(ended.stdout[-2000:], ended.stderr[-4000:], f"the input is kept in {HOME / name}", sep="\n")
    return ended.returncode == 0


def api(seconds: int) -> bool:
    """Ask a server with a model of every kind what its document allows and what not; whether all was well."""
    program = environment() / "st"
    with tempfile.TemporaryDirectory() as folder:
        with ServerProcess(write_models(Path(folder)), name="floats", jobs=100_000) as server:
            command = [str(program), "run", f"{server.url}/openapi.json", "--checks", ",".join(CHECKS)]
            command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(10 * seconds)]
            command += ["--max-time", str(seconds), "--suppress-health-check", "all", "--continue-on-failure"]
            # A job by a made-up id, and a model that fails on purpose, tell nothing.
            command += ["--exclude-path", "/jobs/{id}", "--exclude-path-regex", "picky"]
            return subprocess.run(command, cwd=HOME, check=False).returncode == 0


def main() -> int:
    """Read the arguments and run; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TARGETS)}, {API}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each")
    arguments = parser.parse_args()
    names = arguments.names or [*TARGETS, API]
    unknown = [name for name in names if name not in (*TARGETS, API)]
    if unknown:
        parser.error(f"there is no {unknown[0]!r}")
    well = [api(arguments.seconds) if name == API else harness(name, arguments.seconds) for name in names]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Runs every measurement, one after the other."""

from __future__ import annotations

from benchmarks import api_calls, endpoint_overhead, imports, lambda_overhead, packaging


def main() -> None:
    """Run them all with their default sizes."""
    for module in (imports, api_calls, endpoint_overhead, lambda_overhead, packaging):
        print(f"\n== {module.__name__.rpartition('.')[2]}: {(module.__doc__ or '').splitlines()[0]}")
        module.main()


if __name__ == "__main__":
    main()

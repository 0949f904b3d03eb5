"""Runs every measurement, one after the other."""

from __future__ import annotations

from benchmarks import (
    api_calls,
    endpoint_overhead,
    functions_overhead,
    gcp_api_calls,
    gcp_upload,
    imports,
    lambda_overhead,
    packaging,
)

MEASURED = (
    imports,
    api_calls,
    gcp_api_calls,
    endpoint_overhead,
    lambda_overhead,
    functions_overhead,
    gcp_upload,
    packaging,
)


def main() -> None:
    """Run them all with their default sizes."""
    for module in MEASURED:
        print(f"\n== {module.__name__.rpartition('.')[2]}: {(module.__doc__ or '').splitlines()[0]}")
        module.main()


if __name__ == "__main__":
    main()

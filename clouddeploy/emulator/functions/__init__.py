"""Lambda: what moto's control plane lacks, and functions that really run.

`control`, `versions`, `concurrency`, `policies`, `options` and `urls` answer the API; `fleet` runs
`sandbox` processes, and `invoking` is the way to them for whoever has an event.
"""

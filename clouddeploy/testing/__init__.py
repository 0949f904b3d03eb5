"""What proves that a provider keeps its promises: shipped, so that others can test theirs.

- `clouddeploy.testing.plugin`: the pytest fixture ``cloud``, an embedded cloud for your own tests.
- `clouddeploy.testing.conformance`: the suite that every provider passes.
- `clouddeploy.testing.faultsuite`: the suite that breaks every call of a provider's seam.
- `clouddeploy.testing.rig`: what a provider has to offer to be tested, about thirty lines.
"""

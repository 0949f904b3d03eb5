"""The model server: what `clouddeploy serve` runs, alone or behind another cloud's container contract.

What lives here: HTTP, batching, protocols, versions, protection. What a model answers is `runtime`'s.
Nothing here is imported by the rest of clouddeploy but the command line and the target ``local``.
"""

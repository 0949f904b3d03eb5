"""What each peer runs: as its own documentation has it, with one thread of torch a worker.

Files here are run by the peers' environments, which have no clouddeploy.
"""

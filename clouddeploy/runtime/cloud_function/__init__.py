"""A model behind functions-framework: Cloud Functions and Cloud Run, by ``handlers/cloud_function.py``.

Ships in the artifact like the rest of the runtime. `start` is what the entry file needs. What it shares
with Lambda lies in ``clouddeploy.runtime.function``.
"""

from clouddeploy.runtime.cloud_function.entry import CloudFunction
from clouddeploy.runtime.cloud_function.startup import start

__all__ = ["CloudFunction", "start"]

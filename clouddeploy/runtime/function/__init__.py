"""A model as a function that is called with an event: AWS Lambda's, by ``handlers/lambda_handler.py``.

Ships in the artifact like the rest of the runtime. `start` is what an entry file needs. What answers
requests and keeps to their time here serves Cloud Functions too: see ``clouddeploy.runtime.cloud_function``.
"""

from clouddeploy.runtime.function.budget import Stuck
from clouddeploy.runtime.function.entry import Function, UnknownEvent
from clouddeploy.runtime.function.startup import start

__all__ = ["Function", "Stuck", "UnknownEvent", "start"]

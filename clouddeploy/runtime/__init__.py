"""The part of clouddeploy that ships inside every artifact: load a model, answer requests.

Standard library and numpy, besides the model's own framework; imports nothing else of clouddeploy.
A handler may use `load_model` for the built-in loader and `WireError` to refuse an input.
"""

from clouddeploy.runtime.errors import LoadError, WireError
from clouddeploy.runtime.loaders import load_model
from clouddeploy.runtime.service import Answer, Service

__all__ = ["Answer", "LoadError", "Service", "WireError", "load_model"]

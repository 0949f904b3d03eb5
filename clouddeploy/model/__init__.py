"""Models: how each framework's weights are saved, checked and described."""

from clouddeploy.model.files import File
from clouddeploy.model.model import Model
from clouddeploy.model.signature import Signature, Tensor

__all__ = ["File", "Model", "Signature", "Tensor"]

"""From a model to an artifact: reproducible archives, the layout each cloud takes, requirements.

What lives here knows no cloud API; sending an artifact is its provider's business.
"""

from clouddeploy.packaging.artifact import Artifact, Form, Member
from clouddeploy.packaging.aws_lambda import LambdaArtifact, lambda_artifact
from clouddeploy.packaging.cloud_functions import FunctionSource, function_source
from clouddeploy.packaging.requirements import check_requirements, normalised
from clouddeploy.packaging.sagemaker import sagemaker_artifact
from clouddeploy.packaging.shipped import handler_source, runtime_files

__all__ = [
    "Artifact",
    "Form",
    "FunctionSource",
    "LambdaArtifact",
    "Member",
    "check_requirements",
    "function_source",
    "handler_source",
    "lambda_artifact",
    "normalised",
    "runtime_files",
    "sagemaker_artifact",
]

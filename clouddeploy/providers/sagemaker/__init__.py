"""Amazon SageMaker: `SageMaker`, found by the target name ``sagemaker``."""

from clouddeploy.providers.sagemaker.provider import SageMaker

__all__ = ["SageMaker"]

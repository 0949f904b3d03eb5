"""AWS Lambda: `Lambda`, found by the target name ``lambda``."""

from clouddeploy.providers.aws_lambda.provider import Lambda

__all__ = ["Lambda"]

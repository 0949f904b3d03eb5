"""Application Auto Scaling, as far as SageMaker's variants are its targets."""

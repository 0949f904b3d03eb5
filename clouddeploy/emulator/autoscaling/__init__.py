"""Application Auto Scaling, as far as SageMaker's variants and Lambda's functions are its targets."""

"""SageMaker's hosting: models, endpoint configs, endpoints, and the invocations that they answer."""

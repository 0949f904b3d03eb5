"""IAM: what moto lets pass and the real service doesn't."""

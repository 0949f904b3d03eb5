"""S3: what moto lets pass and the real service doesn't."""

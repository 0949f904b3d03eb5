"""What the Google Cloud targets share: the seam, the bucket, the lock, IAM, logs and metrics."""

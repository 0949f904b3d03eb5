"""What the AWS targets share: the call seam, the artifact bucket, the lock, roles, logs, scaling, alarms."""

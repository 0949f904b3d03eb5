"""What runs inside a container of the embedded cloud: scripts that import nothing of clouddeploy."""

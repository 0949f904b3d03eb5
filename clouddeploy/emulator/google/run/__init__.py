"""Cloud Run: services, revisions, traffic ("Cloud Run Admin API v2")."""

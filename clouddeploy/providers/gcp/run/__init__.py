"""What Cloud Run services have in common, whether a function's or an own: traffic, invokers, revisions."""

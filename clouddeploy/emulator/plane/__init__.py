"""The data plane: the uploaded bytes, run as the cloud would run them."""

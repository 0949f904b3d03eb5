"""What the model server reaches, beside other servers of the same model on the same machine."""

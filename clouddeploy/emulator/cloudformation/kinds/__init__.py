"""How each type of resource is made, changed and removed: by calls to the embedded cloud's own APIs."""

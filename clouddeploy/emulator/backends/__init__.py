"""moto, behind typed edges: nothing else in the package touches its untyped insides."""

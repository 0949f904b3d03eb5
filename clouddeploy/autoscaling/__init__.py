"""How many copies of a model run: the policy that every target maps onto what it has."""

"""What was asked for, as frozen values: no effects, no live handles, standard library only."""

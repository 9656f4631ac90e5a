"""A drill: a real node under load, killed and recovered, and an account of every row it acknowledged."""

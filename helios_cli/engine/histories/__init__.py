"""What clients saw of a cluster, and whether a correct one could have shown it."""

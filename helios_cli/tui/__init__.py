"""The monitor: a model in plain Python, workers that wait, widgets that draw."""

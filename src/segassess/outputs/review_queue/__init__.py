"""Turn the output of `predict.py` into a queue for a labelling tool: a task per review tile, worst first, with its errors."""

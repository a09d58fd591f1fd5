"""From what `predict.py` left to a queue in a labelling tool: a task per review tile, worst first, with the errors drawn in.

`tasks` reads the folder and makes a picture of each tile; `label_studio` and `fiftyone` write what either tool imports.
"""

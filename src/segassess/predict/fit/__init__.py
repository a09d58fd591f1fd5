"""Learn from the layer under test: small networks, fold by fold over space, and the reference map that they give.

A layer is thousands of labels of exactly this ground, most of them right. Networks that learn to draw it, each judging only
ground from which it did not learn, contradict the layer where it is wrong. `blocks` divides the ground between the folds,
`layer` draws crops, `training` trains, `folds` and `rounds` train all that is needed, `fitted_layer` gives the reference map,
`self_confidence` calibrates it without ground truth, `evidence` gathers what fit and assessor say, `weighing` finds how far they
are to be trusted, `fusion` joins them, and `fitting` does all that for the layers of a request.
"""

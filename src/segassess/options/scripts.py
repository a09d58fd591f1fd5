"""The options of each script, by the name of its file in `conf/`, and of groups with defaults."""

from segassess.options.engine import DaskEngine, LocalEngine
from segassess.options.evaluate import Evaluate, EvaluateDamage, EvaluateScaling
from segassess.options.export import Export, Prepare
from segassess.options.fit import FitSettings
from segassess.options.paths import PathOptions
from segassess.options.predict import Predict, PredictSegmenter
from segassess.options.sampling import SamplingOptions
from segassess.options.train import Train, TrainCrossfit, TrainSegmenter
from segassess.options.trainer import TrainerOptions

SCRIPTS: dict[str, type] = {
    "train": Train,
    "train_segmenter": TrainSegmenter,
    "train_crossfit": TrainCrossfit,
    "predict": Predict,
    "predict_segmenter": PredictSegmenter,
    "evaluate": Evaluate,
    "evaluate_damage": EvaluateDamage,
    "evaluate_scaling": EvaluateScaling,
    "export": Export,
    "prepare": Prepare,
}
# Groups whose options have defaults; files of the group say only what they change.
GROUPS: dict[str, type] = {
    "trainer": TrainerOptions,
    "sampling": SamplingOptions,
    "paths": PathOptions,
    "fit_layer": FitSettings,
    "engine_local": LocalEngine,
    "engine_dask": DaskEngine,
}

"""Where things lie."""

from dataclasses import dataclass

from segassess.options.option import option


@dataclass(frozen=True, kw_only=True)
class PathOptions:
    """The config group `paths`."""

    root: str = option("Root of the repository, with the scripts.", "${oc.env:SEGASSESS_ROOT}", path=True)
    data_dir: str = option("Data sets.", "${paths.root}/data", path=True)
    shared_dir: str = option(
        "Folder beside the repository with real tiles (dataset=shared_tiles).", "${paths.root}/../shared", path=True
    )
    output_root: str = option("Folders of runs.", "outputs", path=True)
    buckets: str = option(
        "Where results are made and kept that go to an output_dir in a bucket.", "${paths.output_root}/buckets", path=True
    )
    graphs: str = option("Graphs that backend= made of checkpoints.", "${paths.output_root}/graphs", path=True)
    run: str = option("The folder of this run.", "${hydra:runtime.output_dir}", path=True)
    segmenters: str = option("Networks of segmenters, by data set and segmenter.", "${paths.output_root}/segmenters", path=True)
    checkpoint: str = option(
        "The assessor that evaluate.py and predict.py use unless told otherwise.",
        "${oc.env:SEGASSESS_CHECKPOINTS,${paths.root}/checkpoints}/twin_lite0.safetensors",
        path=True,
    )

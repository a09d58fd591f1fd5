"""Lightning's trainer."""

from dataclasses import dataclass
from typing import Literal

from segassess.options.checking import Target
from segassess.options.option import Share, option


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """The config group `trainer`: options of Lightning's trainer that the files of the group set."""

    _target_: str = option("The class of the trainer.", "lightning.Trainer")
    accelerator: str = option("Device type: cpu, gpu, auto or another of Lightning's.", "cpu")
    devices: int | tuple[int, ...] | str = option("Number of devices, or their indices.", 1, low=-1)
    num_nodes: int = option("Machines.", 1, low=1)
    strategy: str | Target = option("How processes share the work: auto, ddp, fsdp or another of Lightning's.", "auto")
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "32"] = option(
        "Bf16 is slower on CPUs without it.", "32-true"
    )
    max_epochs: int | None = option("Epochs; -1 is no limit.", 12, low=-1)
    max_steps: int = option("Steps; -1 is no limit.", -1, low=-1)
    max_time: str | None = option("Wall-clock limit, as DD:HH:MM:SS.", None)
    limit_train_batches: int | Share = option("Training batches per epoch; 1.0 is all.", 1.0, low=0)
    limit_val_batches: int | Share = option("Validation batches; 1.0 is all.", 1.0, low=0)
    limit_test_batches: int | Share = option("Batches of an evaluation; 1.0 is all.", 1.0, low=0)
    check_val_every_n_epoch: int = option("Validate every so many epochs.", 1, low=1)
    accumulate_grad_batches: int = option("Batches whose gradients are added up before a step.", 1, low=1)
    gradient_clip_val: float | None = option("Limit of the gradient's norm.", 1.0, low=0)
    overfit_batches: int | Share = option(
        "Train repeatedly on so many batches, to see whether a model can learn them.", 0.0, low=0
    )
    fast_dev_run: bool | int = option("Run one (or so many) batches of every stage as a check.", False, low=0)
    sync_batchnorm: bool = option("Share the statistics of batch normalisation between all processes (GPU only).", False)
    deterministic: bool | Literal["warn"] = option("Refuse operations that are not reproducible.", False)
    benchmark: bool | None = option("Find the fastest convolutions (GPU, fixed sizes).", False)
    log_every_n_steps: int = option("Log every so many steps.", 10, low=1)
    num_sanity_val_steps: int = option("Validation batches before training, as a check.", 0, low=-1)
    profiler: Literal["simple", "advanced", "pytorch"] | Target | None = option(
        "Profile the run; debug=profile writes files.", None
    )
    enable_progress_bar: bool = option("Show a progress bar.", True)
    enable_model_summary: bool = option("Print the layers of the network before training.", False)
    use_distributed_sampler: Literal[False] = option(
        "Always false, because the sampler itself shares tiles between processes without counting any twice.", False
    )

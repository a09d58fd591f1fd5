"""The LightningDataModule: which tiles, which sources, in which batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import lightning as L
from torch.utils.data import DataLoader

from segassess.data.batch import Batch
from segassess.data.sampling import AmsDataset, EvaluationDataset, MixedCollate, TileSampler, collate_tiles
from segassess.data.sources import MaskSource, available_sources, make_sources
from segassess.data.tiles import TileSet
from segassess.data.transforms import build_augmentation
from segassess.errors import RequestError


@dataclass(frozen=True)
class SamplingSettings:
    """How training views are drawn; see `conf/sampling` for the meaning of each key."""

    images_per_batch: int = 4
    views: int | None = None
    crop: int | None = None
    object_crops: float = 0.5
    photometric: float = 0.0
    geometric: float = 0.0
    cache: bool = True

    def __post_init__(self) -> None:
        for name in ("images_per_batch", "views", "crop"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"sampling.{name} must be at least 1, not {value}.")
        for name in ("object_crops", "photometric", "geometric"):
            if not 0 <= getattr(self, name) <= 1:
                raise RequestError(f"sampling.{name} must lie in [0, 1], not {getattr(self, name)}.")


class AssessmentData(L.LightningDataModule):
    """Masks to learn from and to be evaluated on.

    Args:
        tileset: the data set.
        made: names of sources that are made rather than read (recipes of perturbations, "discriminant").
        train_sources: sources to train and validate on; None is all available but the held-out ones.
        held_out: unseen sources; never used in training or selection.
        test_sources: sources to evaluate with `test_dataloader`; None is all available.
        test_split: split of `test_dataloader`.
        sampling: how training views are drawn.
        num_workers: loader processes; 0 loads in the main process.
        seed: of all random choices.
    """

    def __init__(
        self,
        tileset: TileSet,
        *,
        made: Sequence[str] = (),
        train_sources: Sequence[str] | None = None,
        held_out: Sequence[str] = (),
        test_sources: Sequence[str] | None = None,
        test_split: str = "test",
        sampling: SamplingSettings | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.tileset = tileset
        self.made = tuple(made)
        self.wanted_sources = train_sources
        self.held_out = tuple(held_out)
        self.test_sources = test_sources
        self.test_split = test_split
        self.sampling = sampling or SamplingSettings()
        self.num_workers = num_workers
        self.seed = seed
        self._sources: dict[tuple[str, str], MaskSource] = {}
        self._train: AmsDataset | None = None

    @property
    def train_sources(self) -> list[str]:
        """Names of the sources that training sees: the wanted ones, none of them held out.

        Raises:
            RequestError: if a wanted source is held out, or none is left.
        """
        available = available_sources(self.tileset, "train", self.made)
        wanted = (
            [name for name in available if name not in self.held_out]
            if self.wanted_sources is None
            else list(self.wanted_sources)
        )
        if both := sorted(set(wanted) & set(self.held_out)):
            raise RequestError(
                f"The source {both[0]} is in sampling.sources and in held_out; an unseen source must not be trained on."
            )
        if not wanted:
            raise RequestError(
                f"No training source is left: {self.tileset.root} offers {', '.join(available) or 'none'}, all held out."
            )
        return wanted

    def sources(self, names: Sequence[str], split: str) -> list[MaskSource]:
        """Build sources by name, each once."""
        for name in names:
            if (name, split) not in self._sources:
                self._sources[name, split] = make_sources([name], self.tileset, split, self.seed)[0]
        return [self._sources[name, split] for name in names]

    def train_dataset(self) -> AmsDataset:
        """The training views (built once)."""
        if self._train is None:
            settings = self.sampling
            self._train = AmsDataset(
                self.tileset.tiles("train"),
                self.sources(self.train_sources, "train"),
                views=settings.views,
                crop=settings.crop,
                object_crops=settings.object_crops,
                augmentation=build_augmentation(settings.photometric, settings.geometric),
                seed=self.seed,
                cache=settings.cache,
            )
        return self._train

    def evaluation_dataset(self, split: str, sources: Sequence[str]) -> EvaluationDataset:
        """Whole tiles of a split with the masks of the named sources."""
        return EvaluationDataset(
            self.tileset.tiles(split), self.sources(sources, split), seed=self.seed, cache=self.sampling.cache
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled AMS batches; the last incomplete one is dropped unless it is the only one."""
        dataset = self.train_dataset()
        rank, world = self._rank_and_world()
        sampler = TileSampler(len(dataset), shuffle=True, seed=self.seed, rank=rank, world=world)
        size = self.sampling.images_per_batch
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=size,
            sampler=sampler,
            collate_fn=MixedCollate(self.seed),
            drop_last=len(sampler) >= size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation split with the TRAINING sources, the only data that selects anything."""
        return self._evaluation_loader("valid", self.train_sources)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test split with the sources under evaluation."""
        names = available_sources(self.tileset, self.test_split, self.made) if self.test_sources is None else self.test_sources
        return self._evaluation_loader(self.test_split, names)

    def _evaluation_loader(self, split: str, sources: Sequence[str]) -> DataLoader[Batch]:
        dataset = self.evaluation_dataset(split, sources)
        rank, world = self._rank_and_world()
        sampler = TileSampler(len(dataset), shuffle=False, rank=rank, world=world)
        return DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_size=1,
            sampler=sampler,
            collate_fn=collate_tiles,
            num_workers=self.num_workers,
        )

    def _rank_and_world(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

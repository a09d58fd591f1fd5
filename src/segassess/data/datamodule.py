"""LightningDataModules: which tiles, which sources, in which batches."""

from collections.abc import Sequence

import lightning as L
from torch.utils.data import DataLoader

from segassess.data.batch import Batch
from segassess.data.folds import divide
from segassess.data.mask_records import refuse_seen
from segassess.data.sampling import AmsDataset, EvaluationDataset, MixedCollate, TileSampler, collate_tiles
from segassess.data.sources import DISCRIMINANT, FileSource, MaskSource, TruthSource, available_sources, make_source
from segassess.data.tiles import Tile, TileSet, sources_on_disk
from segassess.errors import RequestError
from segassess.options.sampling import SamplingSettings as SamplingSettings


def training_tiles(tileset: TileSet, selection_share: float) -> list[Tile]:
    """Tiles to learn from: the training split without what `selection_tiles` takes of it."""
    selection = _selection_part(tileset, selection_share)
    return [tile for tile in tileset.learning_tiles("train") if tile.name not in selection]


def selection_tiles(tileset: TileSet, selection_share: float) -> list[Tile]:
    """Tiles that select and calibrate a checkpoint: the validation split, or a share of the training split.

    With a share, the validation split takes no part in training and may be reported.
    """
    selection = _selection_part(tileset, selection_share)
    if not selection:
        return tileset.learning_tiles("valid")
    return [tile for tile in tileset.learning_tiles("train") if tile.name in selection]


def _selection_part(tileset: TileSet, share: float) -> set[str]:
    if not share:
        return set()
    # The division belongs to the data and is the same for all seeds, and for segmenters and assessors.
    return {tile.name for tile in divide(tileset.selectable_tiles(), round(1 / share), seed=0)[0]}


class TileData(L.LightningDataModule):
    """Draws views and deals batches to ranks, for both data modules; `num_workers=0` loads in the main process."""

    def __init__(self, *, sampling: SamplingSettings | None = None, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.sampling = sampling or SamplingSettings()
        self.num_workers = num_workers
        self.seed = seed

    def _training_loader(self, dataset: AmsDataset) -> DataLoader[Batch]:
        """Shuffled AMS batches; an incomplete last batch is dropped unless it is the only one."""
        rank, world = self._rank_and_world()
        sampler = TileSampler(len(dataset), shuffle=True, seed=self.seed, rank=rank, world=world, weights=dataset.weights)
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

    def _evaluation_loader(self, dataset: EvaluationDataset) -> DataLoader[Batch]:
        """Single tiles with all of their masks."""
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


class SegmentationData(TileData):
    """Images and truth for a segmenter; `valid_tiles` select the checkpoint. For the options, see `TileData`."""

    def __init__(self, train_tiles: Sequence[Tile], valid_tiles: Sequence[Tile], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.train_tiles, self.valid_tiles = list(train_tiles), list(valid_tiles)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled views whose mask is the truth."""
        return self._training_loader(AmsDataset(self.train_tiles, [TruthSource()], self.sampling, views=1, seed=self.seed))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Whole tiles whose mask is the truth."""
        return self._evaluation_loader(EvaluationDataset(self.valid_tiles, [TruthSource()], cache=self.sampling.cache))


class AssessmentData(TileData):
    """Masks to train and evaluate on.

    `made` names the sources that are generated (perturbation recipes, "discriminant"). `held_out` sources never take part in
    training or selection. `train_sources=None` uses all other sources, `test_sources=None` all. For the options, see `TileData`.
    """

    def __init__(
        self,
        tileset: TileSet,
        *,
        made: Sequence[str] = (),
        train_sources: Sequence[str] | None = None,
        held_out: Sequence[str] = (),
        test_sources: Sequence[str] | None = None,
        test_split: str | Sequence[str] = "test",
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.tileset = tileset
        self.made = tuple(made)
        self.wanted_sources = train_sources
        self.held_out = tuple(held_out)
        self.test_sources = test_sources
        self.test_split = test_split
        self._made_sources: dict[str, MaskSource] = {}
        self._train: AmsDataset | None = None

    @property
    def train_sources(self) -> list[str]:
        """Names of the training sources; RequestError if one is held out, or none is left."""
        if self.wanted_sources is None:
            available = available_sources(self.training_tiles(), self.made)
            wanted = [name for name in available if name not in self.held_out]
        else:
            available = wanted = list(self.wanted_sources)
        if both := sorted(set(wanted) & set(self.held_out)):
            raise RequestError(
                f"The source {both[0]} is in sampling.sources and in held_out; an unseen source must not be trained on."
            )
        if not wanted:
            raise RequestError(
                f"No training source is left: {self.tileset.root} offers {', '.join(available) or 'none'}, all held out."
            )
        return wanted

    def sources(self, names: Sequence[str], tiles: Sequence[Tile]) -> list[MaskSource]:
        """Build the named sources; fitted ones are kept."""
        on_disk = sources_on_disk(tiles)
        sources: list[MaskSource] = []
        for name in names:
            if name in on_disk:
                sources.append(FileSource(name))
                continue
            if name not in self._made_sources:
                self._made_sources[name] = make_source(name, self.training_tiles, on_disk, self.seed)
            sources.append(self._made_sources[name])
        return sources

    def training_tiles(self) -> list[Tile]:
        """See the function of this name."""
        return training_tiles(self.tileset, self.sampling.selection_share)

    def selection_tiles(self) -> list[Tile]:
        """See the function of this name."""
        return selection_tiles(self.tileset, self.sampling.selection_share)

    def train_dataset(self) -> AmsDataset:
        """Training views (built once); RequestError if `cross_fit` is on and a segmenter saw the image of its mask."""
        if self._train is None:
            tiles = self.training_tiles()
            if self.sampling.online:
                # One view per image without a mask; `training.online_ams` draws the masks on the device.
                self._train = AmsDataset(tiles, [TruthSource()], self.sampling, views=1, turn=False, seed=self.seed)
            else:
                names = self.train_sources
                if self.sampling.cross_fit:
                    for name in names:
                        refuse_seen(name, tiles)
                    if DISCRIMINANT in set(names) - set(sources_on_disk(tiles)):
                        raise RequestError(
                            f"The source {DISCRIMINANT} learns from the training tiles and would draw masks of the same images; "
                            "name it in held_out, or set sampling.cross_fit=false."
                        )
                sources = self.sources(names, tiles)
                self._train = AmsDataset(tiles, sources, self.sampling, views=self.sampling.views, seed=self.seed)
        return self._train

    def evaluation_dataset(self, tiles: Sequence[Tile], sources: Sequence[str]) -> EvaluationDataset:
        """Whole tiles with the masks of the named sources."""
        return EvaluationDataset(tiles, self.sources(sources, tiles), seed=self.seed, cache=self.sampling.cache)

    def test_tiles(self) -> list[Tile]:
        """Tiles of the splits to evaluate; RequestError if two splits share a tile name."""
        splits = [self.test_split] if isinstance(self.test_split, str) else list(self.test_split)
        tiles = [tile for split in splits for tile in self.tileset.tiles(split)]
        names = [tile.name for tile in tiles]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RequestError(f"The tile {twice} lies in several of the splits {', '.join(splits)}; evaluate them one by one.")
        return tiles

    def test_source_names(self) -> list[str]:
        """All sources with masks of the test tiles."""
        return available_sources(self.test_tiles(), self.made)

    def tiles_of(self, source: str) -> list[Tile]:
        """Tiles of the splits to evaluate that have a mask of a source."""
        tiles = self.test_tiles()
        (found,) = self.sources([source], tiles)
        return [tile for tile in tiles if found.covers(tile)]

    def train_dataloader(self) -> DataLoader[Batch]:
        """See `_training_loader`."""
        return self._training_loader(self.train_dataset())

    def val_dataloader(self) -> DataLoader[Batch]:
        """Selection tiles with TRAINING sources, the only data that selects anything."""
        return self._evaluation_loader(self.evaluation_dataset(self.selection_tiles(), self.train_sources))

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test tiles with the masks of the test sources."""
        names = self.test_source_names() if self.test_sources is None else self.test_sources
        return self._evaluation_loader(self.evaluation_dataset(self.test_tiles(), names))

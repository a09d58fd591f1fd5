import pytest

from segassess.data.datamodule import AssessmentData, SamplingSettings
from segassess.data.tiles import FolderTiles, SharedTiles
from segassess.errors import RequestError


def data(root, share: float) -> AssessmentData:
    return AssessmentData(
        FolderTiles(root), sampling=SamplingSettings(images_per_batch=1, selection_share=share), held_out=["ocrnet"]
    )


def test_without_a_share_the_validation_split_selects(tiny_folder):
    tiles = data(tiny_folder, 0.0)
    assert len(tiles.training_tiles()) == 8
    assert [tile.name for tile in tiles.selection_tiles()] == ["valid_0", "valid_1", "valid_2"]


def test_a_share_of_the_training_groups_selects_and_is_not_trained_on(tiny_folder):
    tiles = data(tiny_folder, 0.25)
    training, selection = ({tile.name for tile in part} for part in (tiles.training_tiles(), tiles.selection_tiles()))
    assert len(selection) == 2 and len(training) == 6 and not training & selection
    assert {name for batch in tiles.train_dataloader() for name in batch.name} == training
    assert {name for batch in tiles.val_dataloader() for name in batch.name} == selection


def test_a_group_is_never_divided_between_training_and_selection(shared_data):
    tiles = AssessmentData(SharedTiles(shared_data, shared_data / "none"), sampling=SamplingSettings(selection_share=0.125))
    training, selection = ({tile.group for tile in part} for part in (tiles.training_tiles(), tiles.selection_tiles()))
    assert training and selection and not training & selection


def test_a_share_out_of_range_is_refused():
    with pytest.raises(RequestError, match=r"sampling\.selection_share .*0\.9"):
        SamplingSettings(selection_share=0.9)

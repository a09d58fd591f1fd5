from pathlib import Path

import pytest

from segassess.data.folds import divide
from segassess.data.tiles import SharedTiles, Tile
from segassess.errors import RequestError


def tiles(groups: dict[str, int], region: str = "here") -> list[Tile]:
    return [
        Tile(f"{region}_{group}_{number}", Path("image.png"), None, group=group, region=region)
        for group, count in groups.items()
        for number in range(count)
    ]


@pytest.mark.parametrize("folds", [2, 3])
def test_groups_stay_whole_and_folds_are_even_in_every_region(folds):
    given = tiles({"a": 4, "b": 4, "c": 2, "d": 2}) + tiles({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}, "there")
    parts = divide(given, folds, seed=3)
    assert sorted(tile.name for part in parts for tile in part) == sorted(tile.name for tile in given)
    groups = [{(tile.region, tile.group) for tile in part} for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    for region, count in (("here", 12), ("there", 6)):
        sizes = [sum(tile.region == region for tile in part) for part in parts]
        assert max(sizes) - min(sizes) <= (0 if count % folds == 0 and folds == 2 else 2)


def test_the_same_seed_gives_the_same_folds_and_another_others():
    given = tiles({str(group): 2 for group in range(20)})
    assert divide(given, 4, 1) == divide(given, 4, 1) != divide(given, 4, 2)


def test_what_cannot_be_divided():
    with pytest.raises(RequestError, match="folds must be at least 2, not 1"):
        divide(tiles({"a": 1, "b": 1}), 1, 0)
    with pytest.raises(RequestError, match=r"2 groups .* 3 folds; set folds=2"):
        divide(tiles({"a": 5, "b": 5}), 3, 0)


def test_real_tiles_are_divided_by_scene(shared_data):
    parts = divide(SharedTiles(shared_data, shared_data / "nothing").tiles("train"), 2, 20)
    assert [len(part) for part in parts] == [122, 122]
    first, second = ({tile.group for tile in part} for part in parts)
    assert not first & second

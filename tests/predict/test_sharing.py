"""Work divided between processes."""

import numpy as np
import pytest

from segassess.predict.sharing import Part, share


def test_one_process_has_all():
    assert share([(3, 2), (1, 5)], 1) == [[Part(0, range(3), True), Part(1, range(1), True)]]


def test_a_large_scene_is_cut_between_bands():
    first, second = share([(2, 4), (10, 4), (2, 4)], 2)
    assert first == [Part(0, range(2), True), Part(1, range(5), False)]
    assert second == [Part(1, range(5, 10), False), Part(2, range(2), True)]
    assert first[1].first and not second[0].first


def test_more_processes_than_bands():
    parts = share([(1, 3)], 4)
    assert sum(map(len, parts)) == 1 and share([], 3) == [[], [], []]


@pytest.mark.parametrize("processes", [1, 2, 3, 7, 16])
def test_no_duplicates_no_gaps_and_equal_parts(processes):
    rng = np.random.default_rng(processes)
    for _ in range(50):
        scenes = [(int(bands), int(work)) for bands, work in rng.integers(1, 30, (rng.integers(1, 12), 2))]
        parts = share(scenes, processes)
        assert len(parts) == processes
        pieces = [(part.scene, band) for mine in parts for part in mine for band in part.bands]
        assert pieces == [(scene, band) for scene, (bands, _) in enumerate(scenes) for band in range(bands)]
        for part in (part for mine in parts for part in mine):
            assert part.whole == (len(part.bands) == scenes[part.scene][0])
        work = [sum(len(part.bands) * scenes[part.scene][1] for part in mine) for mine in parts]
        total, largest = sum(bands * work for bands, work in scenes), max(work for _, work in scenes)
        assert max(abs(each - total / processes) for each in work) <= largest

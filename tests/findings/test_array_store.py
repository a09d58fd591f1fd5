import tempfile
from pathlib import Path

import numpy as np
import pytest

from segassess.errors import OutputError
from segassess.findings.array_store import ArrayStore, GrowingArray

FULL = Path("/dev/full")
VALUES = np.arange(10) ** 2, np.linspace(0, 1, 10), np.array(["FP", "partly wrong", "", *"abcdefg"], object)


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_is_kept_comes_back(on_disk, tmp_path):
    store = ArrayStore(tmp_path / "new" if on_disk else None)
    kept = [store.keep(values) for values in (*VALUES, np.zeros(0))]
    for each, values in zip(kept, VALUES, strict=False):
        assert np.asarray(each).dtype == values.dtype and np.asarray(each).tolist() == values.tolist()
        assert each[3:5].tolist() == values[3:5].tolist() and each[8:40].tolist() == values[8:].tolist()
        assert len(each) == 10 and len(each[4:4]) == 0
    assert len(kept[3]) == len(np.asarray(kept[3])) == 0
    grown = GrowingArray(store, np.int32)
    for part in (slice(0, 4), slice(4, 4), slice(4, 10)):
        grown.append(VALUES[0][part])
    assert len(grown) == 10 and grown.whole().tolist() == VALUES[0].tolist() and grown.whole().dtype == np.int32
    assert [len(chunk) for chunk in grown] == [4, 6]
    assert grown.ranges(np.array([7, 0, 4]), np.array([2, 3, 1])).tolist() == [49, 64, 0, 1, 4, 16]
    assert GrowingArray(store).whole().tolist() == []


def test_the_file_has_no_name_so_a_killed_process_leaves_none(tmp_path):
    store = ArrayStore(tmp_path)
    store.keep(np.zeros(10**6))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: FULL.open("r+b", buffering=0))
    with pytest.raises(
        OutputError, match=r"cannot be written \(No space left on device\); make room and run the same command again"
    ):
        ArrayStore(tmp_path).keep(np.zeros(10))

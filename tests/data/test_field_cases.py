"""Folders of training data as people have them."""

import shutil

import numpy as np
import pytest

from segassess.data.tiles import FolderTiles, sources_on_disk
from segassess.errors import RequestError
from tests.conftest import save


@pytest.fixture
def folder(tmp_path):
    for name in ("t0", "t1"):
        for part in ("image", "binary_map", "seg_preds/alpha"):
            save(tmp_path / "train" / part / f"{name}.png", np.zeros((8, 8, 3) if part == "image" else (8, 8), np.uint8))
    return tmp_path


def origins(folder, text, encoding="utf-8"):
    (folder / "train" / "tiles.csv").write_text(text, encoding=encoding)
    return [(tile.group, tile.region) for tile in FolderTiles(folder).tiles("train")]


def test_a_hidden_folder_is_no_source(folder):
    shutil.copytree(folder / "train" / "seg_preds" / "alpha", folder / "train" / "seg_preds" / ".ipynb_checkpoints")
    assert sources_on_disk(FolderTiles(folder).tiles("train")) == ["alpha"]


@pytest.mark.parametrize("part", ["image", "binary_map", "seg_preds/alpha"])
def test_two_files_of_one_stem_are_refused(folder, part):
    save(folder / "train" / part / "t0.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(RequestError, match=r"t0\.png.*t0\.tif"):
        FolderTiles(folder).tiles("train")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("header", ["name,group,region\n", "Name; GROUP ;Region\n", "sep=;\nname;group;region\n"])
@pytest.mark.parametrize("suffix", ["", ".tif"])
def test_tiles_csv_as_spreadsheets_save_it(folder, encoding, header, suffix):
    between = ";" if ";" in header else ","
    rows = "".join(f"t{number}{suffix}{between} scene{between}north\n" for number in range(2))
    assert origins(folder, header + rows, encoding) == [("scene", "north")] * 2


@pytest.mark.parametrize(
    ("rows", "named"), [("t0,a,b\n", "t1"), ("t0,a,b\nt1,a,b\nt2,a,b\n", "t2"), ("t0,a,b\nt1,a,b\nt0.png,c,b\n", "t0")]
)
def test_rows_and_tiles_must_match(folder, rows, named):
    with pytest.raises(RequestError, match=named):
        origins(folder, "name,group,region\n" + rows)

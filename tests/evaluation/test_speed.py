import subprocess

import numpy as np
import pytest
from PIL import Image

from segassess.evaluation import speed
from segassess.evaluation.speed_parts import PARTS, REST, START, Clock


def test_parts_of_a_prediction(tmp_path, capsys):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.kron(np.eye(2), np.full((32, 32), 255)).astype(np.uint8)).save(tmp_path / "b.png")
    speed.main([f"image={tmp_path / 'a.png'}", f"mask={tmp_path / 'b.png'}", "repeats=1"])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[2:]] == [START, *PARTS, REST, "all but start", "all but start, read, network"]
    seconds = {line[0]: float(line[1]) for line in lines[2:]}
    assert seconds[START] > 0.5 and seconds["network"] > 0 and seconds["findings"] > 0 and seconds["report"] > 0


def test_what_a_part_spends_in_another_counts_for_that(monkeypatch):
    now = iter([2.0, 5.0, 6.0, 10.0, 11.0])
    monkeypatch.setattr("time.process_time", lambda: next(now))
    clock = Clock()
    clock.begin()
    with clock.running("findings"), clock.running("rasters"):
        pass
    seconds = {part: spent for part, spent in clock.seconds.items() if spent}
    assert seconds == {START: 2.0, REST: 3.0, "findings": 1.0 + 1.0, "rasters": 4.0}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["image=a.tif"], "image=FILE and mask=FILE"),
        (["image=a.tif", "mask=b.tif"], "image=a.tif does not exist"),
        (["image=a.tif", "mask=b.tif", "repeats=0"], "repeats must be"),
        (["image=a.tif", "mask=b.tif", "against=none"], "against=none"),
    ],
)
def test_a_wrong_request_is_one_sentence(given, said, capsys):
    with pytest.raises(SystemExit) as caught:
        speed.main(given)
    assert caught.value.code == 2 and said in capsys.readouterr().err
    trees = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, check=False).stdout
    assert "earlier" not in trees

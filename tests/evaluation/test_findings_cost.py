import numpy as np
import pytest
from PIL import Image

from segassess.evaluation import findings_cost


def test_findings_of_squares_that_repeat_a_scene(tmp_path, capsys):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 20:50] = 255
    Image.fromarray(mask).save(tmp_path / "b.png")
    findings_cost.main([f"image={tmp_path / 'a.png'}", f"mask={tmp_path / 'b.png'}", "sides=64,192", "panel=false"])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[1] for line in lines] == ["64", "192"]
    # Nine times the scene has nine times the object of the mask, and missed ones.
    objects = [int(line[3]) for line in lines]
    assert 1 <= objects[0] < 9 <= objects[1]
    for line in lines:
        before, peak = (float(cell.removesuffix(" MB").replace(",", "")) for cell in line[5:])
        assert 100 < before <= peak


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["image=a.tif", "mask=b.tif"], "image=FILE, mask=FILE and sides="),
        (["image=a.tif", "mask=b.tif", "sides=5000,ten"], "not 5000,ten"),
        (["image=a.tif", "mask=b.tif", "sides=0"], "not 0"),
        (["image=a.tif", "mask=b.tif", "sides=64", "against=none"], "against=none"),
    ],
)
def test_a_wrong_request_is_one_sentence(given, said, capsys):
    with pytest.raises(SystemExit) as caught:
        findings_cost.main(given)
    assert caught.value.code == 2 and said in capsys.readouterr().err

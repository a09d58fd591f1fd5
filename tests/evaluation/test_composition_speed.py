"""The cost of the paper's composition, measured on the smallest image."""

import pytest

from segassess.evaluation import composition_speed


@pytest.mark.slow
def test_a_row_for_each_pass(capsys):
    composition_speed.main(["sides=32"])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines[2:]] == [*composition_speed.PASSES.values(), composition_speed.RECOMPUTE]
    assert all(float(line[2]) > 0 for line in lines[2:])


@pytest.mark.parametrize(
    ("given", "said"), [(["sides=8"], "from 16 on"), (["side=320"], "give against=COMMIT"), (["against=none"], "against=none")]
)
def test_a_wrong_request_is_one_sentence(given, said, capsys):
    with pytest.raises(SystemExit) as caught:
        composition_speed.main(given)
    assert caught.value.code == 2 and said in capsys.readouterr().err

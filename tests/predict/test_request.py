"""A request: what fails and what goes on, and what is said of results that are replaced."""

import pytest
from rasterio._err import CPLE_AppDefinedError

from segassess.errors import OutputError, RequestError
from segassess.predict.pair_job import JudgedPair, PairJob
from segassess.predict.request import JudgeRequest, Outcome
from segassess.raster.pairs import Pair


def jobs(folder, names):
    return [PairJob(Pair(name, f"{name}.tif", {}), None, folder / name) for name in names]


@pytest.fixture(autouse=True)
def nothing_complete(monkeypatch):
    monkeypatch.setattr(PairJob, "earlier_result", lambda job: None)


def test_results_of_other_inputs_are_not_replaced_without_a_word(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(PairJob, "run", lambda *given: JudgedPair([]))

    def said(overwrite):
        caplog.clear()
        JudgeRequest(jobs(tmp_path, "a"), overwrite).judge(0)
        return caplog.messages

    assert said(overwrite=False) == []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "scores.json").write_text("{}")
    (message,) = said(overwrite=False)
    assert message.startswith("a ") and "judged again" in message
    assert said(overwrite=True) == []


@pytest.mark.parametrize("error", [CPLE_AppDefinedError(1, 1, "no such\nprojection"), RuntimeError(), MemoryError()], ids=repr)
@pytest.mark.parametrize("debug", [False, True])
def test_whatever_a_library_raises_the_others_are_judged(error, debug, tmp_path, monkeypatch, capsys):
    def run(job, shown):
        if job.pair.name == "b":
            raise error
        return JudgedPair([{"name": job.pair.name}])

    monkeypatch.setattr(PairJob, "run", run)
    request = JudgeRequest(jobs(tmp_path, "abcd"), traceback=debug)
    outcome = Outcome.of((index, request.judge(index)) for index in range(len(request)))
    assert [row["name"] for rows in outcome.rows.values() for row in rows] == ["a", "c", "d"]
    (failure,) = outcome.failures.values()
    assert failure.name == "b" and "b.tif" in failure.reason and "\n" not in failure.reason
    assert ("Traceback" in capsys.readouterr().err) == debug


@pytest.mark.parametrize("error", [OutputError("The disk is full."), RequestError("The folder is a file.")], ids=repr)
def test_what_no_scene_can_go_on_after_is_raised(error, tmp_path, monkeypatch):
    def run(job, shown):
        raise error

    monkeypatch.setattr(PairJob, "run", run)
    with pytest.raises(type(error)):
        JudgeRequest(jobs(tmp_path, "a")).judge(0)


def test_a_large_scene_is_left_to_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(PairJob, "work", lambda job: (9, 4))
    monkeypatch.setattr(PairJob, "run", lambda *given: JudgedPair([{"name": "a"}]))
    request = JudgeRequest(jobs(tmp_path, "a"))
    assert request.judge(0, most_bands=8).bands == 9
    whole = request.judge(0, most_bands=9)
    assert whole.bands == 0 and whole.rows == [{"name": "a"}]

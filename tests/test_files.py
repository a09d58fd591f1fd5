import multiprocessing
import os
import signal

import pytest

from segassess.errors import InputError, RequestError
from segassess.files import LOCK, only_one, remove_empty


def hold(folder, ready):
    with only_one(folder):
        ready.set()
        signal.pause()


def test_one_process_at_a_time_and_a_dead_one_keeps_nobody_out(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=hold, args=(tmp_path / "a" / "work", ready), daemon=True)
    other.start()
    assert ready.wait(20)
    with pytest.raises(InputError, match="is being written by another process"), only_one(tmp_path / "a" / "work"):
        pytest.fail("the block must not run")
    remove_empty(tmp_path / "a" / "work")
    assert (tmp_path / "a" / "work" / LOCK).is_file(), "a folder in which another process is at work stays"
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    with only_one(tmp_path / "a" / "work"):
        pass


def test_what_holds_something_is_not_removed(tmp_path):
    with only_one(tmp_path / "a" / "work"):
        (tmp_path / "a" / "work" / "sub").mkdir()
    (tmp_path / "a" / "work" / "sub" / "band").touch()
    remove_empty(tmp_path / "a" / "work")
    assert (tmp_path / "a" / "work" / "sub" / "band").is_file()
    (tmp_path / "a" / "work" / "sub" / "band").unlink()
    (tmp_path / "a" / "result").touch()
    remove_empty(tmp_path / "a" / "work")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]
    (tmp_path / "a" / "result").unlink()
    remove_empty(tmp_path / "a" / "work")
    assert not (tmp_path / "a").exists()
    remove_empty(tmp_path / "never" / "there")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"file is a file; give a folder\.$"), only_one(tmp_path / "file"):
        pytest.fail("the block must not run")
    with pytest.raises(RequestError, match=r"file is a file; give a folder\.$"), only_one(tmp_path / "file" / "work"):
        pytest.fail("the block must not run")

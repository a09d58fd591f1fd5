"""Paths in configs start from the project's folder."""

from unittest import mock

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="session", autouse=True)
def root():
    with mock.patch.dict("os.environ", SEGASSESS_ROOT=str(ROOT)):
        yield

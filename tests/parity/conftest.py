"""How many generated folders are compared with transformers: a few in every run of the tests, many by `make parity`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-folders", type=int, help="how many folders each module of tests/parity compares")
    parser.addoption("--parity-first", type=int, help="the seed of the first of them, such as one that differed")


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """The seeds of the folders to compare; a module's SHARE of them where no number is asked for."""
    # Without defaults: this file may be read after the command line.
    count = request.config.getoption("--parity-folders", None)
    first = request.config.getoption("--parity-first", None) or 0
    return range(first, first + (request.module.SHARE if count is None else count))

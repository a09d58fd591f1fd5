"""Hydra takes sweepers from the namespace `hydra_plugins` only, and imports all of it at each start, so nothing heavy here."""

from segassess.experiments.search import Search


class SearchSweeper(Search):
    """`hydra/sweeper=search`."""

"""Findings one by one, to compare them with."""

from types import SimpleNamespace


def each_of(table):
    """The rows of a `FindingsTable`, with the columns and `outline` as attributes."""
    return [SimpleNamespace(**row, outline=outline) for row, outline in zip(table.rows(), table.outlines(), strict=True)]

"""A table of one metric: rows and columns by name, some columns set apart, some cells marked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rich.markup import escape
from rich.table import Table

from segassess.outputs.tables import number


@dataclass(frozen=True)
class ScoreMatrix:
    """A table of one metric of one method.

    `corner` names the kind of the rows. `apart` are further columns, sources that no run was trained on. `values` are by row and
    column: NaN (a dash) where undefined or missing, absent where nothing belongs. `marked` cells were tested on what they were
    trained on.
    """

    title: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[str]
    apart: Sequence[str]
    values: Mapping[tuple[str, str], float]
    marked: frozenset[tuple[str, str]] = frozenset()

    def with_means(self) -> "ScoreMatrix":
        """Add the mean of the columns, and that of several columns apart."""
        values = dict(self.values)
        groups = []
        for group, name in ((list(self.columns), "mean"), (list(self.apart), "zero-shot mean")):
            if len(group) > 1:
                for row in self.rows:
                    values[row, name] = fmean(values.get((row, column), math.nan) for column in group)
                group.append(name)
            groups.append(group)
        return replace(self, columns=groups[0], apart=groups[1], values=values)

    def terminal(self) -> Table:
        """As a table for the terminal; marked cells are bold."""
        table = Table(title=escape(self.title))
        for position, heading in enumerate(self._headings()):
            table.add_column(escape(heading), justify="right" if position else "left")
        for row in self.rows:
            table.add_row(escape(row), *self._cells(row, "[bold]{}[/bold]"))
        return table

    def markdown(self) -> str:
        """As Markdown; marked cells are bold."""
        lines = [self._headings(), ["---", *("---:" for _ in self._headings()[1:])]]
        lines += [[row, *self._cells(row, "**{}**")] for row in self.rows]
        return "\n".join([f"## {self.title}", "", *(f"| {' | '.join(line)} |" for line in lines)])

    def _headings(self) -> list[str]:
        apart = [name if name.startswith("zero-shot") else f"{name} (zero-shot)" for name in self.apart]
        return [self.corner, *self.columns, *([""] if apart else []), *apart]

    def _cells(self, row: str, bold: str) -> list[str]:
        def cell(column: str) -> str:
            text = number(self.values[row, column]) if (row, column) in self.values else ""
            return bold.format(text) if (row, column) in self.marked else text

        return [*map(cell, self.columns), *([""] if self.apart else []), *map(cell, self.apart)]

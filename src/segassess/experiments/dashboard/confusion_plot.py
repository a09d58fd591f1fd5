"""The confusion matrix of quality maps as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segassess.files import atomic_path
from segassess.quality import CLASS_NAMES


def write_confusion_plot(path: Path, confusion: NDArray[np.int64], title: str) -> None:
    """Draw pixel counts (4, 4), rows by true class, and their shares of each true class as PNG."""
    occurs = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, occurs, out=np.zeros(confusion.shape), where=occurs > 0)
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{100 * share:.1f} %\n{confusion[row, column]:,} px" if occurs[row, 0] else "-"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if share > 0.6 else "black")
    names = range(len(CLASS_NAMES))
    axes.set_xticks(names, CLASS_NAMES)
    axes.set_yticks(names, CLASS_NAMES)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, fontsize=10, loc="left", wrap=True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)

"""segassess: this mask came from somewhere; where is it wrong?"""

__version__ = "0.1.0"

"""segassess: this mask came from somewhere; where is it wrong?"""

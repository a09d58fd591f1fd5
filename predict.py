"""python predict.py: see --help, and conf/predict.yaml for every key."""

from segassess.cli.app import run_script

if __name__ == "__main__":
    run_script("predict", __file__)

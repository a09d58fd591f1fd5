"""python train.py: see --help, and conf/train.yaml for every key."""

from segassess.cli.app import run_script

if __name__ == "__main__":
    run_script("train", __file__)

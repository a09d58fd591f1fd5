"""python evaluate.py: see --help, and conf/evaluate.yaml for every key."""

from segassess.cli.app import run_script

if __name__ == "__main__":
    run_script("evaluate", __file__)

"""python -m segassess.prepare: see --help, and conf/prepare.yaml for every key."""

from segassess.pipelines.app import run_script

if __name__ == "__main__":
    run_script("prepare", __file__)

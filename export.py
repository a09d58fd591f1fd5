"""python export.py: see --help, and conf/export.yaml for every key."""

from segassess.cli.app import run_script

if __name__ == "__main__":
    run_script("export", __file__)

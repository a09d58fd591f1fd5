"""`python -m segassess COMMAND ...`: see `segassess.cli.console`."""

from segassess.cli.console import main

if __name__ == "__main__":
    main()

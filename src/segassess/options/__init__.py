"""Every option once: default, type, range and help, for the config files and for Python alike.

A dataclass per group of keys; `option.py` says what an option is, `checking.py` checks values, `scripts.py` names the options of
each script. Nothing heavy is imported here.
"""

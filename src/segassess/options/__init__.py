"""Every option once, for config files and for Python: default, type, range and help. Imports nothing heavy."""

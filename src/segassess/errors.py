"""The few exceptions that a user of segassess is meant to read.

Every message is one sentence that names the value at fault, says what is allowed and what to do. The command lines print it
without a traceback and turn it into an exit code (see `docs/command-lines.md`).
"""


class SegAssessError(Exception):
    """Base of all errors whose message is written for users."""


class RequestError(SegAssessError):
    """The request itself is wrong (a config value, a folder, a checkpoint): nothing was done; exit code 2."""


class ConfigError(RequestError):
    """A config key or value is not allowed."""


class CheckpointError(RequestError):
    """A checkpoint cannot be read or does not fit the model it is meant for."""


class InputError(SegAssessError):
    """One input (image, mask or truth) cannot be used; the others go on and the run ends with exit code 1."""


class OutputError(SegAssessError):
    """What is written has no room (a full disk): the run stops, what is complete stays, the same command goes on; exit code 1."""


class SomeInputsFailed(SegAssessError):
    """Raised at the end of a run in which some inputs failed and the rest was done; exit code 1."""

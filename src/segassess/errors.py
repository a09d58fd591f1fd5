"""Exceptions whose message users read: one sentence with the value, what is allowed and what to do (docs/command-lines.md)."""


class SegAssessError(Exception):
    """Base of all errors whose message is written for users."""


class RequestError(SegAssessError):
    """The request itself is wrong (a config value, a folder, a checkpoint) and nothing was done; exit code 2."""


class ConfigError(RequestError):
    """A config key or value is not allowed."""


class CheckpointError(RequestError):
    """A checkpoint cannot be read or does not fit the model it is meant for."""


class InputError(SegAssessError):
    """One input (image, mask or truth) cannot be used; the run continues with the others and ends with exit code 1."""


class OutputError(SegAssessError):
    """The disk is full or fails: the run stops, complete files stay and the same command resumes; exit code 1."""


class SomeInputsFailed(SegAssessError):
    """Some inputs of a finished run failed; exit code 1."""

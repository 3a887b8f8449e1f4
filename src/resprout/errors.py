"""What can go wrong that is the caller's to mend; the command line turns each into one line and exit code 2."""


class ResproutError(Exception):
    """Base of all errors that name a cause outside resprout and the way out of it."""


class DataError(ResproutError):
    """An input file, frame or id cannot be used; the message names file and line, or the id."""


class SettingsError(ResproutError):
    """A setting is unknown, of the wrong type, out of range, or clashes with another; the message names its key."""


class BudgetExceeded(ResproutError):
    """A table would need, or came to hold, more than its budget."""


class RunError(ResproutError):
    """A run folder is missing, taken, broken or unwritable."""


class TrainingError(ResproutError):
    """Training cannot go on, for instance because the loss is no longer a number; the message names the step."""

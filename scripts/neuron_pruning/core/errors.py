"""The one exception for errors that the user can fix."""


class UserError(ValueError):
    """Wrong input: the message names the file or key, what is wrong and what to do."""

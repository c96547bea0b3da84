"""The one exception for what the person at the keyboard can mend."""


class UserError(ValueError):
    """Wrong input: the message names the file or key, what is wrong and what to do."""

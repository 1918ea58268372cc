"""Errors of this package.

LabelingError
|-- AccountError      a name that is taken, a wrong password, a role that may not
|-- BlindTestRefused  a blind test set that cannot be chosen as asked
|-- LabelRefused      a label that cannot be stored; carries the reason
|-- OrderRefused      an order of work that names what the study does not have
`-- ProbeGone         a probe that cannot be made again
"""


class LabelingError(Exception):
    """Base of what this package raises on purpose; its text is a sentence for the user."""


class AccountError(LabelingError):
    """An account cannot be made, changed or used."""


class LabelRefused(LabelingError):
    """A label that cannot be stored, with the reason in plain words."""


class OrderRefused(LabelingError):
    """An order of work names what the study does not have."""


class ProbeGone(LabelingError):
    """A probe whose files are deleted or whose vectors are not at hand."""


class BlindTestRefused(LabelingError):
    """The blind test set cannot be chosen as asked, with the reason."""

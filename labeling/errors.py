"""Errors of this package.

LabelingError
|-- AccountError      a name that is taken, a wrong password, a role that may not
|-- BlindTestRefused  a blind test set that cannot be chosen as asked
|-- LabelRefused      a label that cannot be stored; carries the reason
|-- OrderRefused      an order of work that names what the study does not have
|   `-- OrderTooLong  more slides than an order names
|-- ProbeGone         a probe that cannot be made again
`-- ProbeOutdated     a probe that another version of the program made
"""

from datasets.bethesda import LabelSet
from datasets.told import sentence_of, told


class LabelingError(Exception):
    """Base of what this package raises on purpose; its text is a sentence for the user."""


class AccountError(LabelingError):
    """An account cannot be made, changed or used."""


class LabelRefused(LabelingError):
    """A label that cannot be stored, with the reason in plain words."""

    @property
    def reason(self) -> str:
        """The sentence; one made by `told` where a doctor can meet it."""
        return sentence_of(self)


class OrderRefused(LabelingError):
    """An order of work names what the study does not have."""


class OrderTooLong(OrderRefused):
    """An order of work names more slides than make sense."""


def comment_refused(comment: str | None, most: int) -> LabelRefused:
    """Return the refusal of a comment of more than so many characters."""
    return LabelRefused(told("a comment of {length} characters; at most {most}.", length=len(comment or ""), most=most))


def answer_refused(category: str, label_set: LabelSet) -> LabelRefused:
    """Return the refusal of an answer that the study does not have."""
    known = ", ".join(label_set.ids)
    return LabelRefused(
        told("{answer}: not in the label set {name} ({known}).", answer=category, name=label_set.id, known=known)
    )


class ProbeGone(LabelingError):
    """A probe whose files are deleted or whose vectors are not at hand."""


class ProbeOutdated(LabelingError):
    """A probe of another version of the program, which fitted in another way: nothing is wrong with it."""


class BlindTestRefused(LabelingError):
    """The blind test set cannot be chosen as asked, with the reason."""

"""Do suggestions lead the doctors? Counted from the answers that were given, changed and kept."""

from collections.abc import Callable, Sequence

import streamlit as st

from app.theme import ACCENT
from app.views import people, pieces
from app.views.pieces import ShareLine
from labeling import bias
from labeling.bias import Bias, Episode, Share, figures

_FEW = 20
"""Below this a share says little, and the page says so."""
_CALM, _WARNING = "#43936c", "#c9692b"

person, services, tr = people.require("bias"), people.services(), people.wording()


def line(name: str, share: Share, color: str = ACCENT) -> ShareLine:
    """Return a share with its counts and its interval."""
    if share.value is None:
        text = tr("none yet")
    else:
        low, high = share.interval
        text = tr("{hits} of {total}: {value:.0f} % ({low:.0f} to {high:.0f} %)", hits=share.hits, total=share.total,
                  value=100 * share.value, low=100 * low, high=100 * high)  # fmt: skip
        if share.total < _FEW:
            text += tr(", too few to say")
    return ShareLine(name=name, value=share.value, interval=share.interval, text=text, color=color)


def show_first(found: Bias) -> None:
    """Draw how often the first answer was the suggestion."""
    st.subheader(tr("First answers that were the suggestion"))
    pieces.shares(
        [
            line(tr("not seen before"), found.agreed_blind),
            line(tr("on screen before"), found.agreed_shown, _WARNING),
        ]
    )
    st.caption(
        tr("If the second share is higher than the first, suggestions on screen draw answers towards themselves. "
           "A study that asks first has no second share, but for answers after an undo.")
    )  # fmt: skip


def show_changes(found: Bias) -> None:
    """Draw how often a differing answer became the suggestion."""
    st.subheader(tr("Other answers that were changed to the suggestion"))
    pieces.shares(
        [
            line(tr("after it was told"), found.changed_told, _WARNING),
            line(tr("never told (check cells)"), found.changed_untold),
        ]
    )
    st.caption(
        tr("Check cells never tell their suggestion: so many answers change by themselves. Only what the first share "
           "has beyond the second can be the suggestion's doing.")
    )  # fmt: skip


def show_right(found: Bias) -> None:
    """Draw whether changing and keeping were right."""
    st.subheader(tr("Was it right?"))
    pieces.shares(
        [
            line(tr("changed, and then right"), found.right_to_change, _CALM),
            line(tr("changed, and gave up the right answer"), found.wrong_to_change, _WARNING),
            line(tr("kept, and right"), found.right_to_keep, _CALM),
            line(tr("kept, though the suggestion was right"), found.wrong_to_keep, _WARNING),
        ]
    )
    st.caption(
        tr("Right means: the adjudicator's verdict, or where there is none the label that came with the data. "
           "What is missing to 100 % was neither. Published for comparison (28 pathologists): wrong advice overturned "
           "a right answer in 7 % of consultations.")
    )  # fmt: skip


def show_groups(title: str, sentence: str, found: Sequence[Episode], group: Callable[[Episode], str],
                names: Sequence[tuple[str, str, str]]) -> None:  # fmt: skip
    """Draw agreement and changes of each category or doctor.

    Args:
        title: Heading.
        sentence: How to read it.
        found: First answers with a suggestion.
        group: Which group an answer is of.
        names: Id, name and colour of each group, in order.
    """
    st.subheader(title)
    parts = [(name, color, figures(e for e in found if group(e) == key)) for key, name, color in names]
    parts = [part for part in parts if part[2].agreed_blind.total + part[2].agreed_shown.total]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(tr("**First answer was the suggestion** (not seen before)"))
        pieces.shares([line(name, part.agreed_blind, color) for name, color, part in parts])
    with right:
        st.markdown(tr("**Another answer became the suggestion** (told after it)"))
        pieces.shares([line(name, part.changed_told, color) for name, color, part in parts])
    st.caption(sentence)


st.header(tr("Do suggestions lead?"))
all_episodes = bias.episodes(services.database)
if not all_episodes:
    pieces.empty(
        tr("No answer to count yet."),
        tr("This page counts answers to cells of which there was a suggestion. The first suggestion comes after the "
           "first labels of two different answers."),
        link=("/progress", tr("See how far the study is")),
    )  # fmt: skip
else:
    st.write(tr("{n} first answers to cells with a suggestion, all doctors together. Bars are 95 % intervals: where "
                "they are wide, the figure may be chance.", n=len(all_episodes)))  # fmt: skip
    overall = figures(all_episodes)
    show_first(overall)
    show_changes(overall)
    show_right(overall)
    show_groups(
        tr("By category of the suggestion"),
        tr("A category whose suggestions are often followed, though seldom right, should be asked blind."),
        all_episodes, lambda e: e.suggestion,
        [(c.id, tr(c.name), c.color) for c in services.label_set.categories],
    )  # fmt: skip
    show_groups(
        tr("By doctor"),
        tr("For a calm talk, not for a ranking: few cells and hard cells make large differences."),
        all_episodes, lambda e: e.annotator,
        [(name, name, ACCENT) for name in sorted({e.annotator for e in all_episodes})],
    )  # fmt: skip
st.caption(tr("Research use only. Not a medical device."))

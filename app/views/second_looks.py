"""Labels that deserve a second look, with their pictures; drawn below the review."""

import streamlit as st

from app.agreement_figures import read_figures
from app.services import Services
from datasets import catalog
from datasets.crops import read_own_png

_PER_ROW = 6
_SHOWN = 18
_FAMILIAR = 0.9
"""Novelty above which a doubt says little: the probe knows nothing like that cell."""


def show(services: Services) -> None:
    """Draw the labels that a probe without their slide finds unlikely, the least likely first.

    What the probe would say instead stays unsaid: a second look that knows it is no second look.
    """
    kept = read_figures(services)
    rows = kept["second_look"] if kept else []
    if not rows:
        return
    st.subheader(f"Worth a second look ({len(rows)})")
    st.caption(
        "Undisputed answers that the suggestions, learned without their slide, find least likely. Some of these "
        "doubts are mistaken: look at the picture, not at the doubt. Nothing is changed by the program."
    )
    known = catalog.crop_scales(services.database, [row["cell_id"] for row in rows])
    shown = [row for row in rows if row["cell_id"] in known][:_SHOWN]
    for start in range(0, len(shown), _PER_ROW):
        for column, row in zip(st.columns(_PER_ROW), shown[start : start + _PER_ROW], strict=False):
            name = services.label_set[row["answer"]].name
            column.image(
                read_own_png(catalog.crop_path(services.home, row["cell_id"])),
                caption=f"{name}?",
                alt=f"cell {row['cell_id']}",
            )
            column.caption(row["cell_id"] + (", unlike the other labelled cells" if row["novelty"] > _FAMILIAR else ""))

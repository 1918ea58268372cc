"""The pages in the order of their menu, and what it takes to see each."""

from app.words import word
from labeling.accounts import Right

PAGES: tuple[tuple[Right | None, str, str], ...] = (
    ("label", "label", word("Label")),
    ("label", "gallery", word("Gallery")),
    ("label", "cell_map", word("Map")),
    ("pictures", "slide", word("Slide")),
    ("adjudicate", "review", word("Review")),
    ("pictures", "slides", word("Slides")),
    ("quality", "quality", word("Quality")),
    ("progress", "progress", word("Progress")),
    ("bias", "bias", word("Bias")),
    ("export", "export", word("Export")),
    ("runs", "runs", word("Runs")),
    ("runs", "jobs", word("Jobs")),
    ("audit", "audit", word("Audit")),
    ("people", "team", word("Team")),
    ("runs", "study", word("Study")),
    (None, "settings", word("Settings")),
)
"""Right (None: whoever is signed in), file in `views`, title; the address is the title in small letters."""
NOT_SEEN = word("The role {role} does not see this page. An admin can change the role.")

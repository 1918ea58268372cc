"""The codes of categories in DICOM objects: SNOMED CT where the concept is certainly the same, else our own.

Certain is what stands in DICOM's own value sets (PS3.16) with the category's full meaning. The Bethesda
categories between negative and carcinoma are cytological interpretations for which PS3.16 has no code:
they keep the private scheme, whose values are the ids of the label set.
"""

from dataclasses import dataclass

from datasets.bethesda import LabelSet

SCHEME = "99CYTOJEPA"
SCHEME_NAME = "CytoJEPA label sets: a code is the id of a category"
_LONGEST_MEANING = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A coded concept (PS3.3, 8)."""

    value: str
    scheme: str
    meaning: str


SNOMED_CT = {
    ("bethesda", "SCC"): Code(value="1162767002", scheme="SCT", meaning="Squamous cell carcinoma"),
    ("bethesda", "adenocarcinoma"): Code(value="1187332001", scheme="SCT", meaning="Adenocarcinoma"),
}
"""Label set and category to concept; both stand in CID 638 and CID 639 of PS3.16."""


def code_of(category_id: str, label_set: LabelSet) -> Code:
    """Return the code that an object carries for a category."""
    known = SNOMED_CT.get((label_set.id, category_id))
    if known is not None:
        return known
    name = next((c.name for c in label_set.categories if c.id == category_id), category_id)
    return Code(value=category_id, scheme=SCHEME, meaning=name[:_LONGEST_MEANING])


def category_of(value: str, scheme: str, label_set: LabelSet) -> str | None:
    """Return the category that a code stands for, None for a code that is not one of ours."""
    if scheme == SCHEME:
        return value
    codes = {(code.value, code.scheme): category for (name, category), code in SNOMED_CT.items()
             if name == label_set.id}  # fmt: skip
    return codes.get((value, scheme))

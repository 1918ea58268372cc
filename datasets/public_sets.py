"""Public cell sets by the folders of their original archives: what they hold, their groups, their terms.

A set is recognised by the names of its class folders alone. What a file name tells about where a cell
comes from is its group: data is split by it, because cells of one picture look alike.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicSet:
    """A published set of class-named folders."""

    name: str
    citation: str
    terms: str
    folders: frozenset[str]
    """Names of its class folders, in small letters."""
    cell_folder: str | None = None
    """Where inside a class folder the pictures of single cells lie; None: in it."""
    group: re.Pattern[str] | None = None
    """Finds in a file's stem what it shares with other files of the same slide or picture; None: nothing tells."""
    has_groups_over_classes: bool = False
    """Whether the same group may stand in two class folders."""
    holds_whole_fields: bool = False
    """Its pictures are fields, and the folder says what the worst cell in one is: no label of any cell."""
    mpp: float | None = None
    """Published scale in um/px."""

    def group_of(self, category: str, stem: str) -> str | None:
        """Return what a file shares with others of the same slide, None when its name tells nothing."""
        match = self.group.match(stem) if self.group else None
        if match is None:
            return None
        return match.group(1) if self.has_groups_over_classes else f"{category}/{match.group(1)}"


HERLEV_SET = PublicSet(
    name="Herlev",
    citation="Jantzen, Norup, Dounias, Bjerregaard: Pap-smear benchmark data for pattern classification. NiSIS 2005.",
    terms="free for research with citation",
    folders=frozenset({
        "normal_superficiel", "normal_intermediate", "normal_columnar", "light_dysplastic", "moderate_dysplastic",
        "severe_dysplastic", "carcinoma_in_situ",
    }),
    group=re.compile(r"^(\d+-\d+)-\d+$"),
    has_groups_over_classes=True,
    mpp=0.201,
)  # fmt: skip

SIPAKMED_SET = PublicSet(
    name="SIPaKMeD",
    citation="Plissiti et al.: SIPAKMED, a new dataset for feature and image based classification of normal and "
    "pathological cervical cells in Pap smear images. ICIP 2018.",
    terms="free for research with citation",
    folders=frozenset({
        "im_superficial-intermediate", "im_parabasal", "im_koilocytotic", "im_dyskeratotic", "im_metaplastic",
    }),
    cell_folder="CROPPED",
    group=re.compile(r"^(\d+)_\d+$"),
)  # fmt: skip

MENDELEY_LBC_SET = PublicSet(
    name="Mendeley LBC",
    citation="Hussain et al.: Liquid based-cytology Pap smear dataset for automated multi-class diagnosis of "
    "pre-cancerous and cervical cancer lesions. Data in Brief 30 (2020).",
    terms="CC BY 4.0",
    folders=frozenset({
        "high squamous intra-epithelial lesion", "low squamous intra-epithelial lesion",
        "negative for intraepithelial malignancy", "squamous cell carcinoma",
    }),
    holds_whole_fields=True,
)  # fmt: skip

PUBLIC_SETS = (HERLEV_SET, SIPAKMED_SET, MENDELEY_LBC_SET)


def recognise(folder_names: Iterable[str]) -> PublicSet | None:
    """Return the set whose class folders these are, None for a folder of one's own.

    Args:
        folder_names: Names of the folders beside each other; two or more classes of a set are enough.
    """
    names = {name.lower() for name in folder_names}
    return next((known for known in PUBLIC_SETS if len(names) > 1 and names <= known.folders), None)

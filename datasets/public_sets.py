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
    mask: re.Pattern[str] | None = None
    """Fits the stem of a file that outlines the cell of another one: no cell of its own."""
    group: re.Pattern[str] | None = None
    """Finds in a file's stem what it shares with other files of the same slide or picture; None: nothing tells."""
    has_groups_over_classes: bool = False
    """Whether the same group may stand in two class folders."""
    holds_whole_fields: bool = False
    """Its pictures are fields, and the folder says what the worst cell in one is: no label of any cell."""
    told: str = "Its folders say what the worst cell of a field is, not which: no cell was labelled by it."
    """Of sets of whole fields: what of them cannot be used."""
    mpp: float | None = None
    """Published scale in um/px."""
    page: str = ""
    """Where its makers or publisher tell how to get it."""
    archive: str = ""
    """Lasting address of the archive itself, empty where there is only a page or nobody vouches for one."""
    sha256: str = ""
    """Of that archive; empty: not known to us, whoever fetches it must bring a sum."""

    def is_mask(self, stem: str) -> bool:
        """Return whether a file outlines the cell of another one."""
        return self.mask is not None and self.mask.fullmatch(stem) is not None

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
    mask=re.compile(r".+-d"),
    group=re.compile(r"^(\d+-\d+)-\d+$"),
    has_groups_over_classes=True,
    mpp=0.201,
    page="https://mde-lab.aegean.gr/index.php/downloads/",
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
    page="https://www.cs.uoi.gr/~marina/sipakmed.html",
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
    page="https://data.mendeley.com/datasets/zddtpgzv63/4",
)  # fmt: skip

ISBI14_SET = PublicSet(
    name="ISBI 2014",
    citation="Lu et al.: Evaluation of three algorithms for the segmentation of overlapping cervical cells. IEEE JBHI "
    "21:441 (2017); Lu, Carneiro, Bradley: IEEE TIP 24:1261 (2015).",
    terms="no licence is published with it: research, with citation",
    folders=frozenset(),
    holds_whole_fields=True,
    told="Only the real fields were taken (grey, extended depth of field): masks (_GT) and MATLAB files are not read.",
    page="https://cs.adelaide.edu.au/~carneiro/isbi14_challenge/dataset.html",
    archive="https://cs.adelaide.edu.au/~carneiro/isbi14_challenge/Dataset.zip",
    # As the public library torch-em checks it; not fetched by us.
    sha256="618e386cd87722ad0bca5ebe8570fc7d96ba4cf011eb8b018f865c4e7d8328f0",
)

CERVIX93_SET = PublicSet(
    name="Cervix93",
    citation="Phoulady, Mouton: A new cervical cytology dataset for nucleus detection and image classification "
    "(Cervix93) and methods for cervical nucleus detection. arXiv:1811.09651.",
    terms="research with citation; its repository names no licence",
    folders=frozenset(),
    holds_whole_fields=True,
    told="Its points mark nuclei and have no category; labels.csv grades whole fields, so no cell was labelled by it. "
    "With --stack UM its focal planes come in instead of the pictures of extended depth of field.",
    page="https://github.com/parham-ap/cytology_dataset",
    archive="https://github.com/parham-ap/cytology_dataset/archive/0df8c8f16c66a023b391c8a6395e613d4b3b487e.zip",
)

CRIC_SET = PublicSet(
    name="CRIC",
    citation="Rezende et al.: Cric searchable image database as a public platform for conventional pap smear cytology "
    "data. Scientific Data 8:151 (2021).",
    terms="CC BY 4.0",
    folders=frozenset(),
    page="https://doi.org/10.6084/m9.figshare.c.4960286.v2",
)

PUBLIC_SETS = (HERLEV_SET, SIPAKMED_SET, MENDELEY_LBC_SET, ISBI14_SET, CERVIX93_SET, CRIC_SET)


def recognise(folder_names: Iterable[str]) -> PublicSet | None:
    """Return the set whose class folders these are, None for a folder of one's own.

    Args:
        folder_names: Names of the folders beside each other; two or more classes of a set are enough.
    """
    names = {name.lower() for name in folder_names}
    return next((known for known in PUBLIC_SETS if len(names) > 1 and names <= known.folders), None)

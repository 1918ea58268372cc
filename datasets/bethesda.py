"""The categories that a doctor can answer, in one place: The Bethesda System 2014 and Herlev's.

The order is the order on screen and in tables; identity is the id, never the position.
Descriptions are in our own words, short enough for a row of the labelling page.
"""

from dataclasses import dataclass

from datasets.errors import SettingsError

RESERVED_KEYS = frozenset({"Z", "C", "R", "?"})
"""Z is undo, ? is help; Streamlit keeps C and R for itself."""


_NO_FINDING = ("Negative", "Normal", "Other")
"""Groups whose categories are no findings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """One answer that a doctor can give to a cell."""

    id: str
    """Stable name in the database and in exports."""
    key: str
    """The keyboard key that answers it: one digit or letter."""
    name: str
    """Short name on screen."""
    description: str
    """A few words for the row below the name."""
    group: str
    """Heading on the page."""
    color: str
    """Hexadecimal colour; told apart by colour-blind eyes, never the only sign."""
    shape: str
    """Mark beside the colour: circle, square, triangle, diamond, cross, ring, star, bar, dot."""
    is_class: bool = True
    """False for answers that a probe must not learn, such as "cannot tell"."""
    covers: tuple[str, ...] = ()
    """For an answer at a parent node: the categories between which it leaves the choice open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSet:
    """All answers of a study.

    Raises:
        SettingsError: When two categories share an id or a key, or a key is reserved.
    """

    id: str
    name: str
    categories: tuple[Category, ...]

    def __post_init__(self) -> None:
        ids = [category.id for category in self.categories]
        keys = [category.key.upper() for category in self.categories]
        doubles = sorted({x for x in ids if ids.count(x) > 1} | {x for x in keys if keys.count(x) > 1})
        if doubles:
            raise SettingsError(f"label set {self.id}: {', '.join(doubles)} is used twice; each needs its own.")
        strangers = sorted({i for category in self.categories for i in category.covers}.difference(ids))
        if strangers:
            raise SettingsError(f"label set {self.id}: {strangers[0]} is covered by an answer, but is none itself.")
        taken = sorted(RESERVED_KEYS.intersection(keys))
        if taken:
            raise SettingsError(f"label set {self.id}: the key {taken[0]} is reserved; choose another.")

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all categories in order."""
        return tuple(category.id for category in self.categories)

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Ids of the categories that a probe learns, in order."""
        return tuple(category.id for category in self.categories if category.is_class)

    @property
    def abnormal_ids(self) -> tuple[str, ...]:
        """Ids of the classes that are findings: all but those of the groups Negative, Normal and Other."""
        return tuple(c.id for c in self.categories if c.is_class and c.group not in _NO_FINDING)

    def __getitem__(self, category_id: str) -> Category:
        for category in self.categories:
            if category.id == category_id:
                return category
        raise SettingsError(f"label {category_id}: not in the label set {self.id} ({', '.join(self.ids)}).")


def _rows(group: str, *rows: tuple[str, str, str, str, str, str]) -> tuple[Category, ...]:
    return tuple(
        Category(id=i, key=k, name=n, description=d, group=group, color=c, shape=s) for i, k, n, d, c, s in rows
    )


def _parent(
    category_id: str, key: str, name: str, description: str, group: str, color: str, *, covers: tuple[str, ...]
) -> Category:
    """Make an answer at a parent node: a real label that a probe of the single categories must not learn."""
    return Category(
        id=category_id, key=key, name=name, description=description, group=group, color=color, shape="ring",
        is_class=False, covers=covers,
    )  # fmt: skip


_CANNOT_TELL = Category(
    id="cannot-tell", key="U", name="Cannot tell", description="Not decidable on this picture",
    group="Other", color="#6b7280", shape="dot", is_class=False,
)  # fmt: skip

BETHESDA = LabelSet(
    id="bethesda",
    name="The Bethesda System 2014",
    categories=(
        *_rows(
            "Negative",
            ("NILM", "1", "NILM", "Negative for lesion or malignancy", "#4363c9", "circle"),
        ),
        *_rows(
            "Squamous",
            ("ASC-US", "2", "ASC-US", "Atypical, undetermined significance", "#6fb6e0", "triangle"),
            ("LSIL", "3", "LSIL", "Low grade, HPV effect", "#43936c", "square"),
            ("ASC-H", "4", "ASC-H", "Atypical, high grade not excluded", "#e0ac36", "diamond"),
            ("HSIL", "5", "HSIL", "High grade", "#c9692b", "star"),
            ("SCC", "6", "SCC", "Squamous cell carcinoma", "#a12c7d", "cross"),
        ),
        _parent(
            "squamous-abnormal",
            "Q",
            "Squamous, unclear",
            "Abnormal, grade unclear",
            "Squamous",
            "#8a5aa8",
            covers=("ASC-US", "LSIL", "ASC-H", "HSIL", "SCC"),
        ),
        *_rows(
            "Glandular",
            ("AGC", "7", "AGC", "Atypical glandular cells", "#55622d", "triangle"),
            ("AIS", "8", "AIS", "Adenocarcinoma in situ", "#7d5a3c", "square"),
            ("adenocarcinoma", "9", "Adenocarcinoma", "Invasive glandular carcinoma", "#7a1f2b", "cross"),
        ),
        _parent(
            "glandular-abnormal",
            "W",
            "Glandular, unclear",
            "Abnormal, kind unclear",
            "Glandular",
            "#2f6f73",
            covers=("AGC", "AIS", "adenocarcinoma"),
        ),
        *_rows(
            "Other",
            ("not-a-cell", "0", "Not a cell", "Debris, blood, artefact, unusable", "#9aa0a6", "bar"),
        ),
        _CANNOT_TELL,
    ),
)

HERLEV = LabelSet(
    id="herlev",
    name="Herlev (Jantzen et al. 2005)",
    categories=(
        *_rows(
            "Normal",
            ("normal_superficiel", "1", "Superficial", "Normal superficial squamous", "#4363c9", "circle"),
            ("normal_intermediate", "2", "Intermediate", "Normal intermediate squamous", "#6fb6e0", "circle"),
            ("normal_columnar", "3", "Columnar", "Normal columnar (glandular)", "#55622d", "square"),
        ),
        *_rows(
            "Dysplastic",
            ("light_dysplastic", "4", "Light dysplasia", "Mild squamous dysplasia", "#43936c", "triangle"),
            ("moderate_dysplastic", "5", "Moderate dysplasia", "Moderate squamous dysplasia", "#e0ac36", "diamond"),
            ("severe_dysplastic", "6", "Severe dysplasia", "Severe squamous dysplasia", "#c9692b", "star"),
            ("carcinoma_in_situ", "7", "Carcinoma in situ", "Squamous carcinoma in situ", "#a12c7d", "cross"),
        ),
        *_rows(
            "Other",
            ("not-a-cell", "0", "Not a cell", "Debris, blood, artefact, unusable", "#9aa0a6", "bar"),
        ),
        _CANNOT_TELL,
    ),
)

LABEL_SETS = {label_set.id: label_set for label_set in (BETHESDA, HERLEV)}

"""Keys of the labelling pages: what each does, which a person has chosen, and that none means two things.

An answer of the study always wins its key; a command then takes the next of its own. A person may give
other keys to answers and commands: kept on the server, the same on every machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.words import Words, word
from datasets.bethesda import RESERVED_KEYS, LabelSet

_USABLE = re.compile(r"[A-Z0-9,.;\-+*/\[\]]")
"""What a keyboard gives without another key being held, as the pages read it."""


class KeyRefused(Exception):
    """A key that means two things or that the pages cannot use; a sentence in the person's words."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a key does beside answering. The same command has the same key on every page."""

    id: str
    keys: tuple[str, ...]
    """The first that no answer has is its key."""
    text: str
    short: str = ""
    """For a button."""
    also: tuple[str, ...] = ()
    """Other keys that do the same."""

    @property
    def is_free(self) -> bool:
        """True when a person may give it another key."""
        return bool(_USABLE.fullmatch(self.keys[0])) and self.keys[0] not in RESERVED_KEYS


LABEL = (
    Command("undo", ("Z",), word("take back the last step; again for the one before")),
    Command("redo", ("\u21e7Z",), word("put back what was taken back")),
    Command("wide", ("F", "V"), word("hold: see the wider field; release: back to the cell")),
    Command("ring", ("M", "N"), word("ring of an intermediate nucleus (follows the pointer)")),
    Command("stain", ("E", "O"), word("haematoxylin alone")),
    Command("tone", ("T", "B"), word("brightness, contrast, gamma")),
    Command("guide", ("K", "J"), word("criteria and reference cells of every answer")),
    Command("note", ("D", "P"), word("comment on this cell")),
    Command("like", ("L", "Y"), word("cells like this one as a gallery page"), word("cells like this")),
    Command("slide", ("V", "G"), word("its place on the slide; V there comes back to this cell")),
    Command("marks", ("H", "X"), word("centre marks on or off")),
    Command("unsure", (",", ";"), word("say that you are unsure (or hold \u21e7 while answering)")),
    Command("sure", (".",), word("say that you are sure")),
    Command("focusUp", ("I",), word("focus plane above, where the cell was scanned in several"), also=("PageUp",)),
    Command("focusDown", ("J",), word("focus plane below"), also=("PageDown",)),
    Command("zoomIn", ("+",), word("closer; also the wheel; drag to move"), also=("=",)),
    Command("zoomOut", ("-",), word("farther"), also=("_",)),
    Command("reset", ("Escape",), word("picture as it was; closes what is open")),
    Command("darker", ("[",), word("darker")),
    Command("brighter", ("]",), word("brighter")),
    Command("which", ("A", "S"), word("which cells: of one slide, of one kind")),
    Command("help", ("?",), word("this list")),
)
_EXAMPLE = Command(
    "example", ("P", "G"), word("a good example of its category, shown with the criteria; again: no longer"),
    word("good example"),
)  # fmt: skip
GALLERY = (
    Command("pick", ("X", "+"), word("choose this cell, or not; also the space bar, or click"), word("choose"), (" ",)),
    Command("all", ("A", "*"), word("choose all that have no answer yet"), word("all")),
    Command("invert", ("I", "/"), word("choose the others instead"), word("the others")),
    Command("none", ("Escape",), word("choose none; closes what is open"), word("none")),
    Command("undo", ("Z",), word("take back the last step, all its cells at once"), word("take back")),
    Command("redo", ("\u21e7Z",), word("put back what was taken back")),
    Command("like", ("L", "Y"), word("cells like this one as a gallery page"), word("cells like this")),
    Command("slide", ("V", "G"), word("its place on the slide; V there comes back to this cell")),
    _EXAMPLE,
    Command("next", ("Enter",), word("next page"), word("next page")),
    Command("help", ("?",), word("this list"), word("all keys")),
)
REVIEW = (
    Command("back", ("ArrowLeft",), word("before")),
    Command("next", ("ArrowRight",), word("next")),
    Command("undo", ("Z",), word("take back")),
    _EXAMPLE,
    *(
        command
        for command in LABEL
        if command.id
        in (
            "ring",
            "stain",
            "tone",
            "wide",
            "guide",
            "like",
            "slide",
            "zoomIn",
            "zoomOut",
            "reset",
            "darker",
            "brighter",
            "help",
        )
    ),
)
SLIDE = (
    Command("next", ("N", "ArrowRight"), word("next cell without your answer, the nearest one"), word("next cell")),
    Command("previous", ("P", "ArrowLeft"), word("back to the cell before")),
    Command(
        "mark", ("B", "T"), word("mark a cell that nobody has found: click it, or draw a box"), word("mark a cell")
    ),
    Command("opinion", ("S", "A"), word("adequacy and your opinion of the whole slide"), word("whole slide: opinion")),
    Command("undo", ("Z",), word("take back the last step; again for the one before"), word("take back")),
    Command("redo", ("\u21e7Z",), word("put back what was taken back")),
    Command("marks", ("H", "X"), word("rings on or off"), word("rings")),
    Command("colors", ("O", "Y"), word("colour the rings by answer or by certainty"), word("colours")),
    Command("heat", ("Y", "T"), word("heat of suggestions on or off"), word("heat")),
    Command("ring", ("M",), word("ring of an intermediate nucleus (follows the pointer)"), word("nucleus ring")),
    Command("guide", ("K", "J"), word("criteria and reference cells of every answer")),
    Command("note", ("D",), word("comment on this cell")),
    Command("like", ("L", "W"), word("cells like this one as a gallery page"), word("cells like this")),
    Command("unsure", (",",), word("say that you are unsure (or hold \u21e7 while answering)")),
    Command("sure", (".",), word("say that you are sure")),
    Command("focusUp", ("I",), word("focus plane above, where the slide has several"), also=("PageUp",)),
    Command("focusDown", ("J",), word("focus plane below"), also=("PageDown",)),
    Command("zoomIn", ("+",), word("closer; also the wheel; drag or arrows to move"), also=("=",)),
    Command("zoomOut", ("-",), word("farther"), also=("_",)),
    Command("whole", ("G", "Home"), word("the whole slide"), word("see all")),
    Command("back", ("V",), word("back to where you came from, with the same cell"), word("back")),
    Command("reset", ("Escape",), word("leave the cell; closes what is open")),
    Command("help", ("?",), word("this list")),
)
PAGES = (LABEL, GALLERY, REVIEW, SLIDE)
_PAGE_NAMES = (word("Label"), word("Gallery"), word("Review"), word("Slide"))

Keys = Mapping[str, str]
"""Own keys by what they do: `answer:<category>` or `command:<name>`."""


def free_commands() -> list[Command]:
    """Return the commands that may have another key, each once: those with a usable key on every page."""
    fixed = {command.id for page in PAGES for command in page if not command.is_free}
    found: dict[str, Command] = {}
    for page in PAGES:
        for command in page:
            if command.id not in fixed:
                found.setdefault(command.id, command)
    return list(found.values())


def commands_by_pages(*, reviews: bool) -> dict[tuple[str, ...], list[Command]]:
    """Return the commands that may have another key, by the names of the pages that know them.

    Args:
        reviews: The person has the page Review.
    """
    found: dict[tuple[str, ...], list[Command]] = {}
    for command in free_commands():
        pages = tuple(
            name
            for name, page in zip(_PAGE_NAMES, PAGES, strict=True)
            if any(c.id == command.id for c in page) and (reviews or page is not REVIEW)
        )
        found.setdefault(pages, []).append(command)
    return found


def answer_keys(label_set: LabelSet, own: Keys) -> dict[str, str]:
    """Return the key of every answer, by category."""
    return {c.id: own.get(f"answer:{c.id}", c.key.upper()) for c in label_set.categories}


def page_keys(page: Sequence[Command], label_set: LabelSet, own: Keys) -> dict[str, str | None]:
    """Return the key in force of each command of a page; None when answers and others have all of its keys."""
    chosen = {c.id: own[f"command:{c.id}"] for c in page if f"command:{c.id}" in own}
    taken = {*answer_keys(label_set, own).values(), *chosen.values()}
    found: dict[str, str | None] = {}
    for command in page:
        key = chosen.get(command.id) or next((key for key in command.keys if key not in taken), None)
        found[command.id] = key
        taken |= {key} if key else set()
    return found


def own_key(command: Command, label_set: LabelSet, own: Keys) -> str | None:
    """Return the key in force of a command on the first page that has it."""
    page = next(page for page in PAGES if any(c.id == command.id for c in page))
    return page_keys(page, label_set, own)[command.id]


def command_rows(page: Sequence[Command], label_set: LabelSet, own: Keys, tr: Words) -> list[dict[str, Any]]:
    """Return a page's commands as the components get them, with the keys in force."""
    keys = page_keys(page, label_set, own)
    taken = {*answer_keys(label_set, own).values(), *keys.values()}
    return [
        {"id": c.id, "key": keys[c.id], "text": tr(c.text), "short": tr(c.short) if c.short else "",
         "also": [key for key in c.also if key not in taken]}
        for c in page
    ]  # fmt: skip


def refuse_conflicts(label_set: LabelSet, own: Keys, tr: Words) -> None:
    """Refuse own keys of which one would mean two things on a page.

    Raises:
        KeyRefused: With the key and both things that it would mean.
    """
    names = {f"answer:{c.id}": tr(c.name) for c in label_set.categories}
    names |= {f"command:{c.id}": tr(c.text) for c in free_commands()}
    for what, key in own.items():
        if what not in names:
            raise KeyRefused(tr("{what}: there is no such answer or command in this study.", what=what))
        if not _USABLE.fullmatch(key) or key in RESERVED_KEYS:
            reserved = ", ".join(sorted(RESERVED_KEYS - {"?"}))
            raise KeyRefused(
                tr(
                    "{name}: the key {key} cannot be used. Use a digit, a letter but {reserved}, or one of "
                    ", . ; - + * / [ ]",
                    name=names[what], key=key, reserved=reserved,
                )
            )  # fmt: skip
    for page in PAGES:
        _refuse_doubles(page, label_set, own, names, tr)


def _refuse_doubles(
    page: Sequence[Command], label_set: LabelSet, own: Keys, names: Mapping[str, str], tr: Words
) -> None:
    """Refuse a chosen key that something else has: an answer, another choice, or a command as it was made.

    Raises:
        KeyRefused: With the key and both of its meanings.
    """
    holders: dict[str, str] = {}
    as_made = {what: key for what, key in own.items() if what.startswith("answer:")}
    made = page_keys(page, label_set, as_made)
    wanted: list[tuple[str | None, str]] = [
        *((key, f"answer:{category}") for category, key in answer_keys(label_set, own).items()),
        *((own.get(f"command:{c.id}", made[c.id]), f"command:{c.id}") for c in page),
    ]
    for key, what in wanted:
        if key is None:
            continue
        other = holders.setdefault(key, what)
        if other != what:
            raise KeyRefused(
                tr(
                    "The key {key} would mean both \u201c{first}\u201d and \u201c{second}\u201d: "
                    "give one of them another key.",
                    key=key, first=names.get(other, other), second=names.get(what, what),
                )
            )  # fmt: skip

"""Tables that a package of the study's own can add to: acquisition rules, readers of slides, export formats.

The product's own entries stand in the code; others are entry points of installed packages (Python
Packaging User Guide, "Entry points specification"). They are loaded when they are asked for, never before.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from datasets.errors import ExtensionError

Entry = TypeVar("Entry")

PREFIX = "cytojepa"


class Registry(Mapping[str, Entry]):
    """Entries by name, the product's own first.

    Args:
        group: Packages add to it under the entry point group `cytojepa.GROUP`.
        kind: What an entry has to be an instance of; `object` where anything that can be called will do.
        own: The product's own entries; no package can replace them.
    """

    def __init__(self, group: str, kind: type, own: Mapping[str, Entry]) -> None:
        self._group, self._kind, self._own = f"{PREFIX}.{group}", kind, dict(own)

    def __getitem__(self, name: str) -> Entry:
        """Return an entry.

        Raises:
            KeyError: There is none of that name.
            ExtensionError: A package names it, but it cannot be imported or is something else.
        """
        if name in self._own:
            return self._own[name]
        return self._load(self._points()[name])

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self._points()})

    def __len__(self) -> int:
        return len({**self._own, **self._points()})

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._points()

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in sorted(entry_points(group=self._group), key=lambda point: point.name)}

    def _load(self, point: EntryPoint) -> Entry:
        try:
            entry = point.load()
        except (ImportError, AttributeError) as error:
            raise ExtensionError(
                f"{self._group}: {point.name} = {point.value} cannot be loaded ({error}). Mend or remove that package."
            ) from error
        if not (isinstance(entry, self._kind) if self._kind is not object else callable(entry)):
            raise ExtensionError(f"{self._group}: {point.name} = {point.value} is a {type(entry).__name__}, "
                                 f"no {self._kind.__name__}. Mend or remove that package.")  # fmt: skip
        found: Entry = entry
        return found

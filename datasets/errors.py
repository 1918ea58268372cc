"""Errors of this package.

DatasetError
|-- UnreadableFile       a file that cannot be decoded; carries the reason
|-- LayoutError          a folder whose layout is not understood
|-- SettingsError        a study setting that makes no sense
|-- ExtensionError       a package of the study's own that names what is not there
|-- StoreError           an embedding store or manifest that does not fit
`-- DatabaseError        the catalogue cannot be opened
    |-- ConnectionLost   to the server, at a moment of which nobody knows whether the commit came through
    `-- DiskFull         the rows of a transaction found no room; none of them is stored
"""


class DatasetError(Exception):
    """Base of what this package raises on purpose; its text is a sentence for the user."""


WAY_OUT = "save it anew with the scanner's software, or leave it out"
"""How the reason of an unreadable file ends where nothing better is known."""


class UnreadableFile(DatasetError):
    """A file that cannot be decoded, with the reason in plain words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LayoutError(DatasetError):
    """A folder or table whose layout is not one of the known ones."""


class SettingsError(DatasetError):
    """A setting of the study that contradicts itself."""


class ExtensionError(DatasetError):
    """A package that adds to the program, but cannot be loaded or brings something else than it says."""


class StoreError(DatasetError):
    """An embedding store or manifest that is damaged or made for something else."""


class DatabaseError(DatasetError):
    """The catalogue cannot be opened or is of another version."""


class ConnectionLost(DatabaseError):
    """The connection to the database's server was cut; the transaction may be stored or not."""


class DiskFull(DatabaseError):
    """The database's disk takes no more; the transaction has left nothing behind."""

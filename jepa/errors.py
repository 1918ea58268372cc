"""Errors of this package.

JepaError
|-- ConfigError        a setting of the run that makes no sense, or an unknown one
|-- MaskError          the patch grid is too small for the blocks asked for
|-- DataError          a tile pack that cannot be used for this run
|-- CheckpointError    a checkpoint that is missing, damaged or made for something else
`-- DivergedError      the loss is no longer a finite number
"""


class JepaError(Exception):
    """Base of everything this package raises on purpose; catch it to say the sentence to the user."""


class ConfigError(JepaError):
    """A setting that is unknown or contradicts another one."""


class MaskError(JepaError):
    """A patch grid on which the blocks leave too few patches for the context."""

    def __init__(self, sentence: str, *, grid: tuple[int, int]) -> None:
        super().__init__(sentence)
        self.grid = grid


class DataError(JepaError):
    """A tile pack that is damaged, empty or smaller than one batch."""


class CheckpointError(JepaError):
    """A checkpoint that is missing, damaged or made for another configuration."""


class DivergedError(JepaError):
    """The loss became infinite or not a number; raised before the weights are touched."""

    def __init__(self, sentence: str, *, step: int, tiles: tuple[int, ...] = ()) -> None:
        super().__init__(sentence)
        self.step, self.tiles = step, tiles

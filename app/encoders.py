"""Which encoder a name means: a checkpoint folder, or the newest run of the workspace."""

from pathlib import Path

from app.services import Services
from app.training import run_folders
from jepa.checkpoint import newest_checkpoint
from jepa.encoder import FrozenEncoder, load_encoder
from jepa.errors import CheckpointError


def open_encoder(services: Services, name: str) -> FrozenEncoder:
    """Load a frozen encoder.

    Args:
        services: The open workspace.
        name: `default` for the newest run with a whole checkpoint, else a checkpoint folder.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    if name != "default":
        return load_encoder(Path(name))
    for folder in reversed(run_folders(services)):
        checkpoint = newest_checkpoint(folder / "checkpoints")
        if checkpoint is not None:
            return load_encoder(checkpoint)
    raise CheckpointError("no encoder in this workspace yet. Run `cytojepa pretrain` first.")

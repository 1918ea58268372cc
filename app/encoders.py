"""Which encoder a name means: a checkpoint or file of weights, or the newest run of the workspace."""

from collections.abc import Mapping
from pathlib import Path

from app.services import Services
from app.training import run_folders
from jepa.checkpoint import newest_checkpoint
from jepa.encoder import FrozenEncoder, load_encoder, load_timm_encoder
from jepa.errors import CheckpointError

TIMM = "timm:"
WEIGHTS_FOLDER = "weights"
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".bin")


def open_encoder(services: Services, name: str, overrides: Mapping[str, str] | None = None) -> FrozenEncoder:
    """Load a frozen encoder.

    Args:
        services: The open workspace.
        name: `default` for the newest run with a whole checkpoint, else a checkpoint folder, a published
            checkpoint or an exported safetensors file; or `timm:NAME`, whose weights lie in the
            workspace's folder `weights`.
        overrides: Options of the encoder given as text, such as `{"mpp": "0.25"}`.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    if name.startswith(TIMM):
        model = name.removeprefix(TIMM)
        return load_timm_encoder(model, _weights_of(services, model), overrides)
    if name != "default":
        return load_encoder(Path(name), overrides)
    return load_encoder(newest_of_workspace(services), overrides)


def _weights_of(services: Services, model: str) -> Path:
    folder = services.home / WEIGHTS_FOLDER
    for suffix in WEIGHTS_SUFFIXES:
        if (folder / f"{model}{suffix}").is_file():
            return folder / f"{model}{suffix}"
    raise CheckpointError(
        f"no weights of {model}: nothing is downloaded. Put {model}.safetensors or .pth into {folder}."
    )


def newest_of_workspace(services: Services) -> Path:
    """Return the newest whole checkpoint of the newest run that has one.

    Raises:
        CheckpointError: There is none.
    """
    for folder in reversed(run_folders(services)):
        checkpoint = newest_checkpoint(folder / "checkpoints")
        if checkpoint is not None:
            return checkpoint
    raise CheckpointError("no encoder in this workspace yet. Run `cytojepa pretrain` first.")

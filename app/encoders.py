"""Which encoder a name means: the newest run, the one that ships, a folder or file, the handcrafted one, or several."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from app.runs import run_folders
from app.services import Services
from jepa.checkpoint import newest_checkpoint
from jepa.embed import Encoder, FusedEncoder
from jepa.encoder import FrozenEncoder, load_encoder, load_timm_encoder
from jepa.errors import CheckpointError
from jepa.handcrafted import HandcraftedEncoder

HANDCRAFTED = "handcrafted"
SHIPPED = "shipped"
"""The encoder in the package; `docs/model_card.md` tells what it learnt from and what it is worth."""

TIMM = "timm:"
WEIGHTS_FOLDER = "weights"
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".bin")


def open_encoder(services: Services, name: str, overrides: Mapping[str, str] | None = None) -> Encoder:
    """Open an encoder.

    Args:
        services: The open workspace.
        name: `handcrafted`, a name for `open_learned`, or several of them joined by `+`.
        overrides: Options of a learned encoder given as text, such as `{"mpp": "0.25"}`.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    if "+" in name and not Path(name).exists():
        return FusedEncoder([open_encoder(services, part, overrides) for part in name.split("+")])
    return HandcraftedEncoder() if name == HANDCRAFTED else open_learned(services, name, overrides)


def open_learned(services: Services, name: str, overrides: Mapping[str, str] | None = None) -> FrozenEncoder:
    """Load a frozen encoder.

    Args:
        services: The open workspace.
        name: `default`, `shipped`, a checkpoint folder, a published checkpoint or an exported
            safetensors file; or `timm:NAME`, whose weights lie in the workspace's folder `weights`.
        overrides: Options of the encoder given as text, such as `{"mpp": "0.25"}`.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    options = {"precision": "fast"} | dict(overrides or {})
    if name.startswith(TIMM):
        model = name.removeprefix(TIMM)
        return load_timm_encoder(model, _weights_of(services, model), options)
    return load_encoder(weights_path(services, name), options)


def weights_path(services: Services, name: str) -> Path:
    """Return where the weights of a learned encoder lie.

    Args:
        services: The open workspace.
        name: `default` for the newest run with a whole checkpoint or, before the first one, what ships;
            `shipped`; else a folder or file.
    """
    if name == "default":
        return newest_of_workspace(services) or shipped_weights()
    return named_weights(name)


def named_weights(name: str) -> Path:
    """Return where weights lie that need no workspace: `shipped`, else a folder or file."""
    return shipped_weights() if name == SHIPPED else Path(name)


def shipped_weights() -> Path:
    """Return the file of the encoder that ships with this package."""
    return Path(str(resources.files("jepa") / "weights" / "cervical_tiny.safetensors"))


def _weights_of(services: Services, model: str) -> Path:
    folder = services.home / WEIGHTS_FOLDER
    for suffix in WEIGHTS_SUFFIXES:
        if (folder / f"{model}{suffix}").is_file():
            return folder / f"{model}{suffix}"
    raise CheckpointError(
        f"no weights of {model}: nothing is downloaded. Put {model}.safetensors or .pth into {folder}."
    )


def newest_of_workspace(services: Services) -> Path | None:
    """Return the newest whole checkpoint of the newest run that has one, None when there is none."""
    for folder in reversed(run_folders(services)):
        checkpoint = newest_checkpoint(folder / "checkpoints")
        if checkpoint is not None:
            return checkpoint
    return None

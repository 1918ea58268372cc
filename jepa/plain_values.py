"""Options as plain values: from text, and fitted to the kind of their defaults."""

import tomllib
from typing import Any

from jepa.errors import ConfigError


def from_text(text: str) -> Any:
    """Read a value as TOML would; what is no TOML value is a plain word."""
    if text.strip().lower() in ("none", ""):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


OPTIONAL = ("clip_norm", "max_minutes", "epochs", "warmup_epochs")
"""Options that may be None."""


def fitted(name: str, value: Any, default: Any) -> Any:
    """Bring a plain value to the kind of the option's default, or say why it cannot be.

    Raises:
        ConfigError: The value is of another kind than the default.
    """
    if value is None and name in OPTIONAL:
        return None
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        if len(value) == len(default) and all(_is_number(part) for part in value):
            return tuple(float(part) for part in value)
    elif isinstance(default, str | bool):
        if type(value) is type(default):
            return value
    elif isinstance(default, int):
        if _is_number(value) and float(value).is_integer():
            return int(value)
    elif _is_number(value):
        return float(value)
    raise ConfigError(f"{name} = {value!r} does not fit; the default is {default!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Several processes that train one model: who they are, and how they agree. Started by `torchrun`.

Nothing here falls back to one process: a launch that does not fit stops with a sentence. Knows no
model: it gets modules and tensors.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from jepa.errors import ConfigError, JepaError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together."""

    device: torch.device
    """Where its networks are."""
    rank: int = 0
    """Its number; 0 writes the files."""
    size: int = 1
    """How many there are."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Return which of a step's pictures this process takes.

        Raises:
            ConfigError: They cannot be shared out evenly.
        """
        if count % self.size:
            raise ConfigError(f"batch_size = {count} is no multiple of {self.size} processes.")
        share = count // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a value of any shape over the processes, in its shape."""
        if self.size > 1:
            dist.all_reduce(value, op=dist.ReduceOp.SUM)
            value /= self.size
        return value

    def any(self, flag: bool) -> bool:
        """Return whether it holds in any process. All must ask."""
        if self.size == 1:
            return flag
        found = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return bool(found.item())

    def share(self, value: T) -> T:
        """Return the first process's value in all. All must ask."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def share_from_first(self, make: Callable[[], T]) -> T:
        """Let the first process make a value for all; its failure ends all with the same sentence.

        Raises:
            JepaError: What the first process failed with, in every process.
        """
        if self.size == 1:
            return make()
        made: T | None = None
        sentence = ""
        if self.is_first:
            try:
                made = make()
            except JepaError as error:
                sentence = str(error)
        made, sentence = self.share((made, sentence))
        if sentence:
            raise JepaError(sentence)
        return cast("T", made)

    def wrap(self, model: nn.Module, blocks: Sequence[nn.Module], sharding: str) -> nn.Module:
        """Return what is called instead of the model, so that gradients are means over the processes.

        Args:
            model: On the device; its forward gives the loss.
            blocks: Parts that "fsdp" gathers one at a time.
            sharding: "ddp" or "fsdp". One process needs neither.
        """
        if self.size == 1:
            return model
        if sharding == "fsdp":
            for block in blocks:
                fully_shard(block)
            fully_shard(model)
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            model, device_ids=devices, forward_sync_buffers=False, gradient_as_bucket_view=True
        )


@contextmanager
def open_world() -> Iterator[World]:
    """Join the processes that `torchrun` started, or be the only one; nested calls get the same world.

    Raises:
        ConfigError: Several processes were started, but not so that they can find each other.
    """
    if dist.is_initialized():
        yield World(_device(), dist.get_rank(), dist.get_world_size())
        return
    size = _number("WORLD_SIZE")
    if size is None or size == 1:
        tasks = _number("SLURM_NTASKS") or 1
        if tasks > 1 and size is None and "SLURM_PROCID" in os.environ:
            raise ConfigError(
                f"Slurm started {tasks} tasks, but without the addresses that torchrun gives. "
                "Start one task per node that runs: torchrun --nproc-per-node=GPUS -m jepa.train ..."
            )
        yield World(_device())
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(f"WORLD_SIZE = {size}, but {', '.join(missing)} is missing. Start with torchrun.")
    device = _device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(device, dist.get_rank(), dist.get_world_size())
    finally:
        # A wrapped model refers to the group, and to itself: until that circle is found, the group's threads
        # live on, and one that lets go of a tensor while the interpreter ends aborts the process.
        gc.collect()
        dist.destroy_process_group()


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that processes share in its whole shape; all must ask. Others come back as they are."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shared_like(value: Tensor, example: Tensor) -> Tensor:
    """Return a whole value on the device of the example, of equal shape, and shared among processes as it is."""
    own = value.to(example.device)
    if isinstance(example, DTensor):
        return distribute_tensor(own, example.device_mesh, example.placements)
    return own


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Hold the parameters outside of blocks, so that parts of a shared model can be called alone."""
    if not isinstance(module, FSDPModule):
        yield
        return
    module.unshard()
    try:
        yield
    finally:
        module.reshard()


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local, there = _number("LOCAL_RANK") or 0, torch.cuda.device_count()
    if local >= there:
        raise ConfigError(
            f"process {local} of this machine has no GPU of its own, there are {there}. "
            f"Start with torchrun --nproc-per-node={there}."
        )
    return torch.device("cuda", local)


def _number(variable: str) -> int | None:
    text = os.environ.get(variable)
    try:
        return None if text is None else int(text)
    except ValueError as error:
        raise ConfigError(f"{variable} = {text!r} is no number. Start with torchrun.") from error

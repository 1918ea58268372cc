"""Memory that a child process may write and this one reads, without a file and without a name.

Its size is sealed: a child that could shrink it would kill whoever reads beyond the new end.
"""

import fcntl
import mmap
import os


def shared_memory(size: int) -> tuple[int | None, mmap.mmap | None]:
    """Return new memory of `size` bytes: the file number for a child to inherit, and the view of this process.

    (None, None) where the kernel has no such memory (it is Linux's).

    Raises:
        OSError: The kernel refuses so much memory, or its seals.
    """
    if not hasattr(os, "memfd_create"):
        return None, None
    number = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(number, size)
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return number, mmap.mmap(number, size, prot=mmap.PROT_READ)
    except OSError:
        os.close(number)
        raise

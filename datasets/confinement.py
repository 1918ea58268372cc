"""What the kernel forbids a process for ever: writing, starting programs, connecting (Landlock).

Limits of `resource` stop a decoder that eats; this stops one that a crafted file has taken over. No
privilege is needed. Kernels without Landlock (before Linux 5.13) confine nothing, and say so.
"""

import ctypes
import os
import sys

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""System call numbers, the same on every architecture."""
_ONLY_VERSION = 1
_PR_SET_NO_NEW_PRIVS = 38
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
"""Removing files and folders; making folders, files, devices, sockets, pipes and links."""
_LATER_FILE_RIGHTS = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""By the version that knows them: moving between folders, truncating, device control."""
_TCP_SINCE, _TCP = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract sockets and signals of processes outside."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def confine() -> int:
    """Take away writing, executing and connecting from this process and its children. Reading stays.

    Returns:
        The kernel's Landlock version, 0 where there is none and nothing was confined.

    Raises:
        OSError: The kernel has Landlock and refused.
    """
    if not sys.platform.startswith("linux"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ONLY_VERSION))
    if version < 1:
        return 0
    files = _EXECUTE | _WRITE_FILE | _REMOVE_AND_MAKE
    files |= sum(right for since, right in _LATER_FILE_RIGHTS.items() if version >= since)
    rules = _Ruleset(files, _TCP if version >= _TCP_SINCE else 0, _SCOPES if version >= _SCOPES_SINCE else 0)
    # Older kernels know a shorter structure, and take a longer one only if its end is zero.
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), ctypes.c_uint32(0)))
    try:
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        # No rule is added: what is handled and not allowed is forbidden everywhere.
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return int(version)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result

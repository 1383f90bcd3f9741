"""A folder for one owner at a time, for as long as the owner or a process it started lives."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from tandem.errors import SettingsError


class FolderLock:
    """Holds a folder from its creation until `release`, and beyond that while a child process has inherited it.

    The system drops it with its last holder, however that ended: there is no stale lock.
    """

    def __init__(self, folder: Path) -> None:
        """Create the folder where it is missing, and take it.

        Raises SettingsError when another one has it, OSError when the system does not let us write there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take()
        except BlockingIOError:
            raise _in_use(folder) from None
        self.sign("an address not known yet", [os.getpid()])

    def _take(self) -> None:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.descriptor)
            raise

    def sign(self, address: str, pids: Sequence[int]) -> None:
        """Leave word for who comes later: where it runs, and the processes, the one that stops the others first."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{address}\n{' '.join(map(str, pids))}".encode(), 0)

    def release(self) -> None:
        os.close(self.descriptor)


def _in_use(folder: Path) -> SettingsError:
    address, _, signed = (folder / "lock").read_text().partition("\n")
    pids = [int(pid) for pid in signed.split()]
    alive = [pid for pid in pids if _lives(pid)]
    # The first one stops the others by itself. Only if it was killed, they have to be named.
    holders = " ".join(map(str, alive[:1] if alive[:1] == pids[:1] else alive))
    return SettingsError(
        f"Already running at {address} on the data in {folder} (pid {holders})",
        f"Use that, or stop it with `kill {holders}`, or name another folder with --data",
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True

"""Where the working buffers of a state live: in memory, in a temporary file, or shared between processes."""

import fcntl
import mmap
import os
import tempfile
import threading
from multiprocessing.managers import SharedMemoryManager
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from scorefold.analyzer.rotation_table import Ids, Matrix, ObservedRotations, RotationTable


def allocate_memmap(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an uninitialised array in a temporary file that vanishes with the array.

    The file has no name, so that nothing is left behind even if the process is killed. Its blocks are
    reserved at once: a full disk raises `OSError` here and not a bus error later.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, size)
        mapping = mmap.mmap(file.fileno(), size)
    return np.frombuffer(mapping, dtype=dtype).reshape(shape)


class SharedArray:
    """Array in shared memory that pickles as the name of its segment.

    Parameters
    ----------
    segment : SharedMemory
        Memory that its manager frees.
    shape : tuple of int
        Shape of the array.
    dtype : dtype
        Type of its entries.
    """

    def __init__(self, segment: SharedMemory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._segment = segment
        self._shape = shape
        self._dtype = dtype

    @classmethod
    def allocate(
        cls, manager: SharedMemoryManager, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> "SharedArray":
        """Return an uninitialised array in a new segment of a manager."""
        return cls(manager.SharedMemory(int(np.prod(shape)) * dtype.itemsize), shape, dtype)

    @property
    def array(self) -> NDArray[Any]:
        """A view of the memory, valid as long as this object."""
        view: NDArray[Any] = np.ndarray(self._shape, self._dtype, buffer=self._segment.buf)
        return view


class ThreadLock:
    """Lock between the threads of one process; a copy in another process has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["ThreadLock"], tuple[()]]:
        return type(self), ()


class FileLock:
    """Lock between threads and processes that pickles, and that a killed process gives back.

    The lock is ``flock`` on a temporary file. The process that created it removes the file when the lock is
    collected there; whoever has it open may go on.
    """

    def __init__(self) -> None:
        handle, path = tempfile.mkstemp(prefix="scorefold-", suffix=".lock")
        os.close(handle)
        self.path = Path(path)
        self._file: BinaryIO | None = None
        self._prepare()
        finalize(self, _remove_in_process, self.path, os.getpid())

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._prepare()  # a fork shares the parent's open file, and with it the parent's lock
        self._threads.acquire()
        if self._file is None:
            self._file = self.path.open("rb")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._file = None
        self._prepare()

    def _prepare(self) -> None:
        self._process = os.getpid()
        self._threads = threading.Lock()
        self._file = None


def _remove_in_process(path: Path, process: int) -> None:
    if os.getpid() == process:
        path.unlink(missing_ok=True)


class SharedObservedRotations(ObservedRotations):
    """Observed rotations that several processes number together, in a file that each of them appends to.

    Every method must be called by the holder of the lock that guards the file.

    Parameters
    ----------
    dimensions : int
        Number of axes, d.
    path : Path
        The file of matrices, in the order of their ids.
    each_once : bool
        See `ObservedRotations`.
    """

    def __init__(self, dimensions: int, path: Path, *, each_once: bool = False) -> None:
        super().__init__(dimensions, each_once=each_once)
        self._path = path

    def identify(self, matrix: Any, rotation_id: int | None = None) -> int:
        """Return the id of a rotation after learning of those of other processes."""
        self._catch_up()
        known = len(self)
        found = super().identify(matrix, rotation_id)
        if found == known:
            with self._path.open("ab") as file:
                file.write(self.matrix(found).tobytes())
        return found

    def table(self) -> tuple[RotationTable, Ids | None]:
        """Return the ranked table of the rotations observed by all processes."""
        self._catch_up()
        return super().table()

    def _catch_up(self) -> None:
        size = self._dimensions**2
        with self._path.open("rb") as file:
            file.seek(len(self) * size * 8)
            unread = np.frombuffer(file.read(), dtype=np.float64)
        matrix: Matrix
        for matrix in unread.reshape(-1, self._dimensions, self._dimensions):
            self.append(matrix)

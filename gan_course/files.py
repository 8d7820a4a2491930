"""Files that are whole or not there."""

import contextlib
import os


@contextlib.contextmanager
def written_whole(path):
    """Open a file for binary writing that takes the place of `path` at the end, whole.

    Whatever happens before, power failure included, leaves `path` as it was. The folder is made
    where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

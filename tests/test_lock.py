from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from litestream import ConfigurationError
from litestream._lock import Lock


def test_one_holds_it_and_the_file_stays(tmp_path: Path) -> None:
    first, second = Lock(str(tmp_path / "a.db")), Lock(str(tmp_path / "a.db"))
    assert first.acquire()
    assert not second.acquire()
    assert Path(first.path).stat().st_mode & 0o777 == 0o600
    first.release()
    first.release()
    assert second.acquire()
    second.release()
    assert Path(first.path).exists()


def test_it_is_the_real_paths(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "folder" / "b.db").symlink_to(tmp_path / "folder" / "a.db")
    lock = Lock(str(tmp_path / "folder" / "a.db"))
    assert lock.path == Lock(str(tmp_path / "link" / "b.db")).path


def test_the_holders_end_frees_it(tmp_path: Path) -> None:
    script = (
        f"from litestream._lock import Lock; lock = Lock({str(tmp_path / 'a.db')!r}); "
        "print(lock.acquire(), flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        lock = Lock(str(tmp_path / "a.db"))
        assert not lock.acquire()
        process.kill()
        process.wait()
    assert lock.acquire()
    lock.release()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_neither_holds_nor_frees_it(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "a.db"))
    assert lock.acquire()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        lock.release()
        os.write(writer, b"released")
        os.close(writer)
        os._exit(0)
    assert os.read(reader, 8) == b"released"
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    assert not Lock(str(tmp_path / "a.db")).acquire()
    lock.release()
    other = Lock(str(tmp_path / "a.db"))
    assert other.acquire()
    other.release()


def test_a_symbolic_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "a.db"))
    Path(lock.path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="symbolic link"):
        lock.acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Lock(str(tmp_path / "missing" / "a.db")).acquire()


def test_notes_are_kept_beside_each_other(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "a.db"))
    assert lock.noted() == {}
    lock.note(socket="ignored: not held")
    assert lock.acquire()
    lock.note(socket="/a/long/path/to/it")
    lock.note(socket="/s", restored=[1, 2])
    lock.release()
    assert Lock(str(tmp_path / "a.db")).noted() == {"socket": "/s", "restored": [1, 2]}
    Path(lock.path).write_bytes(b"[1")
    assert lock.noted() == {}

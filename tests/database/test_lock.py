from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from litestream import ConfigurationError
from litestream._config import runtime_directory
from litestream._database.lock import Lock

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")


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
        f"from litestream._database.lock import Lock; lock = Lock({str(tmp_path / 'a.db')!r}); "
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


def stranger(path: str, content: str, mode: int = 0o666) -> None:
    """Let a file be another user's."""
    Path(path).write_text(content)
    os.chmod(path, mode)
    os.chown(path, 65534, 65534)


@as_root
def test_a_strangers_note_is_not_believed(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "a.db"))
    stranger(lock.path, '{"directory": "/victim"}')
    assert lock.noted() == {}
    os.chown(tmp_path, 65534, 65534)  # who owns the folder could replace the database, too
    os.chmod(lock.path, 0o644)
    assert lock.noted() == {"directory": "/victim"}


def test_what_is_no_file_in_its_place_neither_hangs_nor_is_used(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "a.db"))
    os.mkfifo(lock.path)
    assert lock.noted() == {}
    with pytest.raises(ConfigurationError, match="Remove it"):
        lock.acquire()
    os.unlink(lock.path)
    (tmp_path / "precious").write_text("kept")
    os.link(tmp_path / "precious", lock.path)
    with pytest.raises(ConfigurationError, match="Remove it"):
        lock.acquire()
    assert (tmp_path / "precious").read_text() == "kept"


@as_root
def test_roots_lock_is_the_folders_owners(tmp_path: Path) -> None:
    """An entrypoint recovers as root, and the application replicates as its own user."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    lock = Lock(str(folder / "a.db"))
    assert lock.acquire()
    lock.note(restored=[1, 2])
    lock.release()
    assert (os.stat(lock.path).st_uid, os.stat(lock.path).st_mode & 0o777) == (65534, 0o600)
    assert lock.noted() == {"restored": [1, 2]}


@as_root
def test_only_a_run_time_directory_of_our_own_is_removed(tmp_path: Path) -> None:
    foreign = tmp_path / "litestream-12345678"
    fuller = tmp_path / "litestream-abcdefgh"
    for directory in (foreign, fuller):
        directory.mkdir(mode=0o700)
        (directory / "litestream.yml").touch()
    os.chown(foreign, 65534, 65534)
    (fuller / "more").touch()
    for directory in (foreign, fuller):
        runtime_directory.remove(str(directory))
        assert (directory / "litestream.yml").exists()


NOTES = """
import sys
from litestream._database.lock import Lock
lock = Lock(sys.argv[1])
assert lock.acquire()
lock.note(hole="kept")
print("ready", flush=True)
number = 0
while True:
    number += 1
    lock.note(socket="/s" * (number % 100))
"""


def test_what_is_noted_is_never_half_there(tmp_path):
    lock = Lock(str(tmp_path / "a.db"))
    with subprocess.Popen(
        [sys.executable, "-c", NOTES, lock.database], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(3000):
                assert lock.noted()["hole"] == "kept"
        finally:
            process.kill()
    assert lock.noted()["hole"] == "kept"


def test_who_holds_it_is_asked_without_taking_it(tmp_path):
    lock, other = Lock(str(tmp_path / "a.db")), Lock(str(tmp_path / "a.db"))
    assert other.is_held() is False
    assert not os.path.exists(lock.path)
    assert lock.acquire()
    assert other.is_held() is True
    assert lock.is_held() is True
    lock.release()
    assert other.is_held() is False
    assert lock.acquire()
    lock.release()


def test_the_notes_need_no_room_that_a_full_disk_lacks(tmp_path):
    lock = Lock(str(tmp_path / "app.db"))
    assert lock.acquire()
    taken = os.stat(lock.path).st_size
    lock.note(hole="x" * 300, positions={"file": [1, 2, 3]}, state="mending", pid=2**22)
    assert os.stat(lock.path).st_size == taken >= 4096
    lock.release()
    assert Lock(lock.database).noted()["hole"] == "x" * 300


def test_a_lock_without_notes_has_none(tmp_path):
    lock = Lock(str(tmp_path / "app.db"))
    assert lock.acquire()
    assert lock.noted() == {}
    lock.release()


def test_the_notes_of_an_older_version_are_kept(tmp_path):
    lock = Lock(str(tmp_path / "app.db"))
    Path(lock.path).write_text('{"restored": [1, 2]}')
    Path(lock.path).chmod(0o600)
    assert lock.acquire()
    assert lock.noted() == {"restored": [1, 2]}
    lock.note(pid=3)
    assert lock.noted() == {"restored": [1, 2], "pid": 3}
    lock.release()

"""The private directory in which a restored file is built."""

from __future__ import annotations

import os
import stat

import pytest

from litestream._restore import staging
from litestream._restore.staging import Staging
from tests.restore.test_restore import listing


def test_staging_of_the_living_is_left_alone_and_that_of_the_dead_is_swept(tmp_path):
    dead = tmp_path / f".litestream-restore-{'0' * 16}"
    dead.mkdir()
    (dead / "database.tmp").write_text("half")
    foreign = tmp_path / ".litestream-restore-notes"
    foreign.mkdir()
    with Staging(str(tmp_path)) as living:
        assert not dead.exists()
        with Staging(str(tmp_path)):
            assert os.path.isdir(living.path)
        assert 0o700 == stat.S_IMODE(os.stat(living.path).st_mode)
    assert {foreign.name} == listing(tmp_path)


def test_staging_made_anew_when_a_sweep_comes_between(tmp_path, monkeypatch):
    mkdir = os.mkdir
    made: list[str] = []

    def swept_at_once(path, mode=0o777):
        mkdir(path, mode)
        made.append(path)
        if len(made) == 1:
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", swept_at_once)
    with Staging(str(tmp_path)) as staging:
        assert [staging.path] == made[1:]
        assert os.path.isdir(staging.path)


def test_a_signal_while_it_is_made_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(staging, "_lock", interrupted)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(KeyboardInterrupt), Staging(str(tmp_path)):
        pass
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/dev/fd")) == before

"""The error tree: one root, pickles, says what happened and what to do, shows no secret."""

from __future__ import annotations

import concurrent.futures
import pickle
import re

import pytest

import litestream
from litestream import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.LitestreamError)
]
FAILED = errors.CommandFailedError(["/bin/litestream", "wal"], 1, "stderr", "reason", "hint")
EXAMPLES = [
    FAILED,
    errors.CommandTimeoutError(["/bin/litestream", "wal"], 2.5, "reason"),
    errors.ControlSocketError("refused", 404),
    errors.CorruptBackupError("damaged", ["page 2"]),
    errors.BackupExistsError("another's", "/a.db"),
    errors.VerificationFailure("/a.db", "stale", "no daemon", {"age": 3}),
]
EXAMPLES += [
    kind(*FAILED.args) if issubclass(kind, errors.CommandFailedError) else kind("what happened")
    for kind in CLASSES
    if kind not in {type(error) for error in EXAMPLES}
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_pickle(error):
    copy = pickle.loads(pickle.dumps(error))
    assert vars(error) == vars(copy)
    assert str(error) == str(copy)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_are_true(error):
    """``concurrent.futures`` asks an exception for its truth before it raises it."""
    assert error
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    future.set_exception(error)
    with pytest.raises(type(error)):
        future.result()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_drawn_tree_and_exported(kind):
    assert re.search(rf"(^    |── ){kind.__name__}\b", errors.__doc__ or "", re.MULTILINE)
    assert kind is getattr(litestream, kind.__name__)


def test_the_drawn_tree_is_the_real_one():
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^ {4}([│ ]*)[├└]── (\w+)", line):
            depth = len(match[1]) // 4
            parents[depth:] = [match[2]]
            parent = parents[depth - 1] if depth else "LitestreamError"
            assert getattr(errors, parent) in getattr(errors, match[2]).__bases__


def test_a_failed_command_says_which_why_and_what_to_do():
    assert "litestream wal failed (exit status 1): reason (hint)" == str(FAILED)
    killed = errors.CommandFailedError(["litestream", "wal"], -9, "", "")
    assert "litestream wal failed (killed by signal 9): it gave no reason" == str(killed)


def test_a_time_limit_says_what_to_do():
    error = errors.CommandTimeoutError(["litestream", "ltx"], 60.0)
    assert str(error).startswith("litestream ltx did not end within 60 s and was killed. Check")
    assert isinstance(error, TimeoutError)

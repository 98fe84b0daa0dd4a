"""A small, seeded part of the truth campaign (see verify_truth.py)."""

from __future__ import annotations

import pytest

from tests import verify_truth


@pytest.mark.parametrize("fault", sorted({*verify_truth.ON_FILES} - {"sync -wait"}))
def test_a_broken_backup_is_never_proved(fault, series):
    outcome = verify_truth.one(fault, series, "suite", exact=True)
    assert not outcome.startswith("MISSED"), outcome


@pytest.mark.parametrize("fault", ["credentials revoked", "endpoint down", "file truncated"])
def test_a_broken_backup_on_s3_is_never_proved(fault, series):
    outcome = verify_truth.one(fault, series, "suite", exact=True, s3=True)
    assert not outcome.startswith("MISSED"), outcome


def test_a_healthy_backup_is_always_proved(series):
    assert {"proved": 6} == verify_truth.healthy(series, "suite", 6, s3=False)

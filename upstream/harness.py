"""What a probe is, and how its verdict is found.

A probe is two functions: its *trial* walks into the trap, its *control* does the same without the
one thing that makes it a trap. Both return what is wrong, nothing when all is well. Where the
control goes wrong, too, the probe tells nothing of its trap: the verdict is "obscured".
"""

from __future__ import annotations

import math
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from upstream.lab import Lab, Release, laboratory

PRESENT, ABSENT, INAPPLICABLE = "present", "absent", "not applicable"
OBSCURED, FAILED = "obscured", "failed"
CONTROLS = 3  # of a probe that is a matter of chance

Step = Callable[["Lab"], str]


@dataclass(frozen=True)
class Probe:
    """One trap of `litestream._executable.traps`, by its name.

    At most `most` trials are run, and no more after `enough` of them went wrong.
    """

    name: str
    trial: Step
    control: Step
    most: int = 1
    enough: int = 1
    since: tuple[int, ...] = ()
    before: tuple[int, ...] = (99,)


@dataclass(frozen=True)
class Verdict:
    """What a probe found on a release."""

    verdict: str
    evidence: str = ""
    wrong: int = 0
    trials: int = 0

    def __str__(self) -> str:
        """Say it in one line."""
        count = f" ({self.odds()})" if self.trials > 1 else ""
        return f"{self.verdict}{count}{': ' if self.evidence else ''}{self.evidence}"

    def odds(self) -> str:
        """Say how many trials went wrong, and the Wilson interval of their share (95 %)."""
        low, high = wilson(self.wrong, self.trials)
        return f"{self.wrong} of {self.trials}; {low:.0%} to {high:.0%}"


def wilson(wrong: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share."""
    share, square = wrong / trials, z * z / trials
    middle = share + square / 2
    half = z * math.sqrt(share * (1 - share) / trials + square / trials / 4)
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return (low if wrong else 0.0, high if wrong < trials else 1.0)


class Inapplicable(Exception):  # noqa: N818 - no error: the release has no such thing
    """Say why a probe makes no sense on a release."""


def examine(probe: Probe, release: Release) -> Verdict:
    """Run a probe on a release: its control, then trials until it is sure."""
    if not probe.since <= release.number < probe.before:
        return Verdict(INAPPLICABLE, "the release does not have the command or option")
    wrong = trials = 0
    evidence = ""
    try:
        for number in range(min(probe.most, CONTROLS)):
            with laboratory(release, f"{probe.name} control {number}") as lab:
                if found := _attempt(probe.control, lab):
                    return Verdict(OBSCURED, f"the same goes wrong without the trap: {found}")
        while trials < probe.most and wrong < probe.enough:
            with laboratory(release, f"{probe.name} {trials}") as lab:
                found = _attempt(probe.trial, lab)
            trials += 1
            wrong += bool(found)
            evidence = evidence or found
    except Inapplicable as reason:
        return Verdict(INAPPLICABLE, str(reason))
    except (AssertionError, OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        return Verdict(FAILED, f"{type(error).__name__}: {error}"[:300])
    return Verdict(PRESENT if wrong else ABSENT, evidence, wrong, trials)


def _attempt(step: Step, lab: Lab) -> str:
    return step(lab).replace(f"{lab.folder}/", "")

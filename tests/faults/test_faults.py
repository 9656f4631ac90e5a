"""Clusters that decide by themselves, with faults under load: who has to go goes, and no answer was wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.etcd_server import need_etcd
from support.fault_drill import DEPOSING, ETCD_FAULTS, HARMLESS, deposes, run_faults
from support.network import Network

WRITERS = 6
PAUSE_S = 0.004
"""The load leaves room for other tests; that of the soak does not."""


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("quorum", ("freeze", "isolate", "ring")),
        ("sync", ("kill", "deaf", "freeze-standby")),
        ("semi-sync", ("mute", "flap")),
        ("async", ("isolate", "kill")),
    ],
)
def test_what_clients_were_told_is_so(network: Network, tmp_path: Path, mode: str, names: tuple[str, ...]) -> None:
    outcome = run_faults(network, tmp_path, mode, names, len(names), writers=WRITERS, pause_s=PAUSE_S)
    assert outcome.faults == len(names)
    assert outcome.elections == sum(1 for name in names if name in DEPOSING)
    assert outcome.acknowledged > 100 * len(names) and outcome.operations > 100


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("quorum", ("lose-etcd", "blind", "freeze", "isolate")),
        ("sync", ("empty-etcd", "kill", "deaf")),
        ("semi-sync", ("kill-etcd", "freeze-etcd", "mute")),
        ("async", ("blind", "isolate", "mute")),
    ],
)
@pytest.mark.timeout(240)
def test_what_clients_were_told_is_so_with_etcd(
    network: Network, tmp_path: Path, mode: str, names: tuple[str, ...]
) -> None:
    need_etcd()
    outcome = run_faults(network, tmp_path, mode, names, len(names), writers=WRITERS, pause_s=PAUSE_S, with_etcd=True)
    assert outcome.faults == len(names)
    answers = [deposes(name, mode, with_etcd=True) for name in names]
    assert answers.count(True) <= outcome.elections <= len(answers) - answers.count(False)
    assert outcome.acknowledged > 100 * len(names) and outcome.operations > 100
    assert len(outcome.etcd_gaps_ms) == sum(1 for name in names if name in ETCD_FAULTS)
    assert max(outcome.etcd_gaps_ms) < 2000, "clients waited for an etcd"


def test_every_fault_is_one_or_the_other() -> None:
    assert not DEPOSING.keys() & HARMLESS.keys()
    assert not ETCD_FAULTS.keys() & (DEPOSING | HARMLESS).keys()

"""What ``doctor`` makes of a cluster: pure checks of what its nodes and its proxy say about themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.commands._findings import Finding
from helios_cli.engine.config.checks import is_loopback

SKEW_WARNING_S: Final = 0.5
SKEW_FAILED_S: Final = 30.0
"""Terms and leases go by steady clocks; timestamps, expiries and logs of several nodes do not."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One node, as it was asked."""

    name: str
    record: Record | None
    """The answer of /status; None: there was none."""
    reason: str = ""
    """Why there was none."""
    asked_s: float = 0.0
    """The clock here in the middle of the question, seconds since 1970."""
    trip_s: float = 0.0
    """How long the answer took."""


@dataclass(frozen=True, slots=True)
class SeenProxy:
    """A proxy before the cluster."""

    name: str
    nodes: Sequence[Record] | None
    """The answer of /nodes; None: there was none."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """All that was seen."""

    nodes: Sequence[Seen]
    proxies: Sequence[SeenProxy] = ()
    lacks_token: Sequence[str] = ()
    """Names of the nodes for which neither a token nor the cluster's secret is here."""

    def heard(self) -> list[tuple[Seen, Record]]:
        """The nodes that have answered, with their records."""
        return [(one, one.record) for one in self.nodes if one.record is not None]

    def primary(self) -> Record | None:
        """Who leads, in the newest term that says so."""
        leading = [record for _, record in self.heard() if record.get("role") in ("primary", "standalone")]
        return max(leading, key=lambda record: int(record.get("term") or 0), default=None)

    def cluster(self) -> Record:
        """What the primary knows of its cluster, else what the first that was heard knows."""
        primary = self.primary()
        records = [primary] if primary is not None else [record for _, record in self.heard()]
        found = [record["cluster"] for record in records if isinstance(record.get("cluster"), dict)]
        return found[0] if found else {}

    def members(self) -> list[Record]:
        """The data nodes, as the cluster knows them."""
        return [one for one in self.cluster().get("nodes") or () if isinstance(one, dict)]


def examine(picture: Picture) -> list[Finding]:
    """Every finding, in the order they are printed."""
    checks = (_answers, _leads, _together, _versions, _clocks, _votes, _copies, _addresses, _paused, _alarms, _proxies,
              _tokens)  # fmt: skip
    return [finding for check in checks for finding in check(picture)]


def _answers(picture: Picture) -> Iterable[Finding]:
    for one in picture.nodes:
        if one.record is None:
            start = "" if ":" in one.name else f" (heliosdb-nano cluster start {one.name})"
            hint = f"Start it{start}, or mend the way to its HTTP port."
            yield Finding("node " + one.name, "failed", one.reason, hint)
    heard = [one.name for one, _ in picture.heard()]
    if heard:
        yield Finding("nodes", "ok", f"{', '.join(heard)} answer")


def _leads(picture: Picture) -> Iterable[Finding]:
    leading = [one.name for one, record in picture.heard() if record.get("role") == "primary"]
    if not picture.heard():
        return
    if not leading:
        hint = "heliosdb-nano explain failover says why nobody is elected; promote makes one the primary."
        yield Finding("primary", "failed", "nobody leads", hint)
    elif len(leading) > 1:
        hint = "The one of the lower term has been replaced: mend the network between them, it follows then."
        yield Finding("primary", "failed", f"{' and '.join(leading)} say that they lead", hint)
    else:
        yield Finding("primary", "ok", f"{leading[0]} leads")


def _together(picture: Picture) -> Iterable[Finding]:
    ids = {str(record.get("cluster_id")) for _, record in picture.heard()}
    if len(ids) > 1:
        own = (picture.primary() or picture.heard()[0][1]).get("cluster_id")
        others = [one.name for one, record in picture.heard() if record.get("cluster_id") != own]
        hint = "Start it with an empty data directory and --primary-host, so that it joins this one."
        yield Finding("cluster id", "failed", f"{', '.join(others)} belongs to another cluster", hint)


def _versions(picture: Picture) -> Iterable[Finding]:
    versions: dict[str, list[str]] = {}
    for one, record in picture.heard():
        versions.setdefault(str(record.get("version")), []).append(one.name)
    if len(versions) > 1:
        told = "; ".join(f"{version}: {', '.join(names)}" for version, names in sorted(versions.items()))
        yield Finding("versions", "warning", told, "Upgrade the others: standbys first, then switchover.")
    elif versions:
        yield Finding("versions", "ok", next(iter(versions)))


def clock_s(record: Record) -> float | None:
    """What the clock of a node said as it answered, seconds since 1970; None when its record does not tell."""
    cluster = record.get("cluster")
    if isinstance(cluster, dict) and cluster.get("now_us"):
        return float(cluster["now_us"]) / 1e6
    if record.get("started_us") and record.get("uptime_s") is not None:
        return float(record["started_us"]) / 1e6 + float(record["uptime_s"])
    return None


def _clocks(picture: Picture) -> Iterable[Finding]:
    offsets = {
        one.name: (clock - one.asked_s, one.trip_s / 2)
        for one, record in picture.heard()
        if (clock := clock_s(record)) is not None
    }
    if len(offsets) < 2:
        return
    late = min(offsets, key=lambda name: offsets[name][0])
    early = max(offsets, key=lambda name: offsets[name][0])
    # How long the answers took is what cannot be told from a difference of the clocks.
    skew = max(0.0, offsets[early][0] - offsets[late][0] - offsets[early][1] - offsets[late][1])
    told = f"{early} is {skew:.1f} s ahead of {late}"
    hint = "Have a time service keep the clocks (chronyd, systemd-timesyncd), and look at the host's."
    if skew >= SKEW_FAILED_S:
        yield Finding("clocks", "failed", told, hint)
    elif skew >= SKEW_WARNING_S:
        yield Finding("clocks", "warning", told, hint)
    else:
        yield Finding("clocks", "ok", f"{skew * 1000:.0f} ms apart at most")


def _votes(picture: Picture) -> Iterable[Finding]:
    cluster, members = picture.cluster(), picture.members()
    voters = [str(name) for name in cluster.get("voters") or ()]
    observers = [one for one, record in picture.heard() if record.get("role") == "observer"]
    if not cluster or "@etcd" in voters:
        return
    if len(members) > 1 and len(voters) < 3:
        hint = "Add an observer on a third machine: heliosdb-nano start --replication-role observer --primary-host HOST"
        yield Finding("votes", "warning", f"{', '.join(voters)} alone votes: a lost primary is not replaced", hint)
        return
    if len(voters) > 2 and len(voters) % 2 == 0:
        hint = "Add an observer, or remove one of the nodes: heliosdb-nano standby remove NODE"
        told = f"{len(voters)} vote, an even number: no more may be lost than with {len(voters) - 1}"
        yield Finding("votes", "warning", told, hint)
        return
    idle = [one.name for one in observers if one.record is not None and one.name not in voters]
    told = f"{', '.join(voters)} vote, {len(voters) // 2 + 1} of them elect"
    yield Finding("votes", "ok", told + (f"; {', '.join(idle)} waits until the number is even" if idle else ""))


def _copies(picture: Picture) -> Iterable[Finding]:
    mode, members = str(picture.cluster().get("mode") or ""), picture.members()
    standbys = [one for one in members if one.get("role") == "standby"]
    counting = [str(one["node_id"]) for one in standbys if one.get("in_sync")]
    fit = [one for one in standbys if one.get("mode") != "async"]
    if not standbys:
        if picture.primary() is not None:
            yield Finding("copies", "warning", "no standby: a lost disk loses the database",
                          "Add one: heliosdb-nano standby add")  # fmt: skip
    elif mode == "async":
        hint = "heliosdb-nano config set replication_mode quorum, if no acknowledged commit may be lost."
        yield Finding("copies", "warning", "mode async: a failover may lose the newest commits", hint)
    elif not counting:
        hint = "Start the standbys, without a --replication-mode of their own or with that of the cluster."
        yield Finding("copies", "failed", f"mode {mode}, and no standby's copy counts", hint)
    elif mode in ("sync", "quorum") and len(fit) == 1:
        hint = "Add a second one that counts, or use semi-sync; on_sync_loss says what happens without it."
        told = f"mode {mode} with one standby that counts, {counting[0]}: without it commits wait, or have one copy"
        yield Finding("copies", "warning", told, hint)
    else:
        yield Finding("copies", "ok", f"mode {mode}, the copies of {', '.join(counting)} count")
    for one in standbys:
        if one.get("state") not in ("streaming", "catchup"):
            told = f"{one['node_id']} is {one.get('state')}"
            place = f"{one.get('host')}:{one.get('http_port')}"
            yield Finding("standby", "warning", told, f"If it runs, heliosdb-nano health --node {place} says why.")


def _addresses(picture: Picture) -> Iterable[Finding]:
    members = picture.members()
    local = [str(one["node_id"]) for one in members if is_loopback(str(one.get("host") or ""))]
    if local and len(local) < len(members):
        told = f"{', '.join(local)} is known by an address of its own machine, others are not on it"
        yield Finding("addresses", "warning", told, "Set advertise_address there to a name that the others reach.")


def _paused(picture: Picture) -> Iterable[Finding]:
    if picture.cluster().get("paused"):
        yield Finding("failover", "warning", "automatic failover is paused", "heliosdb-nano resume ends that.")


def _alarms(picture: Picture) -> Iterable[Finding]:
    for one, record in picture.heard():
        for alarm in record.get("alarms") or ():
            yield Finding("alarm", "warning", f"{one.name}: {alarm}")


def _proxies(picture: Picture) -> Iterable[Finding]:
    members = {(str(one.get("host")), int(one.get("pg_port") or 0)): str(one["node_id"]) for one in picture.members()}
    for proxy in picture.proxies:
        check = f"proxy {proxy.name}".strip()
        if proxy.nodes is None:
            yield Finding(check, "failed", proxy.reason, "heliosdb-proxy --config proxy.toml runs one.")
            continue
        places = {(str(one.get("host")), int(one.get("port") or 0)) for one in proxy.nodes}
        names = {str(one.get("name")) for one in proxy.nodes}
        missing = [name for place, name in members.items() if place not in places and name not in names]
        if missing:
            hint = 'Add [[nodes]] to proxy.toml, or let it find them: discover = "HOST:PORT" in place of [[nodes]].'
            yield Finding(check, "warning", f"it does not know {', '.join(missing)}", hint)
        bad = [one for one in proxy.nodes if one.get("enabled", True) and one.get("state") != "healthy"]
        for one in bad:
            told = f"{one.get('name')} is {one.get('state')}: {one.get('reason') or 'no reason given'}"
            yield Finding(check, "warning", told, "Is it the node's own trouble, or the way from the proxy to it?")
        off = [str(one.get("name")) for one in proxy.nodes if not one.get("enabled", True)]
        if off:
            yield Finding(check, "warning", f"{', '.join(off)} is not enabled there")
        if not missing and not bad and not off:
            yield Finding(check, "ok", f"uses {', '.join(sorted(names))}")


def _tokens(picture: Picture) -> Iterable[Finding]:
    if picture.lacks_token:
        hint = (
            "Name the cluster's secret with --cluster-secret-file FILE, or a node's http.token with --token-file FILE."
        )
        told = f"none for {', '.join(picture.lacks_token)}: promote, switchover and the like are refused from here"
        yield Finding("token", "warning", told, hint)
    elif picture.heard():
        yield Finding("token", "ok", "the verbs can be called from here")

"""Mistakes that could be made in the cores, each of one line. Each is found by the checkers, as the tests show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from helios_cli.engine.sim.planted import Bug

LSNS, RULE, ELECTION = "consensus.lsns", "consensus.rule", "consensus.election"
ACCEPTANCE, LEASE, TENURE, VOTE = "consensus.acceptance", "consensus.lease", "consensus.tenure", "consensus.vote"
NODE, DISK, SERVING, FOLLOWING, PRIMARY, CAMPAIGN, OBSERVER = (
    f"sim.{name}" for name in ("node", "disk", "serving", "following", "primary", "campaign", "observer")
)

BUGS: Final[Mapping[str, Bug]] = {
    "one-copy-less": Bug(
        "a commit is acknowledged with one copy fewer than its mode wants",
        RULE, "needed = mode.copies(len(members)) - (primary in members)",
        "needed = max(0, mode.copies(len(members)) - 1 - (primary in members))",
    ),
    "any-term": Bug(
        "an acknowledgement counts in whatever term it was given",
        LSNS, "before = self.heard.get(node_id)\n        if progress",
        "before = self.heard.get(node_id)\n"
        "        progress = Progress(self.term, progress.written, progress.flushed, progress.applied)\n"
        "        if progress",
    ),
    "own-flush-forgotten": Bug(
        "the primary's own flush is no condition",
        RULE, "return min(own_flushed, sorted(others, reverse=True)[needed - 1])",
        "return sorted(others, reverse=True)[needed - 1]",
    ),
    "committed-falls": Bug(
        "the committed LSN follows what was heard last",
        LSNS, "        if lsn > self._begins:\n            self.committed = max(self.committed, lsn)",
        "        if lsn > self._begins:\n            self.committed = lsn",
    ),
    "observer-counts": Bug(
        "an observer's word counts as a copy",
        LSNS, "return reached(mode, config.in_sync, self.node_id, self.flushed, heard, self.term)",
        "seen = {n: Progress(self.term, self.flushed, self.flushed, self.flushed) for n in self.observed}\n"
        "        names = (*config.in_sync, *self.observed)\n"
        "        return reached(mode, names, self.node_id, self.flushed, {**heard, **seen}, self.term)",
    ),
    "tail-at-once": Bug(
        "an inherited tail is committed before the term's first record",
        LSNS, "self._begins = begins", "self._begins = Lsn(0)",
    ),
    "ejection-unagreed": Bug(
        "a member is ejected before that is agreed",
        LSNS, "return self._agreed(pending)\n        if lsn", "return True\n        if lsn",
    ),
    "not-joint": Bug(
        "a change is in force before it is committed",
        LSNS, "if lsn < pending.end:", "if False:",
    ),
    "loosened-at-once": Bug(
        "while a change is on its way, only the configuration before that counts",
        LSNS, "return min(self._reached(config) for config in self.counting)", "return self._reached(self.config)",
    ),
    "committed-past-a-change": Bug(
        "the committed LSN passes a change that the voters have not agreed to",
        LSNS, "lsn = min(lsn, self._agreed_to)", "pass",
    ),
    "disks-unknown": Bug(
        "a node that has lost its disk counts as the one that it was",
        LSNS, "return disk is None or disk == config.incarnation(node)", "return True",
    ),
    "disks-before": Bug(
        "who has followed a primary since before it led counts whatever disk it has",
        PRIMARY, "self.lsns.came(stream.member.node_id, stream.member.incarnation)", "pass",
    ),
    "lsns-without-terms": Bug(
        "a candidate compares LSNs without their terms",
        ELECTION, "theirs = (answer.last_term, answer.last_term_id, answer.flushed)",
        "theirs = (own.last_term.number, own.last_term.term_id, answer.flushed)",
    ),
    "nobody-heard": Bug(
        "a candidate leads whoever answers",
        ELECTION, "if len(counting) >= needed:", "if True:",
    ),
    "minority-elects": Bug(
        "members that may have been ejected are enough to elect",
        ELECTION, "    if len(votes) >= needed:", "    if votes:",
    ),
    "newest-alone": Bug(
        "a candidate goes by its newest configuration, agreed or not",
        ELECTION, "    for config in known:\n", "    for config in known[-1:]:\n",
    ),
    "observer-unheeded": Bug(
        "a candidate does not go by the configuration that an observer knows",
        ELECTION, "known += _observed(own, newest, heard)", "pass",
    ),
    "old-disks-vote": Bug(
        "a voter that has lost its disk has the vote that it had",
        ELECTION, "if given.get(voter, \"\") == config.incarnation(voter)]", "if voter in given]",
    ),
    "old-disks-copy": Bug(
        "a member that has lost its disk is heard as the one that it was",
        ELECTION, "member is not None and member.incarnation == incarnation", "member is not None",
    ),
    "promise-broken": Bug(
        "a candidate leads although it has promised a newer term",
        ACCEPTANCE, "return own == taken and (", "return (",
    ),
    "taken-back-unheard": Bug(
        "of two nodes the one that has promised the other that it may lead leads, whether it hears of that one or not",
        ACCEPTANCE, "return elects or not voted_for or voted_for in heard", "return True",
    ),
    "leader-promises": Bug(
        "a primary promises another's term and leads on",
        ACCEPTANCE, "return not leads and", "return",
    ),
    "old-term-followed": Bug(
        "records of an ended term are taken",
        ACCEPTANCE, "return theirs >= own", "return True",
    ),
    "sent-back-by-anybody": Bug(
        "a primary that was restarted makes those ahead of it go back",
        ACCEPTANCE, "return bool(own.starts) and own.starts[-1].term > theirs.starts[-1].term", "return True",
    ),
    "endless-lease": Bug(
        "a primary acknowledges although its lease is over",
        TENURE, "and now < self._until\n", "\n",
    ),
    "lease-without-margin": Bug(
        "a primary uses all of its lease, whatever the clocks do",
        LEASE, "MARGIN: Final = 1 / 8", "MARGIN: Final = -1 / 8",
    ),
    "vote-taken-back": Bug(
        "a primary releases the voters that it does not hear, and counts on what they said before",
        SERVING, "sent_us | 1, None)", "sent_us | 1, 0)",
    ),
    "lease-from-the-echo": Bug(
        "a lease counts from when its echo came",
        PRIMARY, "member.incarnation), term, *asked)", "member.incarnation), term, self.node.now, asked[1])",
    ),
    "lease-on-the-wall-clock": Bug(
        "a lease is reckoned by the wall clock",
        PRIMARY, "member.incarnation), term, *asked)",
        "member.incarnation), term, self.node.now - (self.node.wall_us - echo_us) / 1e6, asked[1])",
    ),
    "fickle-voters": Bug(
        "voters vote although the primary's lease is not over",
        LEASE, "        return now < self._until", "        return False",
    ),
    "votes-at-start": Bug(
        "a voter that has just started votes at once",
        LEASE, "self._until = now + longest_s", "self._until = now",
    ),
    "promise-in-memory": Bug(
        "a promise is given before it is on disk",
        NODE, "self.disk.save(term=(term.number, term.term_id), voted_for=voted_for or self.voted_for)",
        "self.disk.control[\"term\"] = (term.number, term.term_id)",
    ),
    "written-acknowledged": Bug(
        "what is not on disk is acknowledged as flushed",
        FOLLOWING, "Acknowledge(log.end, log.flushed,", "Acknowledge(log.end, log.end,",
    ),
    "cache-believed": Bug(
        "after a failed sync what is in the cache counts as being on the disk",
        DISK, "self._log.pwrite(data[:end], 0)", "pass",
    ),
    "sync-tried-again": Bug(
        "a sync that has failed is tried again",
        DISK, "raise DiskFailed(\"a sync of the log fails\") from error", "self._log.sync()",
    ),
    "primary-shows-flushed": Bug(
        "the primary shows what only it has",
        PRIMARY, "node.expose(committed)", "node.expose(node.log.flushed)",
    ),
    "standby-shows-applied": Bug(
        "a standby shows what is not committed",
        NODE, "self.expose(min(self.following.committed, self.applied))", "self.expose(self.applied)",
    ),
    "reads-unconfirmed": Bug(
        "a primary answers linearizable reads without hearing that it still leads",
        LSNS, "and self._is_known(one, node)) >= one.copies", "and self._is_known(one, node)) >= 1",
    ),
    "reads-confirmed-before": Bug(
        "a primary takes whatever was confirmed for a word that it still leads",
        PRIMARY, "asked_at is not None and asked_at >= since", "stream.confirmed_us",
    ),
    "reads-before-the-first-record": Bug(
        "a new primary answers linearizable reads before its term's first record is committed",
        PRIMARY, "if self.node.exposed <= self._begins:", "if False:",
    ),
    "fork-not-cut": Bug(
        "a node that comes back keeps records that the primary has not",
        SERVING, "if fork < end:", "if False:",
    ),
}  # fmt: skip
"""By name."""

"""``cluster partition`` and ``cluster heal``: links between nodes that are cut, while the nodes run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._cluster import Directory, DryRun, say

if TYPE_CHECKING:
    from helios_cli.commands.local.acts import Acts
    from helios_cli.commands.local.partitions import Link

Groups: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="A,B|C", help="Groups; names of nodes, @primary, proxy. A single group: from all other nodes."
    ),
]


def partition(
    groups: Groups,
    one_way: Annotated[
        bool, typer.Option("--one-way", help="Only what the first group sends to the second is lost.")
    ] = False,
    directory: Directory = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Cut the links between groups of nodes: replication, forwarded writes, heartbeats and votes are lost, silently.

    The nodes run on and take clients. What was cut before stays cut; it outlasts restarts of nodes, until heal. The
    proxy is on both sides unless it is named. Only clusters with faults = true in cluster.toml, as cluster up makes
    them.

    Examples:

        heliosdb-nano cluster partition @primary

        heliosdb-nano cluster partition "primary|standby-sync,standby-async"

        heliosdb-nano cluster partition "primary,proxy|standby-sync,standby-async,observer"

        heliosdb-nano cluster partition "standby-sync|primary" --one-way --dry-run
    """
    from helios_cli.commands.local import acts, clusterfile, partitions

    doing = acts.Acts(clusterfile.load(directory))
    wanted = partitions.links(_groups(doing, groups), one_way=one_way)
    if dry_run:
        return _say("would cut", wanted, partitions.cut_links(doing.cluster), False, as_json)
    return _say("cut", wanted, partitions.change(doing.cluster, cut=wanted), True, as_json)


def heal(
    groups: Annotated[
        str | None, typer.Argument(metavar="A,B|C", help="Groups as they were cut. \\[all that is cut]")
    ] = None,
    directory: Directory = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Mend the links between groups of nodes, or all. Nothing that was lost is sent again: connections are made anew.

    Examples:

        heliosdb-nano cluster heal

        heliosdb-nano cluster heal "primary|standby-sync"
    """
    from helios_cli.commands.local import acts, clusterfile, partitions

    doing = acts.Acts(clusterfile.load(directory))
    before = partitions.cut_links(doing.cluster)
    named = partitions.links(_groups(doing, groups)) if groups is not None else before
    wanted = [link for link in before if link in named]
    if dry_run:
        return _say("would mend", wanted, before, False, as_json)
    left = partitions.change(doing.cluster, heal=None if groups is None else wanted)
    return _say("mended", wanted, left, True, as_json)


def _groups(doing: Acts, text: str) -> list[list[str]]:
    """Names by group, each once; a single group is cut from everybody else.

    Raises:
        HeliosError: an unknown name. BadParameter: a name twice, or an empty group.
    """
    groups = [
        [doing.member(name.strip()).name for name in group.split(",") if name.strip()] for group in text.split("|")
    ]
    named = [name for group in groups for name in group]
    if len(groups) == 1:
        groups.append([one.name for one in doing.cluster.nodes if one.name not in named])
    if not all(groups) or len(set(named)) < len(named):
        raise typer.BadParameter(f'groups are written "A,B|C", each node once, not {text!r}')
    return groups


def _say(verb: str, wanted: list[Link], cut: list[Link], done: bool, as_json: bool) -> int:
    from helios_cli.commands.local.partitions import told

    named = ", ".join(told(wanted)) or "nothing"
    return say(as_json, {"links": wanted, "cut": cut, "done": done}, f"{verb} {named}")


VERBS = (partition, heal)

"""The engine's own classes: what runs inside a node, by the names that the documents use.

Nobody makes these by hand: a node does, on its event loop. They are here to be read, typed against and tested.
"""

from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.node.applicator import WalApplicator
from helios_cli.engine.node.forwarder import QueryForwarder
from helios_cli.engine.node.receiver import WalReceiver
from helios_cli.engine.node.streamer import WalReplicator, WalStreamer

__all__ = ["LsnManager", "QueryForwarder", "WalApplicator", "WalReceiver", "WalReplicator", "WalStreamer"]

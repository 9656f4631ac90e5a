"""The relations of pg_catalog that only this database has: what a node knows of its cluster.

Written as ``system_columns_pg`` is: name, OID and kind, then the columns; ``?`` marks those that may be NULL.
"""

from __future__ import annotations

import re
from typing import Final

RELATIONS: Final = """\
pg_replication_status 15101 v: node_id text?, role text?, sync_mode text?, listen_address text?, replication_port
  int4?, current_lsn pg_lsn?, is_read_only bool?, standby_count int4?, uptime_seconds int8?
pg_replication_standbys 15102 v: node_id text?, address text?, sync_mode text?, state text?, current_lsn pg_lsn?,
  flush_lsn pg_lsn?, apply_lsn pg_lsn?, lag_bytes int8?, lag_ms int8?, connected_at timestamptz?, last_heartbeat
  timestamptz?
pg_replication_primary 15103 v: node_id text?, address text?, state text?, primary_lsn pg_lsn?, local_lsn pg_lsn?,
  lag_bytes int8?, lag_ms int8?, fencing_token int8?, connected_at timestamptz?, last_heartbeat timestamptz?
pg_replication_metrics 15104 v: wal_writes int8?, wal_bytes_written int8?, records_replicated int8?, bytes_replicated
  int8?, heartbeats_sent int8?, heartbeats_received int8?, reconnect_count int8?, last_wal_write timestamptz?,
  last_replication timestamptz?
helios_replication_status 15105 v: node_id text?, role text?, mode text?, state text?, in_sync bool?, is_local bool?,
  term int8?, written_lsn pg_lsn?, flushed_lsn pg_lsn?, applied_lsn pg_lsn?, committed_lsn pg_lsn?,
  replication_lag_bytes int8?, replication_lag_ms float8?, catch_up_seconds float8?, lag_cause text?, checksum text?,
  identical bool?, last_heard timestamptz?
helios_standby_nodes 15106 v: node_id text?, address text?, native_address text?, mode text?, state text?, in_sync
  bool?, sent_lsn pg_lsn?, written_lsn pg_lsn?, flushed_lsn pg_lsn?, applied_lsn pg_lsn?, replication_lag_bytes int8?,
  replication_lag_ms float8?, catch_up_seconds float8?, lag_cause text?, round_trip_ms float8?, checksum text?,
  identical bool?, slot_lsn pg_lsn?, connected_at timestamptz?, last_heard timestamptz?
helios_durability_gaps 15107 v: node_id text?, from_lsn pg_lsn?, to_lsn pg_lsn?, is_open bool?, began_at timestamptz?,
  ended_at timestamptz?, seconds float8?, reason text?
helios_events 15108 v: id int8?, occurred_at timestamptz?, node_id text?, severity text?, kind text?, message text?,
  details jsonb?
helios_failover_history 15112 v: id int8?, failover_time timestamptz?, node_id text?, decision text?, term int8?,
  old_primary text?, new_primary text?, automatic bool?, reason text?, details jsonb?
helios_scrub 15110 v: node_id text?, is_running bool?, started_at timestamptz?, finished_at timestamptz?, next_at
  timestamptz?, pages int8?, pages_checked int8?, pages_bad int8?, pages_repaired int8?, bad_pages jsonb?, seconds
  float8?, last_error text?
helios_tokens 15111 v: name text, role_name text, created_at timestamptz, expires_at timestamptz?
helios_topology 15109 v: node_id text?, role text?, mode text?, state text?, pg_address text?, native_address text?,
  http_address text?, follows text?, term int8?, lsn pg_lsn?, in_sync bool?, is_local bool?, votes bool?,
  lag_bytes int8?, lag_ms float8?
"""

NAMES: Final = tuple(re.findall(r"^(\w+) \d+ v:", RELATIONS, re.MULTILINE))
"""Their names."""

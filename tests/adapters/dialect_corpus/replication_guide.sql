-- The queries of a replication guide, over tables of the shape it tells of. Times differ from run to run: queries that show them stand in a FROM.
create schema replicate
create table replicate.peer_latency_history (peer_id text, region text, rtt_ms numeric(10,3), recorded_at timestamptz default now())
insert into replicate.peer_latency_history select 'p' || (g % 2), 'eu', g * 1.5, now() - g * interval '1 minute' from generate_series(1, 90) g
create table replicate.masters (master_id text primary key, region text, current_lsn bigint, last_replicated_lsn bigint, last_replication_time timestamptz, last_heartbeat timestamptz, state text, is_healthy boolean, replication_lag_ms int, replication_lag_bytes bigint, catch_up_progress_percent numeric)
insert into replicate.masters values ('us-east-1', 'us', 5000, 4000, '2025-12-30 10:00:00.5+00', now() - interval '5 seconds', 'up', true, 40, 1000, 100), ('eu-west-1', 'eu', 5000, 1234, '2025-12-30 09:00:00+00', now() - interval '1 minute', 'down', false, 800, 90000, 42.5), ('ap-south-1', 'ap', 5000, 5000, null, null, 'down', false, 1500, null, null)
create table replicate.network_stats (direction text, bytes_sent bigint, bytes_received bigint, compression_ratio numeric, recorded_at timestamptz)
insert into replicate.network_stats values ('out', 1000, 10, 4, now() - interval '2 minutes'), ('in', 7, 2000, 0, now() - interval '3 minutes'), ('in', 7, 2000, 1, now() - interval '3 hours')
create table replicate.lag_history (peer_id text, lag_ms double precision, recorded_at timestamptz)
insert into replicate.lag_history select 'peer' || g % 3, g * g / 7.0, now() - g * interval '30 seconds' from generate_series(1, 100) g
create table replicate.replication_queue (master_id text, state text)
insert into replicate.replication_queue values ('a', 'pending'), ('a', 'pending'), ('b', 'pending'), ('b', 'done')
create table replicate.buffer_stats (buffer_type text, used_mb int, allocated_mb int, peak_mb int, peak_at timestamptz)
insert into replicate.buffer_stats values ('queue', 10, 64, 60, now()), ('wal', 63, 64, 64, now())
create table replicate.batch_stats (batch_size int, batch_size_bucket text, batch_latency_ms numeric, latency_ms real, recorded_at timestamptz)
insert into replicate.batch_stats select g * 10, case when g < 5 then 'small' else 'large' end, g + 0.25, g, now() - interval '1 minute' from generate_series(1, 10) g
create table replicate.connection_stats (peer_id text, total_connections int, active_connections int, idle_connections int)
insert into replicate.connection_stats values ('x', 15, 10, 5), ('y', 7, 1, 6)
create table replicate.conflicts (conflict_id text, table_name text, row_id bigint, master_1_value jsonb, master_2_value jsonb, resolved_value jsonb, resolution_strategy text, resolution_latency_ms numeric, detected_at timestamptz)
insert into replicate.conflicts values ('c-1', 'users', 1, '1', '2', '2', 'pending', 1.25, now() - interval '10 minutes'), ('c-2', 'users', 2, '"a"', '"b"', null, 'lww', 2.5, now() - interval '5 hours'), ('c-3', 'orders', 3, '{}', '[]', '[]', 'lww', null, now() - interval '6 days')
create table replicate.master_stats (master_id text, region text, replication_lag_ms int, active_users int, writes_per_sec int, recorded_at timestamptz)
create table replicate.trade_execution_stats (symbol text, replication_lag_ms numeric, execution_latency_ms double precision, execution_time timestamptz)
insert into replicate.trade_execution_stats select case g % 2 when 0 then 'ABC' else 'XYZ' end, g / 3.0, g * 1.1, now() - g * interval '1 minute' from generate_series(1, 20) g
create table replicate.trade_submissions (trade_id int, symbol text, submitted_at timestamptz)
insert into replicate.trade_submissions values (1, 'ABC', now() - interval '30 seconds'), (1, 'ABC', now() - interval '28.5 seconds'), (2, 'XYZ', now())
create table replicate.tenant_storage_location (tenant_id text, table_name text, storage_region text, primary_region text, row_count bigint, data_size_mb numeric)
insert into replicate.tenant_storage_location values ('A', 'users', 'us', 'us', 5, 1.5), ('B', 'users', 'eu', 'us', 6, 2)
create table replicate.crdt_operations (tenant_id text, operation_type text, merge_latency_ms numeric, executed_at timestamptz)
insert into replicate.crdt_operations values ('t', 'set_add', 1, now()), ('t', 'set_add', 2, now()), ('t', 'map_put', 0.333, now())
create table replicate.cross_region_replication (tenant_id text, source_region text, target_region text, bytes_replicated bigint, replicated_at timestamptz)
insert into replicate.cross_region_replication values ('t', 'us', 'eu', 123456789, now()), ('t', 'us', 'ap', 1, now())
create table replicate.cluster_info (master_count int, min_quorum int, healthy_count int)
insert into replicate.cluster_info values (3, 2, 1)
SELECT peer_id, region, ROUND(AVG(rtt_ms), 2) as avg_latency_ms, PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY rtt_ms) as p99_latency_ms, COUNT(*) as ping_count FROM replicate.peer_latency_history WHERE recorded_at > NOW() - INTERVAL '1 hour' GROUP BY peer_id, region ORDER BY avg_latency_ms DESC;
SELECT master_id, current_lsn, last_replicated_lsn, current_lsn - last_replicated_lsn as pending_operations, ROUND((current_lsn - last_replicated_lsn) / 1000.0, 2) as lag_mb, ROUND(EXTRACT(EPOCH FROM last_replication_time) * 1000, 0) as last_replication_ms_ago FROM replicate.masters ORDER BY pending_operations DESC;
SELECT direction, bytes_sent, bytes_received, ROUND(bytes_sent / NULLIF(compression_ratio, 0), 0) as bytes_before_compression, ROUND(100 * (1 - 1/NULLIF(compression_ratio, 1)), 1) as compression_percent FROM replicate.network_stats WHERE recorded_at > NOW() - INTERVAL '1 hour' AND compression_ratio > 0 ORDER BY recorded_at DESC LIMIT 10;
SELECT direction, ROUND(100 * (1 - 1/NULLIF(compression_ratio, 1)), 1) as compression_percent FROM replicate.network_stats
SELECT master_id, replication_lag_bytes, replication_lag_ms, catch_up_progress_percent, CASE WHEN catch_up_progress_percent >= 100 THEN 'COMPLETE' ELSE 'IN_PROGRESS' END as catch_up_status FROM replicate.masters ORDER BY 1
SELECT master_id, NOW() - last_heartbeat > interval '30 seconds' as is_late, state, is_healthy FROM replicate.masters WHERE is_healthy = false ORDER BY last_heartbeat DESC;
SELECT master_id, region, CASE WHEN replication_lag_ms < 100 THEN 'EXCELLENT' WHEN replication_lag_ms < 500 THEN 'GOOD' WHEN replication_lag_ms < 1000 THEN 'ACCEPTABLE' ELSE 'POOR' END as lag_status, replication_lag_ms, replication_lag_bytes, last_replication_time FROM replicate.masters ORDER BY replication_lag_ms DESC;
SELECT peer_id, PERCENTILE_CONT(0.50) WITHIN GROUP (ORDER BY lag_ms) as p50_lag_ms, PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY lag_ms) as p95_lag_ms, PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY lag_ms) as p99_lag_ms, MAX(lag_ms) as max_lag_ms, COUNT(*) as samples FROM replicate.lag_history WHERE recorded_at > NOW() - INTERVAL '1 hour' GROUP BY peer_id ORDER BY p99_lag_ms DESC;
SELECT master_id, COUNT(*) as pending_ops FROM replicate.replication_queue WHERE state = 'pending' GROUP BY master_id ORDER BY pending_ops DESC;
SELECT buffer_type, used_mb, allocated_mb, ROUND(100.0 * used_mb / allocated_mb, 1) as utilization_percent, peak_mb FROM replicate.buffer_stats ORDER BY utilization_percent DESC;
SELECT AVG(batch_size) as avg_batch_size, MAX(batch_size) as max_batch_size, AVG(batch_latency_ms) as avg_latency_ms, PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY batch_latency_ms) as p99_latency_ms, COUNT(*) as total_batches FROM replicate.batch_stats WHERE recorded_at > NOW() - INTERVAL '1 hour';
SELECT batch_size_bucket, COUNT(*) as frequency, AVG(latency_ms) as avg_latency, (SELECT batch_size_bucket FROM ( SELECT batch_size_bucket, AVG(latency_ms) as avg_lat FROM replicate.batch_stats WHERE recorded_at > NOW() - INTERVAL '1 hour' GROUP BY batch_size_bucket ) AS b ORDER BY avg_lat ASC LIMIT 1) as recommended_batch_size FROM replicate.batch_stats WHERE recorded_at > NOW() - INTERVAL '1 hour' GROUP BY batch_size_bucket ORDER BY frequency DESC;
SELECT peer_id, total_connections, active_connections, idle_connections, ROUND(100.0 * active_connections / total_connections, 1) as active_percent, ROUND(100.0 * idle_connections / total_connections, 1) as idle_percent FROM replicate.connection_stats ORDER BY active_percent DESC;
SELECT conflict_id, table_name, row_id, master_1_value, master_2_value, resolved_value, resolution_strategy FROM replicate.conflicts WHERE detected_at > NOW() - INTERVAL '1 hour' ORDER BY detected_at DESC;
SELECT table_name, COUNT(*) as conflict_count, ROUND(100.0 * COUNT(*) / SUM(COUNT(*)) OVER(), 1) as percent_of_total FROM replicate.conflicts WHERE detected_at > NOW() - INTERVAL '1 day' GROUP BY table_name ORDER BY conflict_count DESC;
SELECT conflicts_per_hour, avg_resolution_ms FROM (SELECT DATE_TRUNC('hour', detected_at) as hour, COUNT(*) as conflicts_per_hour, ROUND(AVG(resolution_latency_ms), 1) as avg_resolution_ms FROM replicate.conflicts WHERE detected_at > NOW() - INTERVAL '7 days' GROUP BY hour ORDER BY hour DESC) q ORDER BY 2
SELECT master_id, region, ROUND(AVG(replication_lag_ms), 0) as avg_lag_ms, active_users, writes_per_sec FROM replicate.master_stats WHERE recorded_at > NOW() - INTERVAL '5 minutes' GROUP BY master_id, region ORDER BY master_id;
SELECT master_id, region, ROUND(AVG(replication_lag_ms), 0) as avg_lag_ms FROM replicate.master_stats WHERE recorded_at > NOW() - INTERVAL '5 minutes' GROUP BY master_id, region ORDER BY master_id;
SELECT symbol, COUNT(*) as trades_executed, ROUND(AVG(replication_lag_ms), 2) as avg_replication_lag_ms, ROUND(PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY execution_latency_ms), 2) as p99_execution_ms FROM replicate.trade_execution_stats WHERE execution_time > NOW() - INTERVAL '1 hour' GROUP BY symbol ORDER BY avg_replication_lag_ms DESC LIMIT 10;
SELECT symbol, COUNT(*) as trades_executed, ROUND(AVG(replication_lag_ms), 2) as avg_replication_lag_ms, ROUND(PERCENTILE_CONT(0.99) WITHIN GROUP (ORDER BY execution_latency_ms)::numeric, 2) as p99_execution_ms FROM replicate.trade_execution_stats WHERE execution_time > NOW() - INTERVAL '1 hour' GROUP BY symbol ORDER BY avg_replication_lag_ms DESC LIMIT 10;
SELECT trade_id, symbol, COUNT(*) as submission_count, MAX(submitted_at) - MIN(submitted_at) as time_span_ms FROM replicate.trade_submissions WHERE submitted_at > NOW() - INTERVAL '1 minute' GROUP BY trade_id, symbol HAVING COUNT(*) > 1 ORDER BY submission_count DESC;
SELECT tenant_id, table_name, storage_region, row_count, data_size_mb, CASE WHEN storage_region = primary_region THEN 'COMPLIANT' ELSE 'VIOLATION' END as residency_status FROM replicate.tenant_storage_location;
SELECT tenant_id, operation_type, COUNT(*) as operation_count, ROUND(AVG(merge_latency_ms), 2) as avg_merge_ms FROM replicate.crdt_operations WHERE executed_at > NOW() - INTERVAL '1 day' GROUP BY tenant_id, operation_type ORDER BY tenant_id, operation_count DESC;
SELECT tenant_id, source_region, target_region, bytes_replicated, ROUND(bytes_replicated::NUMERIC / 1024 / 1024, 2) as mb_replicated FROM replicate.cross_region_replication WHERE replicated_at > NOW() - INTERVAL '1 hour' ORDER BY bytes_replicated DESC;
SELECT COUNT(*) as unresolved_conflicts FROM replicate.conflicts WHERE resolution_strategy = 'pending';
SELECT master_count, min_quorum, healthy_count, CASE WHEN healthy_count >= min_quorum THEN 'OK' ELSE 'QUORUM LOST' END as status FROM replicate.cluster_info;
SELECT 'SELECT COUNT(DISTINCT master_id) as master_count, COUNT(*) as row_count FROM replicate.split_brain_detection' as query_to_run_on_all_masters;
SELECT replicate.validate_topology()

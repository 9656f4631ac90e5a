SELECT c.oid, c.relname, c.relkind, pg_get_userbyid(c.relowner) AS owner, obj_description(c.oid, 'pg_class') AS comment, c.reltuples, pg_get_expr(c.relpartbound, c.oid) AS bound, (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal) AS triggers, (SELECT count(*) FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid) AS inherits, (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) AS indexes, d.description
FROM pg_class c
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
WHERE c.relkind NOT IN ('i', 'I', 'c') AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'app', 'audit'))
ORDER BY c.relname

SELECT i.indexrelid, i.indrelid, c.relname, t.relname AS table_name, i.indisprimary, i.indisunique, i.indkey, i.indclass, i.indoption, am.amname, pg_get_expr(i.indpred, i.indrelid, true) AS pred_expr, pg_get_indexdef(i.indexrelid, 0, true) AS definition, pg_get_indexdef(i.indexrelid) AS statement, d.description, pg_relation_size(i.indexrelid) AS bytes
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace ns ON ns.oid = t.relnamespace
JOIN pg_am am ON am.oid = c.relam
LEFT JOIN pg_description d ON d.objoid = i.indexrelid AND d.classoid = 'pg_class'::regclass
WHERE ns.nspname IN ('public', 'app', 'audit')
ORDER BY t.relname, c.relname

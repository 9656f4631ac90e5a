WITH parts AS (SELECT indexrelid, indrelid, indisunique, indisprimary, unnest(indkey) AS attnum, unnest(indclass) AS opclass, unnest(indoption) AS option, generate_subscripts(indkey, 1) AS position FROM pg_index WHERE indpred IS NULL AND NOT indisexclusion)
SELECT ns.nspname, i.relname AS index_name, t.relname AS table_name, a.attname, p.indisunique, p.indisprimary, p.position, o.opcname, o.opcdefault, am.amname, CASE p.option & 1 WHEN 1 THEN 'DESC' ELSE 'ASC' END AS ordered, con.condeferrable, con.condeferred
FROM parts p
JOIN pg_class t ON t.oid = p.indrelid
JOIN pg_class i ON i.oid = p.indexrelid
JOIN pg_namespace ns ON ns.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = p.attnum
JOIN pg_am am ON am.oid = i.relam
LEFT JOIN pg_opclass o ON o.oid = p.opclass
LEFT JOIN pg_constraint con ON con.conindid = p.indexrelid AND con.contype <> 'f'
WHERE ns.nspname = ANY ('{public,app,audit}')
ORDER BY 1, 3, 2, p.position

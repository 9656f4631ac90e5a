SELECT con.conname, ns.nspname, t.relname, a.attname, rns.nspname AS referenced_schema, rt.relname AS referenced_table, ra.attname AS referenced_column, con.confdeltype, con.confupdtype, con.condeferrable, con.condeferred
FROM (SELECT c.oid, c.conname, c.conrelid, c.confrelid, c.confdeltype, c.confupdtype, c.condeferrable, c.condeferred, unnest(c.conkey) AS child, unnest(c.confkey) AS parent FROM pg_constraint c WHERE c.contype = 'f') con
JOIN pg_class t ON t.oid = con.conrelid
JOIN pg_namespace ns ON ns.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.child
JOIN pg_class rt ON rt.oid = con.confrelid
JOIN pg_namespace rns ON rns.oid = rt.relnamespace
JOIN pg_attribute ra ON ra.attrelid = con.confrelid AND ra.attnum = con.parent
WHERE ns.nspname = ANY ('{public,app,audit}')
ORDER BY 2, 3, 1

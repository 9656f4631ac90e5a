SELECT c.oid, c.conname, c.contype, c.conkey, c.confkey, t.relname, rt.relname AS referenced, d.description, pg_get_constraintdef(c.oid, true) AS definition
FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_namespace ns ON ns.oid = t.relnamespace
LEFT JOIN pg_class rt ON rt.oid = c.confrelid
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_constraint'::regclass
WHERE ns.nspname IN ('public', 'app', 'audit')
ORDER BY t.relname, c.conname

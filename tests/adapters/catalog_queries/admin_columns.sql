SELECT c.relname, a.attnum, a.attname, a.atttypid, a.attnotnull, a.attidentity, a.attgenerated, format_type(a.atttypid, a.atttypmod) AS shown, pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description, dep.objid, EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS is_foreign
FROM pg_attribute a
JOIN pg_class c ON a.attrelid = c.oid
LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
LEFT JOIN pg_description dsc ON c.oid = dsc.objoid AND a.attnum = dsc.objsubid
LEFT JOIN pg_depend dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i' AND dep.refobjsubid = a.attnum AND dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND a.attnum > 0 AND c.relkind NOT IN ('i', 'I', 'c') AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'app', 'audit'))
ORDER BY c.relname, a.attnum

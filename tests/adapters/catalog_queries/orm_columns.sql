SELECT col.table_schema, col.table_name, col.column_name, col.ordinal_position, col.column_default, col.is_nullable, col.udt_name, col.numeric_precision, col.numeric_scale, col.character_maximum_length, col.is_identity, format_type(att.atttypid, att.atttypmod) AS full_type, pg_get_expr(def.adbin, def.adrelid) AS expression, d.description
FROM information_schema.columns col
JOIN pg_namespace ns ON ns.nspname = col.table_schema
JOIN pg_class cls ON cls.relname = col.table_name AND cls.relnamespace = ns.oid AND cls.relkind IN ('r', 'v')
JOIN pg_attribute att ON att.attrelid = cls.oid AND att.attname = col.column_name
LEFT JOIN pg_attrdef def ON def.adrelid = cls.oid AND def.adnum = att.attnum
LEFT JOIN pg_description d ON d.objoid = cls.oid AND d.objsubid = att.attnum
WHERE col.table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY col.table_schema, col.table_name, col.ordinal_position

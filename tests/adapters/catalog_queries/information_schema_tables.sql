SELECT t.table_catalog, t.table_schema, t.table_name, t.table_type, v.view_definition, obj_description((quote_ident(t.table_schema) || '.' || quote_ident(t.table_name))::regclass) AS comment
FROM information_schema.tables t
LEFT JOIN information_schema.views v ON v.table_schema = t.table_schema AND v.table_name = t.table_name
WHERE t.table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY 2, 3

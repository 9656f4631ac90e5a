select kind, qty, count(*), sum(price) from item group by grouping sets ((kind), (qty), ()) order by 1, 2, 3, 4
select kind, active, count(*), grouping(kind, active) g from item group by cube (kind, active) order by g, 1, 2
select kind, active, count(*) c, grouping(kind), grouping(active) from item group by rollup (kind, active) order by 1 nulls first, 2 nulls first, 3
select kind, sum(qty) from item group by rollup (kind) having sum(qty) > 10 order by 2
select kind, count(*) from item group by rollup (1) order by kind, 2
select upper(kind) k, count(*) from item group by rollup (upper(kind)) order by 1
select upper(kind) k, count(*) from item group by grouping sets (k, ()) order by 1
select kind, active, count(*) from item group by kind, rollup (active) order by 1, 2, 3
select kind, active, count(*) from item group by distinct rollup (kind, active), rollup (kind) order by 1, 2, 3
select kind, active, count(*) from item group by rollup (kind, active), rollup (kind) order by 1, 2, 3
select kind, active, qty, count(*) from item group by grouping sets ((kind, active), rollup (qty)) order by 1, 2, 3, 4
select count(*) from item group by ()
select count(*) from item where false group by grouping sets ((), ())
select 1 from item where false group by grouping sets ((), (id))
select kind, rank() over (order by sum(qty) desc nulls last), sum(sum(qty)) over () from item group by rollup (kind) order by 2, 1
select kind, qty from item group by grouping sets ((kind))
select id, name, count(*) from item group by rollup (id) order by 1
select id, name, count(*) from item group by grouping sets ((id), (id, kind)) order by 1, 2, 3
select grouping(kind) from item group by kind order by 1
select grouping(qty) from item group by kind
select grouping(kind) from item
select kind from item where grouping(kind) = 1 group by rollup (kind)
select kind, (select count(*) from kv where k < i.kind) from item i group by rollup (kind) order by 1
select distinct grouping(kind) g from item group by rollup (kind, active) order by g desc
select kind, avg(price), string_agg(name, ',' order by name) from item group by cube (kind) order by 1 nulls first
select case when grouping(kind) = 1 then 'total' else kind end as k, count(*) from item group by rollup (kind) order by grouping(kind), kind
select kind, count(*) filter (where qty > 5), count(distinct active) from item group by grouping sets (kind, ()) order by 1
select (kind, active) is null, count(*) from item group by (kind, active) order by 1, 2
select kind, active, count(*) from item group by (kind, active) order by 1, 2
select coalesce(kind, 'none') from item group by coalesce(kind, 'none') order by 1
select item_id, sum(n) from ord group by cube (item_id) order by 1 nulls first, 2
select x.k, count(*) from (select kind as k, price from item) x group by rollup (x.k) order by 1
with t as (select kind, count(*) c from item group by rollup (kind)) select * from t order by 1, 2
select unnest(tags), count(*) from item group by 1 order by 1
select unnest(array_agg(name order by name)) u, count(*) from item
select generate_series(1, 3), generate_series(1, 2)
select generate_series(1, 2) a, unnest('{x,y,z}'::text[]) b, id from node_ where id = 1
select id, generate_series(1, id) from node_ where id < 3 order by 1, 2
select kind, generate_series(1, count(*)::int) from item group by kind order by 1, 2
select distinct on (kind) kind, count(*) from item group by rollup (kind) order by kind, 2 desc
select kind, count(*) from item group by rollup (kind) union all select 'x', 1 order by 1, 2
select sum(n) total, item_id from ord group by grouping sets (item_id, ()) order by total, item_id
select unnest(nums) + 1 as n from item where id = 1 order by n
select kind as qty, count(*) from item group by rollup (qty) order by 2, 1
select jsonb_array_elements('[1,2]'), jsonb_object_keys('{"a":1,"b":2,"c":3}')
select count(*) from item group by cube (id, kind, active, qty, name, price, weight, made, at, atz, big, code, amount)

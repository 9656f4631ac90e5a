select i.id, l.n, l.note from item i, lateral (select n, note from ord where ord.item_id = i.id order by n desc limit 1) l order by 1
select i.id, l.n from item i left join lateral (select n from ord where ord.item_id = i.id order by n) l on true order by 1, 2
select i.id, l.n from item i left join lateral (select n from ord where ord.item_id = i.id) l on l.n > 2 order by 1, 2
select i.id, l.c from item i cross join lateral (select count(*) c from ord where item_id = i.id) l order by 1
select i.id, x.d, y.e from item i, lateral (select id * 2 as d) x, lateral (select x.d + n as e from ord where item_id = i.id) y order by 1, 3
select i.id, x.d from item i left join lateral (select id * 2 as d) x on x.d > 4 order by 1
select i.id, s.g from item i, lateral generate_series(1, i.id) s(g) where i.id < 4 order by 1, 2
select i.id, t.tag, t.ord from item i cross join lateral unnest(i.tags) with ordinality t(tag, ord) order by 1, 3
select i.id, t.tag from item i left join unnest(i.tags) t(tag) on true order by 1, 2
select * from kv, lateral (values (kv.v), (kv.u)) w(x) order by k, x
select l.* from item i, lateral (select data, price, weight, doc, active, made, tags from item j where j.id = i.id) l order by i.id
select i.id from item i, lateral (select 1 from ord where item_id = i.id) l (one) where one = 1 order by 1
select k.k, a.x, b.y from kv k, lateral (select v + 1 x) a left join lateral (select a.x + 1 y where a.x > 2) b on true order by 1
select i.id, (select sum(q.n) from ord o, lateral (select o.n + i.id as n) q where o.item_id = i.id) from item i order by 1
select i.id, l.n from item i, (select n from ord where ord.item_id = i.id) l
select i.id, l.s from item i, lateral (select n as s from ord where item_id = i.id union all select -i.id) l order by 1, 2
select i.id, l.mx from item i join lateral (select max(n) mx from ord where item_id = i.id group by item_id) l on l.mx > 2 order by 1
select t.id, p.path from node_ t, lateral (with recursive up(id, parent, path) as (select id, parent, label from node_ where id = t.id union all select n.id, n.parent, n.label || '/' || up.path from node_ n join up on up.parent = n.id) select path from up where parent is null) p order by 1
select * from rows from (generate_series(1, 3), generate_series(10, 11)) as t(a, b)
select * from rows from (generate_series(1, 2), unnest('{x,y,z}'::text[])) with ordinality as t(a, b, o)
select * from rows from (unnest('{1,2}'::int[]), json_each_text('{"a": 1, "b": null, "c": 3}')) as t
select * from rows from (abs(-3), generate_series(1, 2)) as t
select * from unnest('{1,2}'::int[], '{a,b,c}'::text[]) as t(a, b)
select * from unnest('{1,2}'::int[], '{a,b,c}'::text[]) with ordinality as t(a, b, n) order by n desc
select * from rows from (generate_series(1, 2)) as t(a)
select lateral_.x from kv, lateral (select sum(v) over () x from ord where false) lateral_
select d.day::date, count(o.oid_) from generate_series('2020-01-01'::timestamp, '2020-01-03', '1 day') d(day) left join lateral (select oid_ from ord where placed::date = d.day::date) o on true group by 1 order by 1
select u.k, c.n from kv u cross join lateral (select count(*) n from kv v where v.v <= u.v) c order by 1

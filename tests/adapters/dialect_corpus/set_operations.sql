create table m (a int, b text, n numeric)
insert into m values (1,'x',1.0),(1,'x',1.00),(2,'y',2),(2,'y',2),(2,'y',2.0),(3,null,null),(3,null,null)
select a, b from m intersect all select a, b from m where a > 1 order by 1, 2
select a from m except all select a from (values (1), (2), (2)) v(a) order by a
select a from m except all select a from m
select a, b from m intersect all (values (2, 'y'), (2, 'y'), (3, null)) order by 1
(select 1 union all select 1) intersect all select 1 union all select 5 order by 1
select count(*) from (select a from m except all select 2) x
select a from m intersect all select a::bigint from m order by 1 limit 3
with t as (select a from m except all select 1) select * from t order by 1
select a, b from m order by a fetch first 1 row with ties
select a from m order by a desc fetch first 3 rows with ties
select a from m order by a offset 1 fetch first 1 row with ties
select a from m order by a offset 1 fetch first 2 rows with ties
select b from m order by a fetch first 2 rows with ties
select kind, count(*) from item group by rollup (kind) order by 2 fetch first 2 rows with ties
select distinct a from m order by a desc fetch first 2 rows with ties
values (1), (2), (2), (3) order by 1 offset 1 fetch next 1 rows with ties
select a from m fetch first 1 rows with ties
select a from m union all select 9 order by a desc fetch first 2 rows with ties
select a from m order by a fetch first 0 rows with ties
select a from m order by b nulls first fetch first 1 rows with ties
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5 order by 1) select * from t
with recursive t(n) as (select 1 union all select n + 1 from t limit 5) select * from t
with recursive t(n) as (select 1 union all select n + 1 from t offset 5) select * from t
with recursive t(n) as (select 1 union all select n + 1 from t) select * from t limit 5
select count(*) from m tablesample system (100)
select count(*) from m tablesample bernoulli (0)
select count(*) from m tablesample bernoulli (100) where a = 2
select count(*) from m as q tablesample bernoulli (100) repeatable (5) where q.a = 2
select count(*) from m tablesample bernoulli (101)
select count(*) from m tablesample nosuch (10)
select count(*) from (select * from m tablesample bernoulli (100)) x
with c as (select 1) select * from c tablesample bernoulli (10)
select a from m where a > 1 order by a using > limit 2
select a from m order by a using < , b using > limit 2
select a from m order by a using =
select id from item intersect all select 1

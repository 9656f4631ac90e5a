-- RANGE frames with offsets: every type of key, and what is refused.
create table f (id int primary key, i int, n numeric(6,2), x float8, d date, ts timestamp, iv interval, tm time, t text)
insert into f values (1, 1, 1.5, 0.5, '2020-01-01', '2020-01-01 10:00', '1 day', '10:00', 'a'), (2, 2, 2.25, 'NaN', '2020-01-02', '2020-01-01 12:00', '2 days', '12:00', 'b'), (3, 2, 2.5, 1.5, '2020-01-10', '2020-01-05', '1 mon', '23:00', 'c'), (4, null, null, null, null, null, null, null, null), (5, 7, 'NaN', 'Infinity', 'infinity', '-infinity', '36 hours', '00:00', 'd'), (6, -3, -0.5, -1, '2019-12-25', '2019-12-31 23:59:59.5', '-1 day', '01:30', 'e')
select id, array_agg(id) over (order by i range between 1 preceding and current row) from f where id <> 3 order by id
select id, count(*) over (order by i range between 1 preceding and 5 following) from f order by id
select id, count(*) over (order by i desc range between 1 preceding and 5 following) from f order by id
select id, count(*) over (order by n range between 0.75 preceding and 0.25 following) from f order by id
select id, count(*) over (order by n desc nulls last range between 0.75 preceding and unbounded following) from f order by id
select id, count(*) over (order by x range between 1 preceding and 0.5 following) from f order by id
select id, count(*) over (order by d range between '1 day' preceding and interval '8 days' following) from f order by id
select id, sum(i) over (order by ts range between '02:00' preceding and current row) from f order by id
select id, count(*) over (order by tm range between '2 hours' preceding and '90 minutes' following) from f order by id
select id, count(*) over (order by tm desc range between current row and '2 hours' following exclude current row) from f order by id
select id, count(*) over (order by i range between -1 preceding and current row) from f
select id, count(*) over (order by i rows between -1 preceding and current row) from f
select id, count(*) over (order by d range between '-1 day' preceding and current row) from f
select id, count(*) over (order by i rows between null preceding and current row) from f
select id, count(*) over (order by i rows between id preceding and current row) from f
select id, count(*) over (order by i, n range between 1 preceding and current row) from f
select id, count(*) over (range between 1 preceding and current row) from f
select id, count(*) over (order by t range between 1 preceding and current row) from f
select id, count(*) over (order by i range between 1.5 preceding and current row) from f

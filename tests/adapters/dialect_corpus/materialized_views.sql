create materialized view mv as select kind, count(*) as n, sum(price) as total from item group by kind
select * from mv order by 1
insert into item (id, name, kind) values (50, 'x', 'veg')
select n from mv where kind = 'veg'
refresh materialized view mv
select n from mv where kind = 'veg'
refresh materialized view concurrently mv
create unique index mv_kind on mv (kind)
refresh materialized view concurrently mv
create materialized view mv as select 1
create materialized view if not exists mv as select 1
create materialized view empty_mv (a, b) as select id, name from item with no data
select * from empty_mv
refresh materialized view concurrently empty_mv
refresh materialized view empty_mv
select * from empty_mv order by a limit 2
refresh materialized view empty_mv with no data
select * from empty_mv
refresh materialized view concurrently empty_mv with no data
insert into mv values ('a', 1, 1)
update mv set n = 1
delete from mv
refresh materialized view item
refresh materialized view nosuch
drop view mv
drop table mv
drop materialized view item
alter materialized view mv rename to mv2
select count(*) from mv2
create view over_mv as select n from mv2
drop materialized view mv2
drop materialized view mv2 cascade
drop materialized view if exists mv2
drop materialized view mv2
create materialized view mv3 as select * from item where id < 3 with data
drop table ord
drop table item
drop table item cascade
select * from mv3
create table mt (a int)
create materialized view mm as select a + 1 as b from mt
alter table mt drop column a
drop materialized view mm

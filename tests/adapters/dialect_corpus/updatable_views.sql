create table ub (id int primary key, a int, b text default 'dflt', hidden int default 9)
insert into ub values (1, 10, 'x'), (2, 20, 'y'), (3, 30, 'z')
create view uv as select id, a, b from ub where a >= 20
insert into uv values (4, 40, 'w')
insert into uv (id, a) values (5, 50)
insert into uv (id) values (6)
update uv set b = b || '!' where id > 1
update uv set a = 1
select * from ub order by id
insert into uv values (7, 70, 'v') returning *
update uv set a = a + 1 where id = 7 returning id, a, uv.b as bb
delete from uv where id = 7 returning a
delete from uv where id = 1
update uv set hidden = 1
update uv set a = 5 where hidden = 9
insert into uv (hidden) values (1)
create view rv (k, v, twice) as select u.id, u.b, u.a * 2 from ub u where u.id < 100
insert into rv (k, v) values (20, 'rv')
insert into rv (k, v, twice) values (21, 'rv', 3)
update rv set v = upper(v) where k = 20
update rv r set v = r.v || r.k where r.k = 20 returning *
update rv r set v = r.v || r.k where r.k = 20 returning r.k, v as value
update rv set twice = 3
delete from rv where v like 'RV%'
create view vv as select k, v from rv where k > 1
insert into vv values (30, 'nested')
update vv set v = 'nested2' where k = 30
select * from ub order by id
delete from vv
select * from ub order by id
create view gv as select count(*) c from ub group by a
insert into gv values (1)
update gv set c = 1
delete from gv
create view jv as select u.id from ub u join kv on true
delete from jv
create view dv as select distinct a from ub
update dv set a = 1
create view lv as select id from ub limit 1
update lv set id = 1
create view unv as select id from ub union select 1
delete from unv
create view sv as select * from ub
insert into sv (id, a, b, hidden) values (50, 1, 'sv', 2) on conflict (id) do update set b = excluded.b
insert into sv (id, a, b, hidden) values (50, 1, 'sv2', 2) on conflict (id) do update set b = excluded.b || sv.b returning id, b
insert into sv values (51) returning *
insert into sv select 52, 1, 'sel'
update sv set a = (select max(v) from kv) where id = 52 returning a
update sv set b = k from kv where kv.v = sv.a and id = 52
with w as (delete from sv where id = 51 returning id) select * from w
delete from sv using kv where kv.v = sv.a
select id, a, b from ub order by id
create view av as select sum(a) s from ub
delete from av

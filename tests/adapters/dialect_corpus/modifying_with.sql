create table q (id int primary key, v text)
insert into q values (1,'a'),(2,'b'),(3,'c')
create table h (id int, v text, at_ int default 7)
with d as (delete from q where id = 1 returning *) select * from d
with d as (delete from q where id = 2 returning *) insert into h (id, v) select * from d
select * from h
with i as (insert into q values (5,'e') returning id) select i.id, (select count(*) from q) from i
select * from q order by id
with u as (update q set v = v || '!' returning *) select q.id, q.v, u.v from q join u using (id) order by 1
with u as (update q set v = 'x' where id = 99 returning *) insert into q select 99, 'new' where not exists (select 1 from u)
with u as (update q set v = 'x' where id = 99 returning *) insert into q select 99, 'new' where not exists (select 1 from u)
select * from q order by id
with d as (delete from q where id = 3) insert into q values (3, 'again')
with d as (delete from q where id = 3 returning *) insert into q select id, 'again' from d
with d as (delete from q) select count(*) from q
select count(*) from q
with a as (insert into q values (1,'a'),(2,'b') returning *), b as (insert into h select id, v from a returning at_, v) select * from a, b order by 1, 2, 3
with a as (insert into q values (7,'a')) select * from a
with a as (insert into q values (8,'a') returning id), a as (select 1) select * from a
select * from (with a as (insert into q values (8,'a') returning id) select * from a) x
with a as (insert into q values (8,'a') returning id) insert into q values (9,'z') returning id, v, (select max(id) from a)
with a (n) as (insert into q values (10,'a') returning id, v) select n, v from a
with a (n, m, o) as (insert into q values (11,'a') returning id, v) select n from a
with s as (select id from q where id < 9), d as (delete from q where id in (select id from s) returning id) select count(*), (select count(*) from s) from d
with t as (select max(id) m from q), i as (insert into q select m + 1, 'mm' from t returning *) select * from i
with i as (insert into q values (9, 'conf') on conflict (id) do update set v = excluded.v returning *) select * from i
with i as (insert into q values (9, 'conf') on conflict do nothing returning id), sel as (select id from i union all select id from q where id = 9) select * from sel
with u1 as (update q set v = '1' where id = 9 returning v), u2 as (update q set v = '2' where id = 10 returning v) select * from u1 union all select * from u2 order by 1
with recursive r(n) as (select 1 union all select n + 1 from r where n < 3), i as (insert into h select n, 'r' from r returning id) select * from i order by 1
with b as (insert into item (id, name, data, doc, price, weight) values (90, 'x', '\x00ff', '{"a":1}', 1.10, 1e300) returning data, doc, price, weight, made, active, tags) select * from b
with b as (delete from item where id = 90 returning *) select data, doc, price, price + 1 as p, weight, name from b
with d as (delete from ord where item_id = 3 returning oid_) delete from item where id = 3
select count(*) from item where id = 3
with d as (delete from item where id = 1) select 1
with x as (select 1), y as (update q set v = 'k' returning id) update q set v = 'l'
select v from q order by id
with y as (update q set v = 'k' where id = 9 returning id) delete from q using y where q.id = y.id
select * from q order by id
with ins as (insert into kv values ('z', 5, 50) returning k) insert into kv select k || k, 6, 60 from ins returning *
with x as (delete from kv where k = 'zz' returning *) select k from x limit 0
select k from kv order by k
insert into h with x as (delete from kv where k = 'zz' returning v) select * from x
with x as (update kv set v = v + 1 returning k, v) select x.k, x.v, kv.v from x join kv using (k) order by k
with cte as (update kv set v = 0 returning kv.*), c2 as (select count(*) c from cte) select c2.c, (select sum(v) from kv) from c2
with x as (values (1)) delete from kv where k = 'o' returning *
with n as (insert into ident (v) values ('i1') returning id) insert into ident (v) select 'child of ' || id from n returning id, v
with t as (delete from q where id in (select id from q order by id limit 1) returning id) select * from t
with x as (update kv set v = 1 where k = 'a' returning v) update kv set v = 2 where k = 'b' and v = (select v - 1 from x)

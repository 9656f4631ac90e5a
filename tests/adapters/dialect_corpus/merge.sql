create table tgt (id int primary key, v text, n numeric(6,2) default 1.5, b bytea)
create table src (id int, v text, n numeric, b bytea)
insert into tgt values (1,'a',1,'\x01'),(2,'b',2,null),(3,'c',3,'\xff')
insert into src values (2,'B',20,'\x0a0b'),(3,'C',30,null),(4,'D',40,'\xee'),(5,null,null,null)
merge into tgt t using src s on t.id = s.id when matched then update set v = s.v, n = t.n + s.n, b = s.b when not matched then insert (id, v, b) values (s.id, s.v, s.b)
select * from tgt order by id
merge into tgt t using src s on t.id = s.id when matched and s.v is null then delete when matched and s.n > 30 then do nothing when matched then update set v = t.v || s.v
select * from tgt order by id
merge into tgt using (values (1), (9)) x(k) on tgt.id = x.k when matched then delete when not matched then insert values (x.k, 'nine', default, '\x99')
select * from tgt order by id
merge into tgt using src on true when matched then delete
select count(*) from tgt
merge into tgt t using (values (1), (1)) x(k) on t.id = x.k when matched then delete
merge into tgt t using (values (2), (2)) x(k) on t.id = x.k when matched then update set v = 'twice'
merge into tgt t using (values (7), (7)) x(k) on t.id = x.k when not matched then insert (id) values (x.k)
merge into tgt t using src s on t.id = s.id when matched then do nothing when matched then delete
merge into tgt t using src s on t.id = s.id when not matched then insert (id, v) values (s.id)
merge into tgt t using src s on t.id = s.id when not matched then insert (id, nosuch) values (s.id, 1)
merge into tgt t using src s on t.id = s.id when matched then update set nosuch = 1
merge into tgt t using nosuch s on t.id = s.id when matched then delete
merge into nosuch t using src s on t.id = s.id when matched then delete
with w as (select 2 as k) merge into tgt using w on tgt.id = w.k when matched then update set (v, n) = ('w', 7) when not matched then insert (id, v) values (k, 'new')
select * from tgt order by id
merge into tgt t using tgt s on t.id = s.id + 1 when matched then update set v = s.v || '+' when not matched then insert (id, v) values (s.id + 1, 'shift')
select * from tgt order by id
merge into ident using (select 1 as a) s on false when not matched then insert (v) values ('m1')
merge into ident using (select 1 as a) s on false when not matched then insert (id, v) values (5, 'm1')
select id, v, d from ident
merge into ident using (select 1 as a) s on false when not matched then insert default values
select id, v, d from ident order by id
merge into tgt using kv on v = 1 when matched then delete
merge into tgt using kv on tgt.id = kv.v and false when not matched and kv.k = 'a' then insert (id, v) values (100 + kv.v, kv.k)
select id, v from tgt where id > 99

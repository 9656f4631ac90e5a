select at + make_interval(days => 1) from item where id = 1;
select (1, 'a') = (select 1, 'a');
select kind, id from item group by grouping sets ((kind), (id));
select id from item intersect all select 1;
select id from item tablesample system (10);
select rank() within group (order by id) from item;
merge into kv using ord on kv.v = ord.n when matched then delete;
select * into newt from kv;

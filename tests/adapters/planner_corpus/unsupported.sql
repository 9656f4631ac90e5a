select at + make_interval(days => 1) from item where id = 1;
select (1, 'a') = (select 1, 'a');
select * into newt from kv;

create sequence vs
select 1 from nextval('vs')
select count(*) from nextval('vs'), generate_series(1, 3)
select currval('vs')
select x, x from nextval('vs') x
select * from nextval('vs') x where x > 0
select currval('vs')
select 5 as five from nextval('vs')
select currval('vs')
select lower('A') from lower('B') as b

-- What random statements found: values, types and definitions that were answered otherwise.
select to_timestamp('NaN')
select to_timestamp(1e20)
select '[-infinity,infinity]'::daterange, '(-infinity,2020-01-01]'::daterange
select datemultirange(null::daterange), null::int4range::int4multirange
select range_intersect_agg(x) from (values ('{[1,5),[7,9)}'::int4multirange), ('{[2,8)}')) v(x)
select normalize(U&'e\0301', NFC) = U&'\00e9', 'x' is nfc normalized, U&'e\0301' is not normalized
select normalize('x', nope)
select parse_ident('a.b'), parse_ident('"A b".c'), parse_ident(' X  . "y""z" '), parse_ident('a b', false)
select parse_ident('a.')
select parse_ident('a..b')
select parse_ident('"a')
select parse_ident('a b')
select to_ascii('12')
select convert_to('héllo', 'LATIN1'), convert_from('\xe9', 'iso-8859-1'), convert('\xe9', 'latin1', 'utf8'), length('\xe9'::bytea, 'latin1')
select convert_to('日', 'LATIN1')
select convert_from('\xff', 'UTF8')
select convert_from('\x61', 'nope')
select chr(-1)
select regexp_replace('abc', '', '\1'), regexp_replace('abc', 'b', '\2x'), regexp_replace('abcb', 'b', '\1-', 1, 2)
select '08:00:2b:ff:fe:03:04:05'::macaddr8::macaddr, null::macaddr8::macaddr
select '08:00:2b:01:02:03:04:05'::macaddr8::macaddr
select string_to_table('a,b,,', ','), 1
select * from string_to_table('a,b,,', ',', '')
select * from string_to_table('ab', null)
select generate_series(1, 2, 0.5)
select nullif('10.1.2.3'::cidr, '::1'::inet), nullif('08:00:00.5'::time, '09:00+00'::timetz), nullif(42::int2, -7.25), nullif('a'::varchar, 'b')
select date_trunc('doy', time '13:14:15')
select date_trunc('isodow', timestamp '2020-01-01')
select date_trunc('timezone', timestamp '2020-01-01')
select abbrev('2001:db8::/32'::cidr), abbrev('10.1.0.0/16'::cidr), abbrev('::/0'::cidr)
select to_char(interval '-1 day -02:03', 'YYYY-MM-DD HH24:MI:SS'), to_char(interval '5 days', 'DD MM')
select make_interval(secs => 'NaN')
select make_timestamptz(1999, 1, 1, 23, 30, 1.5, '+03') at time zone 'UTC', make_timestamptz(1999, 1, 1, 23, 30, 1.5, '-05:30') at time zone 'UTC'
create table made (a bigint, foreign key (a) references item (id))
drop table made
create table made (a int, b text, c text generated always as (coalesce(b, 'none')) stored, d numeric(6,1) generated always as (a * 1.25) stored)
insert into made (a, b) values (1, 'x')
insert into made values (2, null, default, default)
update made set c = default
update made set c = default, a = 5 where a = 1
update made set c = 'x'
select * from made order by a
drop table made
create table made (a int, b text, c int generated always as (md5(b)) stored)
create table made (a int, b text, c text generated always as (c) stored)
create table made (a int, c int generated always as (a + d) stored, d int generated always as (a * 2) stored)
create table made (c0 int default 'x'::text)
create table made (c0 uuid)
alter table made alter column c0 set default 1
drop table made
create table made (id int generated always as identity (minvalue 2 maxvalue 30), b text)
insert into made overriding user value values (7, 'z') returning *
insert into made overriding user value values (7, 'z'), (8, 'y') returning *
alter table made alter id restart with 40
drop table made
create sequence s minvalue -3 maxvalue -1 increment -1
alter sequence s restart with 2
alter sequence s restart with -2
drop sequence s
create table made (a int primary key, b text)
insert into made values (1, 'x') on conflict (lower(b)) do nothing
drop table made
select max(t) filter (where b <> '\x0102ff'::bytea) from (values ('x', '\x00'::bytea)) v(t, b) group by 1 + 1

"""Statements whose answers are compared with PostgreSQL: one a line, in order."""

from __future__ import annotations

# ruff: noqa: E501

FUNCTION_CALLS = r"""
length('héllo'), length('abc  '::char(6)), octet_length('héllo'), bit_length('ab')
lower('HeLLo É'), upper('straße é'), initcap('hello wORLD foo_bar 1a')
substring('abcdef',2,3), substr('abcdef',-1,4), substring('abcdef' from 3), substring('abcdef' for 2)
substr('abc',1,-1)
substring('foobar' from 'o(.)b'), substring('foobar', 'o.b')
position('b' in 'abc'), strpos('abc','z'), strpos('abc','')
trim('  x '), trim(both 'xy' from 'xyabcxy'), ltrim('zzabc','z'), rtrim('abczz','z'), btrim('  a  ')
lpad('hi',5), lpad('hi',5,'xy'), rpad('hi',5,'xy'), lpad('hello',3), lpad('hi',5,''), rpad('abc',-1)
repeat('ab',3), repeat('x',0), repeat('x',-1)
replace('abcabc','b','XX'), replace('abc','','x')
split_part('a,b,c',',',2), split_part('a,b,c',',',-1), split_part('a,b,c',',',9), split_part('abc','',1)
split_part('a,b',',',0)
left('hello',2), left('hello',-2), right('hello',2), right('hello',-2), left('a',-5)
reverse('abc'), translate('12345','143','ax'), starts_with('alphabet','alph'), chr(65), ascii('x'), ascii(''), chr(8364)
chr(0)
md5('abc'), md5(''), to_hex(255), to_hex(-1), to_hex(2147483648)
encode('abc'::bytea,'base64'), encode('\x00ff'::bytea,'hex'), encode('\x00ff5c'::bytea,'escape'), decode('YWJj','base64'), decode('00ff','hex')
decode('zz','hex')
decode('abc','foo')
quote_ident('foo'), quote_ident('Foo Bar'), quote_ident('select'), quote_literal('it''s'), quote_literal(E'a\\b'), quote_nullable(null)
concat('a',1,null,true,2.50), concat_ws(',','a',null,'b',3), concat_ws(null,'a')
format('Hello %s, %1$s %%', 'World'), format('%I = %L','a b','it''s'), format('%L',null), format('|%10s|%-10s|','foo','bar')
format('%s %s','a')
format('%z','a')
overlay('Txxxxas' placing 'hom' from 2 for 4), overlay('abcdef' placing 'ZZ' from 3)
string_to_array('a,b,c',','), string_to_array('a,b,c',',','b'), string_to_array('',','), string_to_array('abc',null)
regexp_replace('foobarbaz','b..','X'), regexp_replace('foobarbaz','b..','X','g'), regexp_replace('foobarbaz','b(..)','X\1Y','g'), regexp_replace('ABC','b','x','i')
regexp_match('foobarbequebaz','(bar)(beque)'), regexp_match('abc','z'), regexp_split_to_array('hello world',E'\\s+')
regexp_matches('foobarbequebazilbarfbonk','(b[^b]+)(b[^b]+)','g')
regexp_split_to_table('the quick fox',' ')
regexp_count('abcabc','b'), regexp_substr('abcdef','c.e'), regexp_instr('abcdef','d'), regexp_like('Hello','h')
regexp_replace('a','(','x')
abs(-5), abs(-5.50), abs(-1.5::float8), sign(-3), sign(2.5), sign(-1.5::float8)
ceil(1.2), ceil(-1.2), floor(-1.2), floor(1.8::float8), ceil(1.2::float8), ceil(-0.5::float8), ceil(-0.5)
round(2.5), round(-2.5), round(2.5::float8), round(3.5::float8), round(1.2345,2), round(1234.5,-2), round(1.005,2), round(0.5::float8)
trunc(1.999), trunc(-1.999,1), trunc(1.9::float8), trunc(12345,-2)
mod(7,3), mod(-7,3), mod(7.5,2), mod(-7.5,2.0), div(7.5,2)
mod(1,0)
div(1.0,0)
sqrt(2), sqrt(2.0), sqrt(4.0), sqrt(0.0), sqrt(1e10::numeric), cbrt(27.0)
sqrt(-1)
sqrt(-1.0)
power(2,10), power(2.0,0.5), power(2.5,3), power(2.0,-2), 2^3
power(0,-1)
exp(1), exp(1.0), exp(0.0), ln(2.0), ln(10), log(100), log(100.0), log(2.0,64.0), log10(1000.0)
ln(0)
ln(-1.0)
pi(), degrees(pi()), radians(180), sin(1), cos(0), atan2(1,1)
gcd(12,18), lcm(4,6), factorial(10), width_bucket(5.35,0.024,10.06,5), scale(1.230), min_scale(1.230), trim_scale(1.230)
greatest(1,2,3), least(1,null,3)
date_trunc('hour','2001-02-16 20:38:40.123'::timestamp), date_trunc('year','2001-02-16 20:38:40'::timestamp), date_trunc('week','2001-02-16'::timestamp), date_trunc('quarter','2001-08-16'::timestamp)
date_trunc('decade','2001-08-16'::timestamp), date_trunc('century','2001-08-16'::timestamp), date_trunc('millennium','1999-08-16'::timestamp)
date_trunc('day','2001-02-16 20:38:40+00'::timestamptz), date_trunc('day','2001-02-16 20:38:40+00'::timestamptz,'Australia/Sydney')
date_trunc('hour','3 days 02:47:33'::interval), date_trunc('month','1 year 5 mons 3 days'::interval)
date_trunc('foo','2001-02-16'::timestamp)
extract(year from '2001-02-16 20:38:40.12'::timestamp), extract(second from '2001-02-16 20:38:40.12'::timestamp), extract(epoch from '2001-02-16 20:38:40.12+00'::timestamptz), extract(dow from '2001-02-18'::timestamp), extract(isodow from '2001-02-18'::timestamp), extract(doy from '2001-02-16'::timestamp), extract(week from '2005-01-01'::timestamp), extract(isoyear from '2005-01-01'::timestamp), extract(quarter from '2001-05-01'::date)
extract(century from '2000-12-16'::timestamp), extract(decade from '2001-02-16'::timestamp), extract(millennium from '2001-02-16'::timestamp), extract(milliseconds from '20:38:40.125'::time), extract(microseconds from '20:38:40.125'::time), extract(hour from '20:38:40'::time), extract(julian from '2001-02-16'::date), extract(epoch from '2001-02-16'::date)
extract(day from '40 days 1 minute'::interval), extract(epoch from '5 days 3 hours'::interval), extract(month from '2 years 13 months'::interval), extract(year from '2 years 13 months'::interval), extract(epoch from '1 year 2 mons'::interval)
extract(hour from '2001-02-16'::date)
extract(timezone from '2001-02-16 20:38:40-05'::timestamptz), date_part('hour','2001-02-16 20:38:40'::timestamp), date_part('epoch','2001-02-16 20:38:40.5+00'::timestamptz)
age('2001-04-10'::timestamp,'1957-06-13'::timestamp), age('2000-01-01'::timestamp,'2001-03-15 12:00'::timestamp), age('2020-03-31'::timestamp, '2020-02-29'::timestamp)
make_date(2013,7,15), make_time(8,15,23.5), make_timestamp(2013,7,15,8,15,23.5), make_timestamptz(2013,7,15,8,15,23.5)
make_date(2013,2,30)
justify_hours('50 hours'::interval), justify_days('35 days'::interval), justify_interval('1 mon -1 hour'::interval)
to_timestamp(1284352323), to_timestamp('05 Dec 2000','DD Mon YYYY'), to_date('05 Dec 2000','DD Mon YYYY'), to_date('20200131','YYYYMMDD'), to_timestamp('2020-01-02 03:04:05','YYYY-MM-DD HH24:MI:SS')
to_date('2020-13-01','YYYY-MM-DD')
to_char('2001-02-16 20:38:40.123456'::timestamp,'YYYY-MM-DD HH24:MI:SS.US'), to_char('2001-02-16'::timestamp,'Day, DD Month YYYY'), to_char('2001-02-16'::timestamp,'FMDay, FMDD FMMonth YYYY'), to_char('2001-02-16 20:38:40'::timestamp,'HH12:MI AM'), to_char('2001-02-16'::timestamp,'DDth Mon YY, Q IW IYYY J D ID DDD'), to_char('2001-02-16'::timestamp,'"quoted" yyyy DY dy Dy MONTH month'), to_char('2001-02-16 03:04:05.6'::timestamp,'HH:MI:SS MS FF3 SSSS CC WW W')
to_char('2001-02-16 20:38:40+00'::timestamptz,'YYYY TZ OF TZH:TZM'), to_char('15h 2m 12s'::interval,'HH24:MI:SS')
to_char(125,'999'), to_char(-125,'999'), to_char(125.8,'999D9'), to_char(-125.8,'999D99S'), to_char(1234567,'9,999,999'), to_char(12,'0000'), to_char(12,'FM0000'), to_char(0.1,'0.9'), to_char(0.1,'FM9.99'), to_char(485,'RN'), to_char(-5,'9PR'), to_char(1e5::numeric,'9.99EEEE'), to_char(1485,'9,999'), to_char(148.5,'FM999.990'), to_char(12345,'999'), to_char(-0.5,'FM90.99'), to_char(5,'S9'), to_char(-5,'9MI'), to_char(1,'9th'), to_char(0,'9'), to_char(0,'99.99')
to_number('12,454.8-','99G999D9S'), to_number('1,234','9,999')
isfinite('infinity'::timestamp), isfinite('2001-01-01'::date), timezone('America/New_York','2001-02-16 20:38:40'::timestamp), '2001-02-16 20:38:40-05'::timestamptz at time zone 'America/Denver'
date_bin('15 minutes','2020-02-11 15:44:17'::timestamp,'2001-01-01'::timestamp)
generate_series(1,5)
* from generate_series(1,3)
* from generate_series('2008-03-01 00:00'::timestamp,'2008-03-02 12:00','10 hours')
* from generate_series(1.1,4.0,1.3)
generate_series(1,2,0)
array_length('{1,2,3}'::int[],1), array_upper('{1,2}'::int[],1), array_ndims('{{1},{2}}'::int[]), array_dims('{{1},{2}}'::int[]), cardinality('{1,2,3}'::int[]), array_position('{a,b,c}'::text[],'b'), array_to_string('{a,NULL,c}'::text[],',','*'), array_to_string('{1,2}'::int[],'-'), array_remove('{1,2,1}'::int[],1), array_replace('{1,2,1}'::int[],1,9), array_positions('{a,b,a}'::text[],'a'), array_fill(7,'{3}'::int[]), array_append('{1}'::int[],2), array_cat('{1}'::int[],'{2}'::int[]), array_prepend(0,'{1}'::int[])
unnest('{1,2,NULL}'::int[])
json_build_object('a',1,'b',null,'c',true,'d','x','e',1.50), jsonb_build_object('a',1,'b','{"x":2}'::jsonb), json_build_array(1,'a',null), to_json('a"b'::text), to_jsonb(1.50), to_json('2001-02-16 20:38:40'::timestamp), to_json('2001-02-16 20:38:40+00'::timestamptz), array_to_json('{{1,2},{3,4}}'::int[]), to_json(true), to_json('2001-01-01'::date), to_json('{a,b}'::text[])
json_typeof('{"a":1}'), jsonb_typeof('[1]'), jsonb_typeof('"x"'), jsonb_typeof('null'), json_array_length('[1,2]'), jsonb_set('{"a":1,"b":[1,2]}','{b,0}','9'), jsonb_set('{"a":1}','{c}','2'), jsonb_set('{"a":1}','{c}','2',false), jsonb_insert('{"a":[0,1]}','{a,1}','"n"'), jsonb_pretty('{"a":[1,{"b":2}]}'), jsonb_strip_nulls('{"a":1,"b":null}'), json_strip_nulls('{"a":1,"b":null,"c":{"d":null}}'), json_object('{a,1,b,2}'), jsonb_extract_path('{"a":{"b":1}}','a','b'), jsonb_extract_path_text('{"a":{"b":"x"}}','a','b')
* from json_each('{"a":1,"b":"x"}')
* from jsonb_each_text('{"a":1,"b":"x","c":null}')
* from jsonb_array_elements('[1,"a",null,{"b":2}]')
jsonb_array_elements_text('[1,"a",null]')
jsonb_object_keys('{"b":1,"a":2}')
json_array_length('{"a":1}')
sum(x), avg(x), min(x), max(x), count(x) from (values (1),(2),(4)) v(x)
sum(x), avg(x) from (values (1::int8),(2),(4)) v(x)
sum(x), avg(x), stddev(x), variance(x), stddev_pop(x), var_pop(x) from (values (1.5),(2.25),(4)) v(x)
stddev(x), variance(x), stddev_pop(x), var_pop(x), var_samp(x) from (values (1),(2),(4),(7)) v(x)
sum(x), avg(x), stddev(x), variance(x) from (values (1.5::float8),(2.25),(4)) v(x)
sum(x) from (values (9223372036854775807),(1)) v(x)
avg(x) from (values (1),(1),(2)) v(x)
avg(x::numeric) from (values (100000),(1),(2)) v(x)
avg(x) from (values (0)) v(x)
bool_and(x), bool_or(x), every(x) from (values (true),(false)) v(x)
string_agg(x,','), string_agg(x,',' order by x desc), string_agg(distinct x,','), array_agg(x), array_agg(x order by x desc) from (values ('b'),('a'),('b')) v(x)
array_agg(x), json_agg(x), jsonb_agg(x) from (values (1),(null),(3)) v(x)
array_agg(x) from (values (1)) v(x) where x > 5
json_object_agg(k,v), jsonb_object_agg(k,v) from (values ('a',1),('b',2)) t(k,v)
bit_and(x), bit_or(x), bit_xor(x) from (values (12),(10)) v(x)
sum(x::interval), avg(x::interval) from (values ('1 day'),('2 days 12:00')) v(x)
x, sum(x) over (order by x), avg(x) over (order by x rows between 1 preceding and current row), row_number() over (order by x desc), rank() over (order by x), lag(x) over (order by x), lead(x,1,0) over (order by x), ntile(2) over (order by x), first_value(x) over (order by x) from (values (1),(2),(4)) v(x) order by x
sum(x) filter (where x > 1), count(*) filter (where x>1), array_agg(x) filter (where x>1) from (values (1),(2),(4)) v(x)
sum(distinct x), count(distinct x), avg(distinct x) from (values (1),(1),(4)) v(x)
format_type(1043,24), format_type(23,null), format_type(1700,655366), pg_encoding_to_char(6), pg_size_pretty(10240::int8), pg_size_pretty(1234567890::int8), pg_size_pretty(5::int8), pg_client_encoding()
num_nulls(1,null,2), num_nonnulls(1,null,2)
'0/16b3748'::pg_lsn, 'FFFFFFFF/FFFFFFFF'::pg_lsn, '00000000/00000001'::pg_lsn, '0/10'::pg_lsn::text, '0/10'::text::pg_lsn
' 0/1'::pg_lsn
'0/1 '::pg_lsn
'123456789/1'::pg_lsn
'1'::pg_lsn
'0/9'::pg_lsn < '0/10'::pg_lsn, '0/9'::pg_lsn - '0/10'::pg_lsn, '0/0a'::pg_lsn = '0/A'::pg_lsn, '1/0'::pg_lsn between '0/9' and '2/0', '0/9'::pg_lsn <> '0/9', '0/9' >= '0/10'::pg_lsn
pg_typeof('0/9'::pg_lsn - '0/10'::pg_lsn)::text, pg_typeof(pg_wal_lsn_diff('0/9','0/10'))::text, pg_wal_lsn_diff('1/0','0/10'), pg_lsn(23783416), pg_size_pretty(pg_wal_lsn_diff('1/0','0/10')), pg_size_pretty(1.5), pg_size_pretty(-10240.7), pg_size_pretty(10239.99), pg_size_pretty(1e15::numeric)
'0/9'::pg_lsn + 16::numeric, 16 + '0/9'::pg_lsn, '0/10'::pg_lsn - 1::numeric, '0/10'::pg_lsn + 1.5, '0/10'::pg_lsn+'2'
'0/9'::pg_lsn - 16::numeric
'FFFFFFFF/FFFFFFFF'::pg_lsn + 1::numeric
'0/9'::pg_lsn + 'NaN'::numeric
'0/9'::pg_lsn - 'NaN'::numeric
'0/9'::pg_lsn - 'Infinity'::numeric
max(x), min(x), count(distinct x), max(x) > '0/FF' from (values ('0/9'::pg_lsn),('0/10'),('1/0'),('0/09')) v(x)
x from (values ('0/9'::pg_lsn),('0/10'),('1/0'),('0/A')) v(x) order by x desc
'{0/9,0/10}'::pg_lsn[] < '{0/9,0/11}'::pg_lsn[], '0/0A'::pg_lsn = any('{0/9,0/A}'::pg_lsn[]), '0/0A'::pg_lsn in ('0/1', '0/A')
pg_is_in_recovery(), pg_current_wal_lsn() is null, case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end is null, case when pg_is_in_recovery() then pg_is_wal_replay_paused() end
pg_typeof(pg_current_wal_flush_lsn())::text, pg_current_wal_insert_lsn() >= pg_current_wal_flush_lsn(), pg_typeof(pg_last_xact_replay_timestamp())::text
pg_is_wal_replay_paused()
pg_get_wal_replay_pause_state()
has_table_privilege('pg_class','select'), pg_typeof(1)::text, pg_typeof('x'::text)::text
'pg_class'::regclass::oid, 'pg_class'::regclass::text, 1259::regclass::text, 'int4'::regtype::text, 'integer'::regtype::oid, to_regclass('nope'), to_regtype('nope')
'nope'::regclass
obj_description(1259,'pg_class') is null, col_description(1,1)
sqrt(0.0001), sqrt(123456789.123), ln(0.5), ln(1.05), ln(100000.0), log(3.0,81.0), power(1.5,2.5), power(10.0,-3), exp(-5.5), exp(10.25), sqrt(1e-20::numeric)
stddev(x), stddev_pop(x) from (values (1.1),(2.2),(3.35)) v(x)
x from (values ('{10}'::int[]),('{9,5}'),('{9}')) v(x) order by x
x from (values (1.0),(1.00),(0.5)) v(x) order by x
distinct x from (values (1.0),(1.00),(0.5)) v(x) order by x
x from (values ('1 day'::interval),('23 hours'),('1 mon')) v(x) order by x
current_setting('nope.x', true), current_database() is not null
"""
"""Select lists; everything that follows SELECT."""

STATEMENTS = r"""
create table p(a int primary key, b varchar(5) not null default 'x', c numeric(6,2) check (c > 0), d timestamptz, e text unique, constraint big check (a < 1000 and b <> 'no'))
create table ch(id serial primary key, pa int references p on delete cascade, n smallint, f boolean default true)
insert into p values (1,'ab',1.5,'2001-01-01','u')
insert into p values (1,'ab',1.5,'2001-01-01','v')
insert into p values (2,'ab',1.5,'2001-01-01','u')
insert into p values (null,'ab',1.5,null,'w')
insert into p(a,b) values (3,null)
insert into p(a,b) values (3,'toolong')
insert into p(a,c) values (3,-1)
insert into p(a,c) values (3,123456.7)
insert into p(a) values (3000000000)
insert into p(a) values (2000)
insert into p(a,b) values (4,'no')
insert into ch(pa,n) values (1,5)
insert into ch(pa,n) values (1,70000)
select * from ch
update p set b = null
delete from p where a = 1
select * from ch
create table p(a int)
create table if not exists p(a int)
create table bad(a int, a text)
create table bad(a nosuch)
create table bad(a int primary key, b int primary key)
create table bad(a int references nosuch)
create table bad(a int references ch(n))
create table bad(a int, foreign key (b) references p)
create table bad(a int default b)
create table bad(a int check (z > 0))
create table bad(a int primary key, unique (zz))
create table bad(a text references p(a))
create table bad(a varchar(0))
create table bad(a numeric(2000))
create table bad(a int default 'x')
create table nos.bad(a int)
create table pg_catalog.bad(a int)
create index on p(zz)
create index i1 on p(b)
create index i1 on p(b)
create index if not exists i1 on p(b)
create unique index i2 on p(lower(e)) where a > 1
insert into p(a,e) values (7,'Q')
insert into p(a,e) values (8,'q')
drop index i2
drop index nosuch
drop index if exists nosuch
drop table nosuch
drop table if exists nosuch
drop view p
drop table i1
drop index p_pkey
drop table p
alter table p add column z int not null default 7
select a, z from p order by a
alter table p add column y int not null
alter table p add column z int
alter table p add column if not exists z int
alter table p alter column z drop default, alter column z set default 9
insert into p(a) values (20)
select a, z from p order by a
alter table p alter column b drop not null
alter table p alter column a drop not null
alter table p alter column nosuch set not null
alter table p rename column e to ee
alter table p rename to p2
alter table p2 rename column nosuch to q
alter table p2 rename constraint big to bigger
insert into p2(a) values (5000)
alter table p2 drop constraint bigger
alter table p2 drop constraint bigger
alter table p2 drop constraint if exists bigger
insert into p2(a) values (5000)
alter table p2 add constraint bigger check (a < 1000)
alter table p2 add check (z >= 0)
alter table p2 alter column z type text using 'v' || z
select a, z from p2 order by a
alter table p2 alter column z type int
alter table p2 drop column z
select * from p2 order by a
alter table p2 drop constraint p_pkey
alter table p2 drop constraint p_pkey cascade
alter table p2 add primary key (a)
alter table p2 add primary key (a)
alter table p2 alter column c type numeric(8,3)
select a, c from p2 order by a
insert into p2(a,c) values (50, -1)
create view v as select a, b || '!' as bx from p2 where a > 1
select * from v order by a
alter table p2 drop column b
drop table p2
create or replace view v as select a from p2
create or replace view v as select a, b || '?' as bx, c from p2
select * from v order by a limit 2
drop table p2 cascade
select * from v
create sequence s1 start 5 increment 2 maxvalue 8
select nextval('s1')
select nextval('s1')
select nextval('s1')
select currval('s1')
select lastval()
select setval('s1', 5, false)
select nextval('s1')
alter sequence s1 restart with 6
select nextval('s1')
create sequence s1
create sequence s2 minvalue 10 maxvalue 5
drop sequence s1
drop sequence s1
create table gen(a int generated always as identity, b int generated by default as identity (start 10), c int generated always as (b * 2) stored)
insert into gen(a) values (1)
insert into gen default values
insert into gen(b) values (100)
insert into gen(c) values (1)
select * from gen
alter table gen alter column a drop identity
create table ct as select a, b::text as t from gen
select * from ct order by 1
create table l1 (like gen including all)
create schema s1
create table s1.t(a int primary key)
insert into s1.t values (1)
insert into s1.t values (1)
alter table s1.t set schema public
select * from t
drop schema s1
create schema s1
drop schema nosuch
create table s1.x(a int)
drop schema s1
comment on table t is 'hello'
select obj_description('t'::regclass, 'pg_class')
comment on column t.nosuch is 'x'
create temp table tt(a int primary key)
insert into tt values (1)
insert into tt values (1)
select * from tt
drop table tt
create role bob
create role bob
drop role bob
drop role bob
drop role if exists bob
create table self(a int primary key, b int references self)
insert into self values (1,1),(2,1)
alter table self alter column b type bigint
select * from self order by a
create table dd(a int references self deferrable initially deferred)
create table big1(a int, b text)
insert into big1 values (1,'x'),(1,null)
alter table big1 add primary key (b)
alter table big1 alter column b set not null
alter table big1 alter column b type int
alter table big1 alter column b type int using b::int
alter table big1 add unique (a)
alter table big1 add column k serial
select * from big1 order by k
create table dflt(a int default 1+1, b text default lower('X'), c date default '2001-01-01', d timestamp default now()::date, e int[] default '{1,2}', f numeric default 1.50, g bool default true, h text default null, i varchar(3) default 'ab')
insert into dflt(a) values (1)
select a,b,c,e,f,g,h,i from dflt
select column_name, column_default, is_nullable, data_type, character_maximum_length from information_schema.columns where table_name='dflt' order by ordinal_position
select conname, contype, pg_get_constraintdef(c.oid) from pg_constraint c join pg_class t on t.oid=conrelid where relname in ('self','dd','gen') order by 1
select indexname, indexdef from pg_indexes where tablename='self' order by 1
create table cc(a int, b text, c varchar(10), n numeric, check (b in ('x','y')), check (c <> 'q' or a is null), check (a between 1 and 5), check (length(b) > 2 and not a = 3), check (n > 1.5 and n < 3), check (case when a > 1 then true else b = 'z' end), check (coalesce(a,0) > -1), check (c like 'a%'), check (a = any(array[1,2])))
select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid='cc'::regclass order by 1
create index cci on cc (a desc nulls last, lower(b), (a+1)) where c is not null
select pg_get_indexdef('cci'::regclass)
alter table cc rename column b to bb
select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid='cc'::regclass order by 1
select pg_get_indexdef('cci'::regclass)
select a.attname, format_type(a.atttypid,a.atttypmod), a.attnotnull, a.atthasdef from pg_attribute a where attrelid='cc'::regclass and attnum>0 order by attnum
select sequencename, start_value, min_value, max_value, increment_by, last_value from pg_sequences order by 1
select constraint_name, column_name, ordinal_position from information_schema.key_column_usage where table_name='self' order by 1
select table_name, table_type from information_schema.tables where table_schema='public' order by 1
select pg_get_serial_sequence('big1','k')
select nspname from pg_namespace where nspname in ('public','s1','pg_catalog') order by 1
"""
"""A script over one schema: what succeeds and what fails, with its error."""

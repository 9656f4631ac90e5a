"""Cases from whole matrices: every type cast to every type, every operator on constants of unknown type, formats."""

from __future__ import annotations

# ruff: noqa: E501
from collections.abc import Callable
from typing import Final

from bench.comparesql import values
from bench.comparesql.grammar import Rules, Script
from bench.comparesql.queries import Queries
from bench.comparesql.tree import Case, Node, node

RULES: Final[Rules] = {
    "date_part": ("YYYY", "yyyy", "YY", "Y,YYY", "IYYY", "MM", "Mon", "MON", "Month", "FMMonth", "mon", "DD", "FMDD", "DDD", "D", "ID", "IW", "WW", "W", "Q", "CC", "J", "Day", "FMDay", "DY", "dy", "HH24", "HH12", "HH", "MI", "SS", "MS", "US", "FF3", "FF6", "SSSS", "AM", "p.m.", "BC", "a.d.", "TZ", "tz", "TZH", "TZM", "OF", "RM", "DDth", "DDTH", "YYYYth", "\"T\"", "\\\"", "x"),
    "date_glue": ("-", "/", " ", ":", "", ".", ", ", "T"),
    "date_format": ("{{date_part}}{{date_glue}}{{date_part}}", "{{date_part}}{{date_glue}}{{date_part}}{{date_glue}}{{date_part}}", "FM{{date_part}}{{date_glue}}FM{{date_part}}", "YYYY-MM-DD HH24:MI:SS{{date_glue}}{{date_part}}"),
    "number_format": ("999", "99.99", "0.00", "FM999.99", "000", "9,999.9", "S999.9", "999.9S", "MI99.9", "99.9MI", "99PR", "PL99", "SG99.9", "$99.99", "L99", "9.99EEEE", "FM9.9EEEE", "RN", "FMRN", "rn", "99V9", "999th", "FM999TH", "B99.9", "9G999D99", "FM0000.0099", "\"n=\"99", "99 99", "0999", "9990.0", "99999999999999999999", ".99", "FM.99", "990.99", "999999", "FM9,999,999.000", "", "x"),
    "number": ("0", "1", "-1", "12.5", "-12.345", "0.1", "-0.1", "999.999", "1234567.891", "1e10", "'NaN'::numeric", "'Infinity'::float8", "4000", "12345678901234567890", "0.000012", "-0.5::float8", "1.5::real", "485", "NULL::int", "99.995", "3.999e3::float8"),
    "when": ("timestamp '2024-02-29 15:04:05.678901'", "timestamptz '2001-12-31 23:59:59.999+00'", "date '1999-01-03'", "interval '1 year 2 months 3 days 04:05:06.7'", "timestamp '0044-03-15 01:02:03 BC'", "interval '-1 day -02:03'", "timestamp 'infinity'", "timestamptz '2020-06-05 04:03:02+05:30'", "interval '100 hours'", "time '13:14:15'", "timestamp '2021-01-01 00:00'", "date '2020-12-28'"),
    "read_date": ("to_date('{{2020-01-31|31012020|2020-1-5|Jan 5 2020|5 January 2020|99-12-31|2020-02-30|abc||2020 060|20200131|1,999 5|2020-W05|44-03-15 BC}}', '{{YYYY-MM-DD|DDMMYYYY|Mon DD YYYY|DD Month YYYY|YY-MM-DD|YYYY DDD|YYYYMMDD|Y,YYY MM|IYYY-IW|FXYYYY-MM-DD|YYYY-MM-DD BC}}')", "to_timestamp('{{2020-01-31 13:14:15|2020-01-31 1:02 PM|15:16:17|2020-01-31T23:59:59.123|20200131 235959|2020-01-31 25:00:00|12/31/99 12 am|2020-01-31 13:14:15.5+02}}', '{{YYYY-MM-DD HH24:MI:SS|YYYY-MM-DD HH12:MI AM|HH24:MI:SS|YYYY-MM-DD\"T\"HH24:MI:SS.MS|YYYYMMDD HH24MISS|MM/DD/YY HH am|YYYY-MM-DD HH24:MI:SS.MSTZH}}')", "to_timestamp({{0|1e9|-1.5|1234567890.123456|'NaN'|'Infinity'|1e20}})", "to_number('{{12,345.67|-12.3|12.3-|<5>|$1.50|  7|abc||1e5|0012|+4|XIV|12th}}', '{{99,999.99|S99.9|99.9S|9PR|$9.99|99|L9.99|9999|MI99|PL99|RN|99th|FM99.99}}')"),
    "unit": ("microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium", "dow", "doy", "isodow", "isoyear", "epoch", "julian", "timezone", "timezone_hour", "timezone_minute", "nope"),
    "times": ("date_trunc('{{unit}}', {{when}})", "extract({{dow|epoch|week|isoyear|quarter|century|julian|millennium|decade|doy|second|milliseconds|day|hour|timezone|isodow|microseconds}} FROM {{when}})", "date_part('{{unit}}', {{when}})", "age({{when}}, {{when}})", "age({{timestamp '2020-03-31', timestamp '2020-02-29'|date '2000-01-01', date '1999-12-31'|timestamp '2020-01-01 01:00', timestamp '2020-01-02'|timestamptz '2021-05-31 00:00+00', timestamptz '2021-02-28 12:00+00'|timestamp 'infinity', timestamp '2020-01-01'}})", "date_bin('{{15 minutes|1 day|1 week|1 mon|0|-1 hour|00:00:07.5}}', {{timestamp '2020-02-29 12:34:56.7'|timestamptz '2020-02-29 12:34:56+00'|timestamp '1969-12-31 23:00'}}, {{timestamp '2001-01-01'|timestamp '2030-01-01 00:05'}})", "{{when}} + interval '{{1 mon|1 day|-1 year|36 hours|1 mon -1 day|00:00:00.5}}'", "{{when}} - {{when}}", "{{when}} - interval '{{1 mon|1 day 01:00|1 year}}'", "interval '{{1 day|1 mon|02:03|1 year 5 days}}' {{*|/}} {{2|0.5|-1|3.3|0|1e10|7}}", "justify_{{days|hours|interval}}(interval '{{35 days|50 hours|1 mon -1 hour|-40 days 100 hours}}')", "make_interval({{days => 5|1, 2, 3, 4|secs => 1.5, hours => 2|years => -1, mins => 90|weeks => 200000000}})", "{{when}} AT TIME ZONE '{{UTC|America/New_York|+02|Europe/Berlin|interval|Asia/Kathmandu}}'", "{{when}}::{{date|time|timestamp|timestamptz|interval|text|timetz|timestamp(0)|time(1)}}", "{{when}} {{<|=|>=|<>}} {{when}}", "timezone('{{UTC|America/New_York|-3}}', {{when}})", "({{when}}, interval '1 day') OVERLAPS ({{when}}, interval '2 days')", "isfinite({{when}})", "date '2020-01-31' {{+ 1|- 31|+ time '12:00'|- date '2019-12-25'|+ interval '1 mon'|+ 1.5|- '2020-01-01'|+ '1 day'|* 2}}"),
    "series": ("generate_series({{1, 5|5, 1|5, 1, -2|1, 10, 3|1, 3, 0|NULL, 3|2147483645, 2147483647|9223372036854775805, 9223372036854775807|1.5, 3.0|1, 2, 0.5|0.1, 0.5, 0.1|1, 'NaN'::numeric|'1', 3|1, 2.5|3, 1::bigint|1::smallint, 3::smallint}})", "generate_series({{timestamp '2020-01-30', timestamp '2020-04-01', interval '1 mon'|date '2020-01-01', date '2020-01-03', interval '1 day'|timestamptz '2020-03-28 00:00+00', timestamptz '2020-03-30 00:00+00', '12 hours'|timestamp '2020-01-02', timestamp '2020-01-01', '-6 hours'|timestamp '2020-01-01', timestamp '2020-01-02', '0'|'2020-01-01', '2020-01-03', interval '1 day'|date '2020-01-01', '2020-01-03', '1 day'}})", "generate_subscripts('{{value _int4}}'::int[], 1)", "generate_subscripts(ARRAY[[1, 2], [3, 4]], {{1|2|3|0}}{{|, true}})", "unnest({{value _int4}}::int[])", "unnest(ARRAY[1, 2], ARRAY['a', 'b', 'c'])", "unnest({{value _text}}::text[])", "json_array_elements{{|_text}}('[1, \"a\", null, {\"k\": [2]}]')", "jsonb_each{{|_text}}({{value jsonb}})", "jsonb_object_keys({{value jsonb}})", "json_each_text({{value json}})", "regexp_split_to_table({{value text}}, '{{,| |o||x*|\\s+}}')", "regexp_matches({{value text}}, '{{(.)(o)|a|.|(b+)?|[A-Z]}}', '{{g||gi|i}}')", "string_to_table({{value text}}, {{','|NULL|''|' '|'o'}}{{|, 'a'|, ''}})", "jsonb_path_query({{value jsonb}}, '{{$|$[*]|$.a|$.*|$.a.b[*]|$[*] ? (@ > 1)|strict $.nope}}')", "jsonb_to_recordset('[{\"a\": 1, \"b\": \"x\"}, {\"a\": null}, {\"c\": 3}]') AS r(a int, b {{text|int|jsonb}})"),
    "float": ("0.1::float8", "1e15::float8", "1e16::float8", "123456789012345678::float8", "1e-5::float8", "0.0001::float8", "1/3.0::float8", "'-0'::float8", "1e300::float8", "5e-324::float8", "1e22::float8", "0.1::real", "1e6::real", "1e7::real", "16777217::real", "3.4e38::real", "1e-45::real", "1.17549435e-38::real", "33554432.5::real", "2.5::real", "'NaN'::real", "'inf'::float8", "100::float8", "-1.5e-7::float8", "123456.789e3::float8", "9007199254740993::float8"),
    "float_use": ("{{float}}", "{{float}} {{+|-|*|/}} {{float}}", "{{float}}::{{text|numeric|int|bigint|real|float8|numeric(10,3)|smallint|varchar(4)}}", "round({{float}})", "trunc({{float}})", "{{float}} {{<|=|>=|<>}} {{float}}", "ceil({{float}})", "power({{float}}, {{2|0.5|-1|0}})", "sqrt({{float}})", "exp({{float}})", "ln({{float}})", "{{sin|cos|tan|atan|degrees|radians|cbrt|sign|abs|floor|sinh|tanh|asind|log10|asin|acosh}}({{float}})", "to_jsonb({{float}})", "ARRAY[{{float}}, {{float}}]", "mod({{float}}::numeric, 3)", "greatest({{float}}, {{float}})", "atan2({{float}}, {{float}})", "width_bucket({{float}}, 0, 10, 5)", "{{float}} ^ {{2|-1|0.5}}", "|/ {{float}}", "@ {{float}}"),
    "decimal": ("0.1", "1.50", "-2.5", "1e20", "1e-20", "'NaN'::numeric", "'Infinity'::numeric", "'-Infinity'::numeric", "0.00", "12345678901234567890.123456789", "3", "7.000", "-0.005", "99999.99", "1e100", "0.5", "1.5", "2.5", "1000000", "1.23e-5", "1e131071"),
    "decimal_use": ("{{decimal}} {{+|-|*|/|%}} {{decimal}}", "{{decimal}}::{{numeric(5,2)|numeric(3,0)|numeric(4,-2)|int|bigint|smallint|float8|real|text|numeric(10,5)|numeric(2,2)}}", "round({{decimal}}, {{0|1|2|-1|-3|20}})", "trunc({{decimal}}, {{0|1|-2}})", "{{ceil|floor|abs|sign|scale|min_scale|trim_scale|sqrt|exp|ln|log|round|trunc|cbrt}}({{decimal}})", "power({{decimal}}, {{decimal}})", "{{decimal}} ^ {{2|0.5|-1|3|0}}", "div({{decimal}}, {{decimal}})", "mod({{decimal}}, {{decimal}})", "gcd({{decimal}}, {{decimal}})", "lcm({{decimal}}, {{12|0.5|0}})", "log({{2|10|0.5|-1}}, {{decimal}})", "{{decimal}} {{<|=|>=|<>|>}} {{decimal}}", "width_bucket({{decimal}}, 0, 10, {{5|0}})", "{{decimal}}::text", "to_jsonb({{decimal}})", "factorial({{0|5|20|34|-1}})", "greatest({{decimal}}, {{decimal}})", "numeric '{{1_000|1e5|.5|5.|+3|- 3|0x1F|1e|NaN|inf|-inf|+Infinity|1e400|1e-400|  12  |}}'", "{{2147483647 + 1|2147483647::int4 * 2|32767::int2 + 1::int2|9223372036854775807 + 1|-2147483648 / -1|(-2147483648)::int4 / -1|-9223372036854775808 % -1|abs((-2147483648)::int4)|- (-32768)::int2|5 / 2|-5 / 2|-5 % 3|5 / 2.0|7 % -3|2 ^ 31|2 ^ 63|1 << 31|1 << 32|1::bigint << 63|8 >> 1|~5|5 # 3|5 & 3|+ 5|@ -5|0.1 + 0.2|1e308 * 10|1e308::float8 * 10}}"),
    "pattern": ("a", "o", "[a-f]+", "(.)(.)", "^.", ".$", "\\d+", "\\s", "\\y\\w+\\y", "x*", "", "(a|b)c?", "[[:upper:]]", "[^aeiou]", "o{1,2}", "(?i)h", "\\w+?", "b|$", "(o)(.)?", "[", "a**", "(?=o)", "(?<!a)b", "\\Aa", "é", ".*?o", "((a)b)?", "\\m.", "[\\d-]", "\\."),
    "regexp": ("regexp_replace({{value text}}, '{{pattern}}', '{{X|\\1|<\\&>|\\\\|\\2\\1|}}'{{|, 'g'|, 'gi'|, 'i'|, 'n'|, 'z'}})", "regexp_replace({{value text}}, '{{pattern}}', 'X', {{1|2|0}}, {{0|1|2}}{{|, 'i'}})", "regexp_match({{value text}}, '{{pattern}}'{{|, 'i'|, 'g'|, 'x'}})", "regexp_count({{value text}}, '{{pattern}}'{{|, 2|, 0}})", "regexp_instr({{value text}}, '{{pattern}}'{{|, 1, 2|, 1, 1, 1|, 2, 1, 0, 'i', 1}})", "regexp_substr({{value text}}, '{{pattern}}'{{|, 1, 2|, 2}})", "regexp_like({{value text}}, '{{pattern}}'{{|, 'i'|, 'c'}})", "regexp_split_to_array({{value text}}, '{{pattern}}'{{|, 'i'}})", "{{value text}} {{~|~*|!~|!~*}} '{{pattern}}'", "{{value text}} {{SIMILAR TO|NOT SIMILAR TO}} '{{%(a|b)%|_{3}|[a-c]%|a+|%|foo(bar)?|(a|b)*}}'", "substring({{value text}} from '{{pattern}}')", "substring({{value text}} similar '{{%#\"o_b#\"%|#\"_#\"%|%a#\"b#\"}}' escape '#')", "{{value text}} {{LIKE|ILIKE|NOT LIKE|~~|!~~*}} '{{%a%|_b%|a\\%|%\\_%|A%|%|é%|_|%o_b_r}}'"),
    "string": ("left({{value text}}, {{2|-2|0|100}})", "right({{value text}}, {{2|-2|0|100}})", "lpad({{value text}}, {{5|0|-1|20}}, {{'*'|'ab'|''}})", "rpad({{value text}}, {{5|20}})", "substr({{value text}}, {{2|0|-1|100}}{{|, 3|, 0|, -1}})", "substring({{value text}} from {{2|0|-3}} for {{3|0|10}})", "split_part({{value text}}, '{{o| |,||xx}}', {{1|2|-1|0|9}})", "translate({{value text}}, 'abc', '{{xyz|x|}}')", "replace({{value text}}, '{{o||a}}', '{{0||zz}}')", "strpos({{value text}}, '{{o||b}}')", "overlay({{value text}} placing 'XX' from {{1|2|0|10}}{{| for 0| for 3}})", "initcap({{value text}})", "concat({{value text}}, {{NULL|1|true|1.50|'2020-01-01'::date|ARRAY[1,2]}}, 'z')", "concat_ws({{','|NULL|''}}, {{value text}}, NULL, {{1|'b'|2.0}})", "format('{{%s|%I|%L|%s %s|%2$s %1$s|%-5s]|%5s|%%|%|%x|%1$s %s}}', {{value text}}, {{NULL|5|'q'}})", "string_to_array({{value text}}, {{','|''|NULL|'o'}}{{|, 'a'|, ''}})", "array_to_string({{value _text}}::text[], {{','|''|NULL}}{{|, 'N'}})", "md5({{value text}})", "encode({{value bytea}}, '{{hex|base64|escape|nope}}')", "decode('{{616263|YWJj|abc|zz|\\\\000|YQ==|Y}}', '{{hex|base64|escape}}')", "ascii({{value text}})", "chr({{65|0|8364|128512|-1|1114112}})", "to_hex({{255|-1|0|4294967296|-9223372036854775808}})", "quote_literal({{value text}})", "quote_ident({{value text}})", "quote_nullable({{NULL|'a''b'|5}})", "repeat({{value text}}, {{0|2|-1}})", "reverse({{value text}})", "{{trim|ltrim|rtrim|btrim}}({{value text}}{{|, 'a '|, ''}})", "length({{value text}})", "{{upper|lower|octet_length|bit_length|char_length}}({{value text}})", "starts_with({{value text}}, '{{a||He}}')", "{{value text}} || {{1|true|1.50|NULL|'x'|'2020-01-01'::date|ARRAY['q']|'{\"a\": 1}'::jsonb|interval '1 day'}}", "unistr('{{\\0041|\\+01F600|abc|\\zz|\\u00e9}}')", "normalize({{value text}}{{|, NFD|, NFKC}})", "{{value text}} IS {{|NOT }}{{|NFC |NFKD }}NORMALIZED", "to_ascii({{value text}})", "sha256({{value bytea}})", "get_byte({{value bytea}}, {{0|1|9|-1}})", "set_byte({{value bytea}}, 0, {{0|255|256}})", "get_bit({{value bytea}}, {{0|7|99}})", "bit_count({{value bytea}})", "substring({{value bytea}} from {{1|2}} for {{1|9}})", "position({{value bytea}} in {{value bytea}})", "convert_from({{value bytea}}, '{{UTF8|LATIN1|nope}}')", "convert_to({{value text}}, '{{UTF8|LATIN1}}')", "trim({{leading|trailing|both}} {{'a'|' '|''}} from {{value text}})", "{{value text}} COLLATE \"C\" < {{value text}}", "parse_ident('{{a.b|\"A b\".c|a.|1x||a..b}}')", "{{value text}} ^@ '{{a|}}'", "{{value varchar}}::varchar({{1|3|10}}) || {{value bpchar}}::char({{2|5}})", "{{value bpchar}}::char(4) {{text_sign}} {{value text}}", "cast({{value text}} as {{char(2)|varchar(2)|name|\"char\"|bytea|text}})"),
    "array": ("array_{{append|remove|position|positions}}({{value _int4}}::int[], {{1|NULL|'2'|2.5}})", "array_prepend({{1|NULL}}, {{value _int4}}::int[])", "array_cat({{value _int4}}::int[], {{value _int4}}::int[])", "array_replace({{value _int4}}::int[], {{1|NULL}}, {{9|NULL}})", "{{array_dims|array_ndims|cardinality}}({{value _text}}::text[])", "array_{{length|lower|upper}}({{value _text}}::text[], {{1|2|0}})", "({{value _int4}}::int[])[{{1|2|0|1:2|:2|2:|NULL|1:1}}]", "{{value _int4}}::int[] {{array_sign}} {{value _int4}}::int[]", "{{value _int4}}::int[] || {{1|NULL|'{5}'|ARRAY[[1,2]]|'7'|2.5}}", "trim_array({{value _int4}}::int[], {{0|1|9|-1}})", "array_fill({{7|NULL::int|'x'::text}}, ARRAY[{{2|2, 2|0|-1|NULL}}]{{|, ARRAY[0]}})", "{{1|'a'|NULL|2.5}} {{= ANY|<> ALL|> ANY}} ({{value _int4}}::int[])", "{{value _int4}}::{{text[]|bigint[]|numeric[]|varchar(1)[]|text|date[]|jsonb}}", "ARRAY[{{1, 2|1, NULL|1, 2.5|'a', 'b'|1, 'x'|[1, 2], [3, 4]|[1], [2, 3]|NULL, NULL|}}]{{|::int[]|::text[]|::numeric[]}}", "to_jsonb({{value _text}}::text[])", "array_to_json({{value _int4}}::int[]{{|, true}})", "array_agg(x ORDER BY x {{DESC|NULLS FIRST}}) FROM unnest({{value _int4}}::int[]) x", "array_agg(x) FROM (VALUES ({{value _int4}}::int[]), ({{value _int4}}::int[])) v(x)", "'{{{1,2}|{\"a\",b}|{1,2|{NULL,\"NULL\"}|[2:3]={1,2}|{}|{ 1 , 2 }|{,}|abc|{\"a\\\"b\"}}}'::{{int|text}}[]", "array_position({{value _text}}::text[], {{value text}}{{|, 2}})"),
    "json_use": ("{{value jsonb}}::jsonb {{->|->>}} {{'a'|0|-1|'nope'|NULL|1}}", "{{value json}}::json {{->|->>}} {{'a'|0|-1|'b'}}", "{{value jsonb}}::jsonb {{#>|#>>}} '{{value_path}}'", "{{value jsonb}}::jsonb {{jsonb_sign}} {{value jsonb}}::jsonb", "{{value jsonb}}::jsonb {{?|-}} {{'a'|'nope'|''}}", "{{value jsonb}}::jsonb - {{0|1|-1|'{a,b}'::text[]}}", "jsonb_set({{value jsonb}}, '{{value_path}}', {{value jsonb}}{{|, false|, true}})", "jsonb_insert({{value jsonb}}, '{{value_path}}', '9'{{|, true}})", "{{jsonb_typeof|jsonb_array_length|jsonb_strip_nulls|jsonb_pretty}}({{value jsonb}})", "{{json_typeof|json_array_length|json_strip_nulls}}({{value json}})", "({{value jsonb}}::jsonb)[{{'a'|0|'nope'|-1|1.5|NULL}}]", "jsonb_path_{{exists|match|query_array|query_first}}({{value jsonb}}, {{value jsonpath}}{{|, '{\"x\": 1}'|, '{}', true}})", "{{value jsonb}}::jsonb {{@?|@@}} {{value jsonpath}}", "{{value jsonb}}::jsonb::{{int|text|numeric|bool|float8|json|bigint|smallint}}", "{{value text}}::{{json|jsonb}}", "to_json{{|b}}({{1|'a'::text|NULL::int|1.50|true|ARRAY[1,2]|date '2020-01-01'|timestamptz '2020-01-01 00:00+00'|ROW(1, 'a')|interval '1 day'|'{\"a\": 1}'::jsonb|'x'|'NaN'::float8|0.1::real}})", "{{json|jsonb}}_build_object({{'a', 1|'a', NULL, 'b', 2|1, 2|NULL, 1|'a'|'k', ARRAY[1,2], 'd', date '2020-01-01'|}})", "{{json|jsonb}}_build_array({{1, 'a', NULL|true, 1.5||ARRAY[1], ROW(1,2)}})", "row_to_json(x{{|, true}}) FROM (SELECT {{1 AS a, 'x' AS b|1|NULL AS n, date '2020-01-01' AS d}}) x", "{{json|jsonb}}_agg(x ORDER BY x) FROM (VALUES (3), (1), (NULL)) v(x)", "{{json|jsonb}}_object_agg(k, v) FROM (VALUES ('a', 1), ('b', NULL){{|, ('a', 3)}}) x(k, v)", "jsonb_object('{ {{k1,v1,k2,v2|a}} }'::text[])", "jsonb_populate_record(NULL::t2, '{\"id\": {{1|\"2\"|null|\"x\"|1.5}}, \"t\": {{\"q\"|5|[1]}}, \"d\": \"2020-01-01\"}')", "* FROM jsonb_to_record('{\"a\": {{1|\"x\"|null|[1,2]}}, \"b\": {{true|\"y\"|[]}} }') AS r(a {{int|text|int[]|jsonb}}, b {{text|bool}})", "(json '{\"a\": [1, {\"b\": null}]}' #> '{a,1}')::text"),
    "text_sign": ("=", "<", "LIKE", "||", "~"),
    "array_sign": ("=", "<>", "<", "@>", "<@", "&&", "||"),
    "jsonb_sign": ("@>", "<@", "=", "<", ">=", "||"),
    "value_path": ("{a}", "{a,b}", "{0}", "{a,b,0}", "{-1}", "{}", "{nope}", "{1,a}"),
}  # fmt: skip
SCRIPTS: Final[dict[str, Script]] = {
    "to_char of times": Script(("SELECT to_char({{when}}, '{{date_format}}')",), 3),
    "to_char of numbers": Script(("SELECT to_char({{number}}, '{{number_format}}')",), 3),
    "read by format": Script(("SELECT {{read_date}}",), 3),
    "times": Script(("SELECT {{times}}",), 5),
    "series": Script(("SELECT * FROM {{series}}",), 3, ordered=False),
    "series in the list": Script(("SELECT {{series}}",), 1.5, ordered=False),
    "floats": Script(("SELECT {{float_use}}",), 4),
    "decimals": Script(("SELECT {{decimal_use}}",), 5),
    "regular expressions": Script(("SELECT {{regexp}}",), 5),
    "strings": Script(("SELECT {{string}}",), 6),
    "arrays": Script(("SELECT {{array}}",), 4),
    "json": Script(("SELECT {{json_use}}",), 5),
}  # fmt: skip


class Matrices:
    """Makes cases out of a square of everything by everything."""

    def __init__(self, queries: Queries) -> None:
        self.rng = queries.rng
        self.surface = queries.surface
        self.expressions = queries.expressions

    def _select(self, family: str, *parts: str | Node) -> Case:
        return Case(family, (node(f"query:{family}", "statement", "SELECT ", *parts),))

    def cast(self) -> Case:
        """A value of a type cast to a type, and assigned to a column of it."""
        source, target = self.rng.choice(values.TYPES), self.rng.choice(values.TYPES)
        name = self.rng.choice((*values.MODIFIED.get(target, ()), *[values.type_name(self.rng, target)] * 3))
        inner = self.expressions.literal(source)
        if self.rng.random() < 0.25 and target not in ("bit",):
            create = node("", "statement", f"CREATE TABLE made (a {name})")
            insert = node(f"assign:{source}>{target}", "statement", "INSERT INTO made VALUES (", inner, ") RETURNING a")
            return Case("assignment", (create, insert))
        return self._select("cast", node(f"cast:{source}>{target}", f"expr:{target}", "CAST(", inner, f" AS {name})"))

    def read(self) -> Case:
        """A text that may or may not be one of a type's."""
        target = self.rng.choice(values.SCALARS)
        text = values.plain(self.rng, target if self.rng.random() < 0.6 else self.rng.choice(values.SCALARS), 0.5)
        text = self.rng.choice((text, text, f" {text} ", text.upper(), f"{text}x", text[:-1], f"{{{text}}}"))
        return self._select(
            "input",
            node(f"input:{target}", f"expr:{target}", f"{values.quoted(text)}::{values.type_name(self.rng, target)}"),
        )

    def operator(self) -> Case:
        """An operator whose operands are constants of unknown type, NULLs, or of types near those it has."""
        calls = [call for made in self.surface.operators.values() for call in made]
        call = self.rng.choice(calls)
        made = [self._operand(kind) for kind in call.args]
        parts = (f"{call.name} ", made[0]) if len(made) == 1 else (made[0], f" {call.name} ", made[1])
        return self._select("operator", node(f"unknown:{call.name}", "expr:?", *parts))

    def _operand(self, kind: str) -> Node:
        of = (
            kind if kind in values.TYPES else "_int4" if "array" in kind else "int4range" if "range" in kind else "int4"
        )
        way = self.rng.random()
        if way < 0.35:
            return node("literal:unknown", "expr:?", values.quoted(values.plain(self.rng, of)))
        if way < 0.45:
            return node("literal:null", "expr:?", "NULL")
        if way < 0.65:
            near = next((each for each in _NEAR if of in each), (of,))
            return self.expressions.literal(self.rng.choice(near))
        return self.expressions.literal(of)

    def function(self) -> Case:
        """A function on constants of unknown type and NULLs."""
        calls = [call for made in self.surface.functions.values() for call in made if call.args]
        call = self.rng.choice(
            self.rng.choice(
                [[each for each in calls if each.name == name] for name in sorted({each.name for each in calls})]
            )
        )
        made = [self._operand(kind) for kind in call.args]
        parts: list[str | Node] = []
        for part in made:
            parts += [", ", part] if parts else [part]
        return self._select("function", node(f"unknown:{call.name}", "expr:?", f"{call.name}(", *parts, ")"))

    def united(self) -> Case:
        """Constants of several types where one type is to be found: CASE, COALESCE, ARRAY, UNION, VALUES, IN."""
        group = self.rng.choice(_NEAR)
        made = [self._operand(self.rng.choice(group)) for _ in range(3)]
        a, b, c = made
        form = self.rng.choice((
            (("CASE WHEN true THEN ", a, " ELSE ", b, " END")), ("COALESCE(", a, ", ", b, ")"), ("ARRAY[", a, ", ", b, ", ", c, "]"),
            (a, " UNION ALL SELECT ", b, " UNION ALL SELECT ", c), ("* FROM (VALUES (", a, "), (", b, ")) v"), (a, " IN (", b, ", ", c, ")"),
            ("GREATEST(", a, ", ", b, ")"), ("NULLIF(", a, ", ", b, ")"), (a, " BETWEEN ", b, " AND ", c), (a, " IS DISTINCT FROM ", b),
            ("(", a, ", ", b, ") = (", c, ", ", b, ")"), ("pg_typeof(", a, "), pg_typeof(LEAST(", b, ", ", c, "))"), (a, " = ANY (ARRAY[", b, ", ", c, "])"),
        ))  # fmt: skip
        return self._select("united", node("united", "expr:?", *form))

    def aggregate(self) -> Case:
        """An aggregate over few rows of a type, the everyday forms of it."""
        call = self.rng.choice(
            [each for made in self.surface.aggregates.values() for each in made if len(each.args) == 1]
        )
        element = self.rng.choice(values.ARRAY_ELEMENTS)
        kinds = self.expressions.bound(call, f"_{element}" if call.result == "anyarray" else element)
        rows = [self.expressions.literal(kinds[0]) for _ in range(self.rng.randint(1, 4))]
        parts: list[str | Node] = []
        for row in rows:
            parts += ["), (", row] if parts else [row]
        tail = self.rng.choice(("", "", "", " WHERE false", " WHERE x IS NOT NULL"))
        inside = (
            self.rng.choice(("x", "x", "x", "DISTINCT x", "x ORDER BY x"))
            if kinds[0] not in ("json", "jsonpath")
            else "x"
        )
        return self._select(
            "aggregate of rows",
            node(f"aggregate:{call.name}", "expr:?", f"{call.name}({inside}) FROM (VALUES (", *parts, f")) v(x){tail}"),
        )


_NEAR: Final = (
    ("int2", "int4", "int8", "numeric", "float4", "float8"), ("text", "varchar", "bpchar", "name"), ("date", "timestamp", "timestamptz"),
    ("time", "timetz", "interval"), ("json", "jsonb"), ("int4", "text"), ("bool", "int4"), ("inet", "cidr"), ("_int4", "_int8", "_numeric"),
    ("_text", "_varchar"), ("int4range", "int4multirange"), ("bit", "varbit"), ("int4", "date"), ("uuid", "text"),
)  # fmt: skip
"""Types that are mistaken for each other, or cast to each other silently."""
FAMILIES: Final[tuple[tuple[float, Callable[[Matrices], Case]], ...]] = (
    (4, Matrices.cast), (3, Matrices.read), (7, Matrices.operator), (5, Matrices.function), (5, Matrices.united), (4, Matrices.aggregate),
)  # fmt: skip

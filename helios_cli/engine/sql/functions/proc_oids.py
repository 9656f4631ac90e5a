"""OIDs of the library's functions: PostgreSQL's own (pg_proc.dat) where it has the same function.

Programs that call functions by OID (the protocol's FunctionCall) may know these numbers by heart.
"""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.functions.library import REGISTRY

FIRST_OID: Final = 90_000
"""Of the functions that PostgreSQL has not, or has with other arguments, in the library's order."""

_TABLE: Final = """
abbrev 598:869 599:650; abs 1394:700 1395:701 1396:20 1397:23 1398:21 1705:1700; acldefault 3943:18,26; aclexplode
1689:1034; acos 1601:701; acosd 2732:701; acosh 2466:701; age 1199:1184,1184 1386:1184 2058:1114,1114 2059:1114; area
975:603 979:602 1468:718; array_agg 2335:2776 4053:2277; array_append 378:5078,5077; array_cat 383:5078,5078; array_dims
747:2277; array_fill 1193:2283,1007 1286:2283,1007,1007; array_length 2176:2277,23; array_lower 2091:2277,23;
array_ndims 748:2277; array_position 3277:5078,5077 3278:5078,5077,23; array_positions 3279:5078,5077; array_prepend
379:5077,5078; array_remove 3167:5078,5077; array_replace 3168:5078,5077,5077; array_to_json 3153:2277 3154:2277,16;
array_to_string 384:2277,25,25 395:2277,25; array_upper 2092:2277,23; ascii 1620:25; asin 1600:701; asind 2731:701;
asinh 2465:701; atan 1602:701; atan2 1603:701,701; atan2d 2734:701,701; atand 2733:701; atanh 2467:701; avg 2100:20
2101:23 2102:21 2103:1700 2104:700 2105:701 2106:1186; bit_and 2236:21 2238:23 2240:20 2242:1560; bit_count 6162:1560
6163:17; bit_length 1810:17 1811:25 1812:1560; bit_or 2237:21 2239:23 2241:20 2243:1560; bit_xor 6164:21 6165:23 6166:20
6167:1560; bool_and 2517:16; bool_or 2518:16; bound_box 4067:603,603; box 1421:600,600 1446:604 1480:718 4091:600;
broadcast 698:869; btrim 884:25,25 885:25 2015:17,17; cardinality 3179:2277; cash_words 935:790; cbrt 1345:701;
ceil 1711:1700 2308:701;
ceiling 2167:1700 2320:701; center 1542:603 1543:718; char_length 1372:1042 1381:25; character_length 1367:1042 1369:25;
chr 1621:23; circle 1473:600,701 1474:604 1479:603; clock_timestamp 2649:; col_description 1216:26,23; concat 3058:2276;
concat_ws 3059:25,2276; convert_from 1714:17,19; convert_to 1717:25,19; corr 2829:701,701; cos 1605:701; cosd 2736:701;
cosh 2463:701; cot 1607:701; cotd 2738:701; count 2147:2276; covar_pop 2827:701,701; covar_samp 2828:701,701; cume_dist
3104:; current_database 861:; current_schema 1402:; current_schemas 1403:16; current_setting 2077:25 3294:25,16;
current_user 745:; currval 1575:2205; date_bin 6177:1186,1114,1114 6178:1186,1184,1184; date_part 1171:25,1184
1172:25,1186 1273:25,1266 1384:25,1082 1385:25,1083 2021:25,1114; date_trunc 1217:25,1184 1218:25,1186 1284:25,1184,25
2020:25,1114; datemultirange 4292: 4293:3912; daterange 3941:1082,1082 3942:1082,1082,25; decode 1947:25,25; degrees
1608:701; dense_rank 3102:; diagonal 981:603; diameter 1469:718; div 1973:1700,1700; encode 1946:17,25; enum_first
3528:3500; enum_last 3529:3500; enum_range 3530:3500,3500 3531:3500; every 2519:16; exp 1347:701 1732:1700; extract
6199:25,1082 6200:25,1083 6201:25,1266 6202:25,1114 6203:25,1184 6204:25,1186; factorial 1376:20; family 711:869;
first_value 3112:2283; floor 1712:1700 2309:701; format 3539:25,2276 3540:25; format_type 1081:26,23; gcd 5044:23,23
5045:20,20 5048:1700,1700; gen_random_uuid 3432:; generate_series 938:1114,1114,1186 939:1184,1184,1186 1066:23,23,23
1067:23,23 1068:20,20,20 1069:20,20 3259:1700,1700,1700 3260:1700,1700; generate_subscripts 1191:2277,23,16
1192:2277,23; get_bit 723:17,20 3032:1560,23; get_byte 721:17,23; getdatabaseencoding 1039:; has_any_column_privilege
3024:19,25,25 3025:19,26,25 3026:26,25,25 3027:26,26,25 3028:25,25 3029:26,25; has_column_privilege 3012:19,25,25,25
3013:19,25,21,25 3014:19,26,25,25 3015:19,26,21,25 3016:26,25,25,25 3017:26,25,21,25 3018:26,26,25,25 3019:26,26,21,25
3020:25,25,25 3021:25,21,25 3022:26,25,25 3023:26,21,25; has_database_privilege 2250:19,25,25 2251:19,26,25
2252:26,25,25 2253:26,26,25 2254:25,25 2255:26,25; has_foreign_data_wrapper_privilege 3000:19,25,25 3001:19,26,25
3002:26,25,25 3003:26,26,25 3004:25,25 3005:26,25; has_function_privilege 2256:19,25,25 2257:19,26,25 2258:26,25,25
2259:26,26,25 2260:25,25 2261:26,25; has_language_privilege 2262:19,25,25 2263:19,26,25 2264:26,25,25 2265:26,26,25
2266:25,25 2267:26,25; has_schema_privilege 2268:19,25,25 2269:19,26,25 2270:26,25,25 2271:26,26,25 2272:25,25
2273:26,25; has_sequence_privilege 2181:19,25,25 2182:19,26,25 2183:26,25,25 2184:26,26,25 2185:25,25 2186:26,25;
has_server_privilege 3006:19,25,25 3007:19,26,25 3008:26,25,25 3009:26,26,25 3010:25,25 3011:26,25; has_table_privilege
1922:19,25,25 1923:19,26,25 1924:26,25,25 1925:26,26,25 1926:25,25 1927:26,25; has_tablespace_privilege 2390:19,25,25
2391:19,26,25 2392:26,25,25 2393:26,26,25 2394:25,25 2395:26,25; has_type_privilege 3138:19,25,25 3139:19,26,25
3140:26,25,25 3141:26,26,25 3142:25,25 3143:26,25; height 977:603; host 699:869; hostmask 1362:869; inet_client_addr
2196:; inet_client_port 2197:; inet_merge 4063:869,869; inet_same_family 4071:869,869; inet_server_addr 2198:;
inet_server_port 2199:; initcap 872:25; int4multirange 4280: 4281:3904; int4range 3840:23,23 3841:23,23,25;
int8multirange 4295: 4296:3926; int8range 3945:20,20 3946:20,20,25; isclosed 1430:602; isfinite 1373:1082 1389:1184
1390:1186 2048:1114; ishorizontal 1407:600,600 1411:601 1415:628; isopen 1431:602; isparallel 1408:601,601 1412:628,628;
isperp 1409:601,601 1413:628,628; isvertical 1406:600,600 1410:601 1414:628; json_agg 3175:2283; json_array_elements
3955:114; json_array_elements_text 3969:114; json_array_length 3956:114; json_build_array 3198:2276 3199:;
json_build_object 3200:2276 3201:; json_each 3958:114; json_each_text 3959:114; json_object 3202:1009 3203:1009,1009;
json_object_agg 3197:2276,2276; json_object_keys 3957:114; json_strip_nulls 3261:114; json_typeof 3968:114; jsonb_agg
3267:2283; jsonb_array_elements 3219:3802; jsonb_array_elements_text 3465:3802; jsonb_array_length 3207:3802;
jsonb_build_array 3271:2276 3272:; jsonb_build_object 3273:2276 3274:; jsonb_each 3208:3802; jsonb_each_text 3932:3802;
jsonb_insert 3579:3802,1009,3802,16; jsonb_object 3263:1009 3264:1009,1009; jsonb_object_agg 3270:2276,2276;
jsonb_object_keys 3931:3802; jsonb_path_exists 4005:3802,4072,3802,16; jsonb_path_exists_tz 1177:3802,4072,3802,16;
jsonb_path_match 4009:3802,4072,3802,16; jsonb_path_match_tz 2030:3802,4072,3802,16; jsonb_path_query
4006:3802,4072,3802,16; jsonb_path_query_array 4007:3802,4072,3802,16; jsonb_path_query_array_tz 1180:3802,4072,3802,16;
jsonb_path_query_first 4008:3802,4072,3802,16; jsonb_path_query_first_tz 2023:3802,4072,3802,16; jsonb_path_query_tz
1179:3802,4072,3802,16; jsonb_pretty 3306:3802; jsonb_set 3305:3802,1009,3802,16; jsonb_strip_nulls 3262:3802;
jsonb_typeof 3210:3802; justify_days 1295:1186; justify_hours 1175:1186; justify_interval 2711:1186; lag 3106:2283
3107:2283,23 3108:5077,23,5077; last_value 3113:2283; lastval 2559:; lcm 5046:23,23 5047:20,20 5049:1700,1700; lead
3109:2283 3110:2283,23 3111:5077,23,5077; left 3060:25,23; length 1317:25 1318:1042 1530:601 1531:602 1681:1560
1713:17,19 2010:17 3711:3614; line 1493:600,600; ln 1341:701 1734:1700; lo_close 953:23; lo_creat 957:23; lo_create
715:26; lo_from_bytea 3457:26,17; lo_get 3458:26 3459:26,20,23; lo_lseek 956:23,23,23; lo_lseek64 3170:23,20,23; lo_open
952:26,23; lo_put 3460:26,20,17; lo_tell 958:23; lo_tell64 3171:23; lo_truncate 1004:23,23; lo_truncate64 3172:23,20;
lo_unlink 964:26; log 1340:701 1736:1700,1700 1741:1700; log10 1194:701 1481:1700; loread 954:23,23; lower 870:25;
lowrite 955:23,17; lpad 873:25,23,25 879:25,23; lseg 993:600,600 1541:603; ltrim 875:25,25 881:25 6195:17,17;
macaddr8_set7bit 4125:774; make_date 3846:23,23,23; make_interval 3464:23,23,23,23,23,23,701; make_time 3847:23,23,701;
make_timestamp 3461:23,23,23,23,23,701; make_timestamptz 3462:23,23,23,23,23,701 3463:23,23,23,23,23,701,25; masklen
697:869; max 2050:2277 2115:20 2116:23 2117:21 2118:26 2119:700 2120:701 2122:1082 2123:1083 2124:1266 2125:790
2126:1114 2127:1184 2128:1186 2129:25 2130:1700 2244:1042 3526:3500 3564:869 4189:3220; md5 2311:25 2321:17; min
2051:2277 2131:20 2132:23 2133:21 2134:26 2135:700 2136:701 2138:1082 2139:1083 2140:1266 2141:790 2142:1114 2143:1184
2144:1186 2145:25 2146:1700 2245:1042 3527:3500 3565:869 4190:3220; min_scale 5042:1700; mod 940:21,21 941:23,23
947:20,20 1728:1700,1700; mode 3984:2283; netmask 696:869; network 683:869; nextval 1574:2205; now 1299:; npoints
1545:602 1556:604; nameconcatoid 266:19,26;
nth_value 3114:2283,23; ntile 3105:23; num_nonnulls 440:2276; num_nulls 438:2276; nummultirange 4283:
4284:3906; numrange 3844:1700,1700 3845:1700,1700,25; obj_description 1215:26,19 1348:26; octet_length 720:17 1374:25
1375:1042 1682:1560; overlaps 1271:1266,1266,1266,1266 1304:1184,1184,1184,1184 1305:1184,1186,1184,1186
1306:1184,1184,1184,1186 1307:1184,1186,1184,1184 1308:1083,1083,1083,1083 1309:1083,1186,1083,1186
1310:1083,1083,1083,1186 1311:1083,1186,1083,1083 2041:1114,1114,1114,1114 2042:1114,1186,1114,1186
2043:1114,1114,1114,1186 2044:1114,1186,1114,1114; overlay 749:17,17,23,23 752:17,17,23 1404:25,25,23,23 1405:25,25,23
3030:1560,1560,23,23 3031:1560,1560,23; path 1447:604; pclose 1433:602; percent_rank 3103:; percentile_cont 3974:701,701
3976:701,1186 3980:1022,701 3982:1022,1186; percentile_disc 3972:701,2283 3978:1022,2283; pg_advisory_lock 2880:20
2886:23,23; pg_advisory_lock_shared 2881:20 2887:23,23; pg_advisory_unlock 2884:20 2890:23,23; pg_advisory_unlock_all
2892:; pg_advisory_unlock_shared 2885:20 2891:23,23; pg_advisory_xact_lock 3089:20 3093:23,23;
pg_advisory_xact_lock_shared 3090:20 3094:23,23; pg_available_extensions 3082:; pg_backend_pid 2026:; pg_blocking_pids
2561:23; pg_cancel_backend 2171:23; pg_char_to_encoding 1264:19; pg_client_encoding 810:; pg_collation_actual_version
3448:26; pg_collation_is_visible 3815:26; pg_column_compression 2121:2276; pg_column_is_updatable 3843:2205,21,16;
pg_column_size 1269:2276; pg_conf_load_time 2034:; pg_conversion_is_visible 2093:26; pg_current_logfile 3800:;
pg_current_wal_flush_lsn 3330:; pg_current_wal_insert_lsn 2852:; pg_current_wal_lsn 2849:; pg_current_xact_id 5059:;
pg_database_size 2168:19 2324:26; pg_encoding_max_length 2319:23; pg_encoding_to_char 1597:23; pg_extension_config_dump
3086:2205,25; pg_filenode_relation 3454:26,26; pg_function_is_visible 2081:26; pg_get_constraintdef 1387:26 2508:26,16;
pg_get_expr 1716:194,26 2509:194,26,16; pg_get_function_arg_default 3808:26,23; pg_get_function_arguments 2162:26;
pg_get_function_identity_arguments 2232:26; pg_get_function_result 2165:26; pg_get_function_sqlbody 6197:26;
pg_get_functiondef 2098:26; pg_get_indexdef 1643:26 2507:26,23,16;
pg_get_keywords 1686:; pg_get_partition_constraintdef 3408:26;
pg_get_partkeydef 3352:26; pg_get_publication_tables 6119:25; pg_get_replica_identity_index 6120:2205; pg_get_ruledef
1573:26 2504:26,16; pg_get_serial_sequence 1665:25,25; pg_get_statisticsobjdef 3415:26; pg_get_statisticsobjdef_columns
6174:26; pg_get_statisticsobjdef_expressions 6173:26; pg_get_triggerdef 1662:26 2730:26,16; pg_get_userbyid 1642:26;
pg_get_viewdef 1640:25 1641:26 2505:25,16 2506:26,16 3159:26,23; pg_get_wal_replay_pause_state 1137:; pg_has_role
2705:19,19,25 2706:19,26,25 2707:26,19,25 2708:26,26,25 2709:19,25 2710:26,25; pg_index_column_has_property
638:2205,23,25; pg_index_has_property 637:2205,25; pg_indexam_has_property 636:26,25; pg_indexes_size 2998:2205;
pg_is_in_recovery 3810:; pg_is_other_temp_schema 2855:26; pg_is_wal_replay_paused 3073:;
pg_isolation_test_session_is_blocked 3378:23,1007; pg_last_wal_receive_lsn 3820:; pg_last_wal_replay_lsn 3821:;
pg_last_xact_replay_timestamp 3830:; pg_listening_channels 3035:; pg_lsn 6103:1700; pg_my_temp_schema 2854:;
pg_notification_queue_usage 3296:; pg_notify 3036:25,25; pg_opclass_is_visible 2083:26; pg_operator_is_visible 2082:26;
pg_opfamily_is_visible 3829:26; pg_options_to_table 2289:1009; pg_partition_ancestors 3425:2205; pg_partition_root
3424:2205; pg_partition_tree 3423:2205; pg_postmaster_start_time 2560:; pg_relation_filenode 2999:2205;
pg_relation_filepath 3034:2205; pg_relation_is_publishable 6121:2205; pg_relation_is_updatable 3842:2205,16;
pg_relation_size 2325:2205 2332:2205,25; pg_reload_conf 2621:; pg_safe_snapshot_blocking_pids 3376:23;
pg_sequence_last_value 4032:2205; pg_size_bytes 3334:25; pg_size_pretty 2288:20 3166:1700; pg_sleep 2626:701;
pg_sleep_for 3935:1186; pg_stat_get_analyze_count 3056:26; pg_stat_get_autoanalyze_count 3057:26;
pg_stat_get_autovacuum_count 3055:26; pg_stat_get_blocks_fetched 1934:26; pg_stat_get_blocks_hit 1935:26;
pg_stat_get_db_blocks_fetched 1944:26; pg_stat_get_db_blocks_hit 1945:26; pg_stat_get_db_numbackends 1941:26;
pg_stat_get_db_tuples_deleted 2762:26; pg_stat_get_db_tuples_fetched 2759:26; pg_stat_get_db_tuples_inserted 2760:26;
pg_stat_get_db_tuples_returned 2758:26; pg_stat_get_db_tuples_updated 2761:26; pg_stat_get_db_xact_commit 1942:26;
pg_stat_get_db_xact_rollback 1943:26; pg_stat_get_dead_tuples 2879:26; pg_stat_get_ins_since_vacuum 5053:26;
pg_stat_get_last_analyze_time 2783:26; pg_stat_get_last_autoanalyze_time 2784:26; pg_stat_get_last_autovacuum_time
2782:26; pg_stat_get_last_vacuum_time 2781:26; pg_stat_get_live_tuples 2878:26; pg_stat_get_mod_since_analyze 3177:26;
pg_stat_get_numscans 1928:26; pg_stat_get_snapshot_timestamp 3788:; pg_stat_get_tuples_deleted 1933:26;
pg_stat_get_tuples_fetched 1930:26; pg_stat_get_tuples_hot_updated 1972:26; pg_stat_get_tuples_inserted 1931:26;
pg_stat_get_tuples_returned 1929:26; pg_stat_get_tuples_updated 1932:26; pg_stat_get_vacuum_count 3054:26;
pg_statistics_obj_is_visible 3403:26; pg_table_is_visible 2079:26; pg_table_size 2997:2205; pg_tablespace_location
3778:26; pg_tablespace_size 2323:19 2322:26;
pg_describe_object 3537:26,26,23; pg_terminate_backend 2096:23,20; pg_total_relation_size 2286:2205; pg_trigger_depth
3163:; pg_try_advisory_lock 2882:20 2888:23,23; pg_try_advisory_lock_shared 2883:20 2889:23,23;
pg_try_advisory_xact_lock 3091:20 3095:23,23; pg_try_advisory_xact_lock_shared 3092:20 3096:23,23;
pg_ts_config_is_visible 3758:26; pg_ts_dict_is_visible 3757:26; pg_ts_parser_is_visible 3756:26;
pg_ts_template_is_visible 3768:26; pg_type_is_visible 2080:26; pg_typeof 1619:2276; pg_wal_lsn_diff 3165:3220,3220; pi
1610:; point 1416:718 1440:701,701 1532:601 1534:603 1540:604; polygon 1448:603 1449:602 1475:23,718 1544:718; popen
1434:602; position 849:25,25 1698:1560,1560 2014:17,17; pow 1346:701,701 1738:1700,1700; power 1368:701,701
2169:1700,1700; quote_ident 1282:25; quote_literal 1283:25 1285:2283; quote_nullable 1289:25 1290:2283; radians
1609:701; radius 1470:718; random 1598:; rank 3101:; regexp_count 6254:25,25 6255:25,25,23 6256:25,25,23,25;
regexp_instr 6257:25,25 6258:25,25,23 6259:25,25,23,23 6260:25,25,23,23,23 6261:25,25,23,23,23,25
6262:25,25,23,23,23,25,23; regexp_like 6263:25,25 6264:25,25,25; regexp_match 3396:25,25 3397:25,25,25; regexp_matches
2763:25,25 2764:25,25,25; regexp_replace 2284:25,25,25 2285:25,25,25,25 6251:25,25,25,23,23,25 6252:25,25,25,23,23
6253:25,25,25,23; regexp_split_to_array 2767:25,25 2768:25,25,25; regexp_split_to_table 2765:25,25 2766:25,25,25;
regexp_substr 6265:25,25 6266:25,25,23 6267:25,25,23,23 6268:25,25,23,23,25 6269:25,25,23,23,25,23; regr_avgx
2822:701,701; regr_avgy 2823:701,701; regr_count 2818:701,701; regr_intercept 2826:701,701; regr_r2 2824:701,701;
regr_slope 2825:701,701; regr_sxx 2819:701,701; regr_sxy 2821:701,701; regr_syy 2820:701,701; repeat 1622:25,23; replace
2087:25,25,25; reverse 3062:25; right 3061:25,23; round 1342:701 1707:1700,23 1708:1700; row_number 3100:;
row_security_active 3298:26 3299:25; rpad 874:25,23,25 880:25,23; rtrim 876:25,25 882:25 6196:17,17; scale 3281:1700;
session_user 746:; set_bit 724:17,20,23 3033:1560,23,23; set_byte 722:17,23,23; set_config 2078:25,25,16; set_masklen
605:869,23 635:650,23; setseed 1599:701; setval 1576:2205,20 1765:2205,20,16; sha224 3419:17; sha256 3420:17; sha384
3421:17; sha512 3422:17; shobj_description 1993:26,19; sign 1706:1700 2310:701;
similar_escape 1623:25,25; similar_to_escape 1986:25,25 1987:25; sin 1604:701; sind 2735:701; sinh
2462:701; slope 992:600,600; split_part 2088:25,25,23; sqrt 1344:701 1730:1700; starts_with 3696:25,25;
statement_timestamp 2648:; stddev 2154:20 2155:23 2156:21 2157:700 2158:701 2159:1700; stddev_pop 2724:20 2725:23
2726:21 2727:700 2728:701 2729:1700; stddev_samp 2712:20 2713:23 2714:21 2715:700 2716:701 2717:1700; string_agg
3538:25,25 3545:17,17; string_to_array 376:25,25,25 394:25,25; strpos 868:25,25; substr 877:25,23,23 883:25,23
2085:17,23,23 2086:17,23; substring 936:25,23,23 937:25,23 1680:1560,23,23 1699:1560,23 2012:17,23,23 2013:17,23
2073:25,25 2074:25,25,25; sum 2107:20 2108:23 2109:21 2110:700 2111:701 2113:1186 2114:1700; tan 1606:701; tand
2737:701; tanh 2464:701; text 730:869; textlen 1257:25; timeofday 274:; timezone 1026:1186,1184 1159:25,1184
2037:25,1266 2038:1186,1266 2069:25,1114 2070:1186,1114; to_char 1768:1186,25 1770:1184,25 1772:1700,25 1773:23,25
1774:20,25 1775:700,25 1776:701,25 2049:1114,25; to_date 1780:25,25; to_hex 2089:23 2090:20; to_json 3176:2283; to_jsonb
3787:2283; to_number 1777:25,25; to_regclass 3495:25; to_regcollation 4195:25; to_regnamespace 4086:25;
to_regoper 3492:25; to_regoperator 3476:25; to_regproc 3494:25; to_regprocedure
3479:25; to_regrole 4093:25; to_regtype 3493:25; to_timestamp 1158:701 1778:25,25; transaction_timestamp 2647:;
translate 878:25,25,25; trim_array 6172:2277,23; trim_scale 5043:1700; trunc 753:829 1343:701 1709:1700,23 1710:1700
4112:774; tsmultirange 4286: 4287:3908; tsrange 3933:1114,1114 3934:1114,1114,25; tstzmultirange 4289: 4290:3910;
tstzrange 3937:1184,1184 3938:1184,1184,25; txid_current 2943:; unistr 6198:25; unnest 2331:2277; upper 871:25; var_pop
2718:20 2719:23 2720:21 2721:700 2722:701 2723:1700; var_samp 2641:20 2642:23 2643:21 2644:700 2645:701 2646:1700;
variance 2148:20 2149:23 2150:21 2151:700 2152:701 2153:1700; version 89:; width 976:603; width_bucket
320:701,701,701,23 2170:1700,1700,1700,23;
"""
"""Each name with OID and types of arguments of its overloads."""


def _oids() -> dict[tuple[str, tuple[int, ...]], int]:
    found = {}
    for entry in _TABLE.replace("\n", " ").split(";"):
        name, *overloads = entry.split() or [""]
        for overload in overloads:
            oid, _, types = overload.partition(":")
            found[name, tuple(map(int, types.split(","))) if types else ()] = int(oid)
    return found


def _numbered() -> dict[int, Function]:
    known = _oids()
    return {
        known.get((function.name, function.args), FIRST_OID + number): function
        for number, function in enumerate(REGISTRY)
    }


FUNCTIONS: Final = _numbered()
"""The library's functions by OID, in its order."""
OIDS: Final = {function.name: oid for oid, function in reversed(FUNCTIONS.items())}
"""The OID of the first function of each name."""

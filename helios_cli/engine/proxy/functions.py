"""What calling a function means for where a statement runs. Functions are known by name: a proxy has no catalog.

A name that is not known is a user's function, which may write. A test compares these lists with the nodes' functions.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Call(IntEnum):
    """What a call needs."""

    READS = 0
    PRIMARY = 1
    """It asks what only the primary knows, or does something there that is no change of the database."""
    WRITES = 2
    """It changes the database: the statement takes a write id."""
    UNKNOWN = 3
    """Somebody's own: it may write."""


SEQUENCE: Final = "value of a sequence"
"""The pin of currval() and lastval()."""
ADVISORY: Final = "advisory lock"
PINS: Final = {
    **{f"pg_{kind}advisory_lock{shared}": ADVISORY for kind in ("", "try_") for shared in ("", "_shared")},
    "currval": SEQUENCE,
    "lastval": SEQUENCE,
    "setseed": "setseed()",
    "pg_replication_origin_session_setup": "replication origin",
}
"""Functions that leave something in the session, or ask for it, and what that is."""

WRITES: Final = frozenset((
    "lo_creat", "lo_create", "lo_from_bytea", "lo_put", "lo_truncate", "lo_truncate64", "lo_unlink", "lowrite",
    "nextval", "setval",
))  # fmt: skip
"""Functions that change the database, of nodes and PostgreSQL alike."""

_PRIMARY: Final = frozenset((
    "helios_token_create", "helios_token_revoke", "helios_write_outcome", "helios_write_restore",
    "pg_advisory_unlock", "pg_advisory_unlock_all", "pg_advisory_unlock_shared",
    "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_notify", "pg_listening_channels", "pg_notification_queue_usage",
    "pg_cancel_backend", "pg_terminate_backend", "pg_reload_conf", "pg_promote", "pg_backend_pid",
    "pg_blocking_pids", "pg_safe_snapshot_blocking_pids", "pg_stat_get_activity", "pg_stat_get_wal_senders",
    "pg_lock_status", "pg_prepared_xact", "pg_get_replication_slots",
    "pg_current_wal_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_flush_lsn", "pg_walfile_name",
    "pg_walfile_name_offset", "pg_create_restore_point", "pg_switch_wal", "pg_backup_start", "pg_backup_stop",
    "pg_export_snapshot", "txid_current", "pg_current_xact_id", "lo_open", "lo_close", "lo_lseek", "lo_lseek64",
    "lo_tell", "lo_tell64", "loread", "pg_sequence_last_value", "pg_cursor", "pg_prepared_statement",
))  # fmt: skip

_VOLATILE: Final = frozenset((
    "clock_timestamp", "current_query", "gen_random_bytes", "gen_random_uuid", "gen_salt", "lo_get", "normal_rand",
    "pg_is_in_recovery", "pg_is_wal_replay_paused", "pg_jit_available", "pg_last_committed_xact",
    "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp",
    "pg_get_wal_replay_pause_state",
    "pg_control_checkpoint", "pg_control_init", "pg_control_recovery", "pg_control_system",
    "pg_collation_actual_version", "pg_database_collation_actual_version", "pg_database_size", "pg_indexes_size",
    "pg_partition_ancestors", "pg_partition_tree", "pg_relation_size", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
    "pg_table_size", "pg_tablespace_size", "pg_total_relation_size", "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin", "pg_xact_status", "random", "random_normal", "row_security_active", "timeofday",
    "txid_status", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "uuid_generate_v7", "uuidv4", "uuidv7",
    "array_shuffle", "array_sample",
))  # fmt: skip
"""Functions that give something else with every call, and change nothing."""

_READ_NAMES: Final = """
    _pg_char_max_length _pg_char_octet_length _pg_datetime_precision _pg_expandarray _pg_index_position
    _pg_interval_type _pg_numeric_precision _pg_numeric_precision_radix _pg_numeric_scale _pg_truetypid
    _pg_truetypmod abbrev abs acldefault aclexplode acos acosd acosh age any_value area array_agg array_append
    array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
    array_prepend array_remove array_replace array_reverse array_sort array_to_json array_to_string
    array_to_tsvector array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bit bit_and bit_count
    bit_length bit_or bit_xor bool bool_and bool_or bound_box box bpchar broadcast btrim bytea cardinality casefold
    cash_words cbrt ceil ceiling center char char_length character_length chr cidr circle col_description concat
    concat_ws convert convert_from convert_to corr cos cosd cosh cot cotd count covar_pop covar_samp crc32 crc32c
    cume_dist current_catalog current_database current_schema current_schemas current_setting current_user
    database_to_xml database_to_xml_and_xmlschema database_to_xmlschema date date_add date_bin date_part
    date_subtract date_trunc datemultirange daterange decode degrees dense_rank diagonal diameter div encode
    enum_first enum_last enum_range erf erfc every exp extract factorial family first_value float4 float8 floor
    format format_type gamma gcd generate_series generate_subscripts get_bit get_byte get_current_ts_config
    getdatabaseencoding getpgusername grouping has_any_column_privilege has_column_privilege has_database_privilege
    has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege has_largeobject_privilege
    has_parameter_privilege has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege
    has_tablespace_privilege has_type_privilege height host hostmask icu_unicode_version inet inet_client_addr
    inet_client_port inet_merge inet_same_family inet_server_addr inet_server_port initcap int2 int4 int4multirange
    int4range int8 int8multirange int8range interval is_normalized isclosed isempty isfinite ishorizontal isopen
    isparallel isperp isvertical json json_agg json_array json_array_elements json_array_elements_text
    json_array_length json_arrayagg json_build_array json_build_object json_each json_each_text json_exists
    json_extract_path json_extract_path_text json_object json_object_agg json_object_keys json_objectagg
    json_populate_record json_populate_recordset json_query json_scalar json_serialize json_strip_nulls json_table
    json_to_record json_to_recordset json_to_tsvector json_typeof json_value jsonb jsonb_agg jsonb_array_elements
    jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys
    jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
    jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz
    jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_to_tsvector jsonb_typeof jsonpath justify_days
    justify_hours justify_interval lag last_value lcm lead left length lgamma like like_escape line ln log log10
    lower lower_inc lower_inf lpad lseg ltrim macaddr macaddr8 macaddr8_set7bit make_date make_interval make_time
    make_timestamp make_timestamptz masklen max md5 min min_scale mod mode money multirange mxid_age name
    nameconcatoid netmask network normalize notlike now npoints nth_value ntile num_nonnulls num_nulls numeric
    numeric_exp nummultirange numnode numrange obj_description octet_length oid oidvectortypes overlaps overlay
    parse_ident path pclose percent_rank percentile_cont percentile_disc pg_available_extension_versions
    pg_available_extensions pg_basetype pg_char_to_encoding pg_client_encoding pg_collation_for
    pg_collation_is_visible pg_column_compression pg_column_is_updatable pg_column_size pg_conf_load_time pg_config
    pg_conversion_is_visible pg_current_logfile pg_current_snapshot pg_current_xact_id_if_assigned
    pg_describe_object pg_encoding_max_length pg_encoding_to_char pg_extension_config_dump pg_extension_update_paths
    pg_filenode_relation pg_function_is_visible pg_get_catalog_foreign_keys pg_get_constraintdef pg_get_expr
    pg_get_function_arg_default pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result
    pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_object_address
    pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables pg_get_replica_identity_index
    pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef pg_get_statisticsobjdef_columns
    pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role
    pg_identify_object pg_identify_object_as_address pg_index_column_has_property pg_index_has_property
    pg_indexam_has_property pg_indexam_progress_phasename pg_input_error_info pg_input_is_valid
    pg_is_other_temp_schema pg_isolation_test_session_is_blocked pg_lsn pg_my_temp_schema pg_opclass_is_visible
    pg_operator_is_visible pg_opfamily_is_visible pg_options_to_table pg_partition_root pg_postmaster_start_time
    pg_relation_filenode pg_relation_filepath pg_relation_is_publishable pg_relation_is_updatable
    pg_sequence_parameters pg_settings_get_flags pg_show_all_settings pg_size_bytes
    pg_size_pretty pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin pg_statistics_obj_is_visible
    pg_table_is_visible pg_tablespace_databases pg_tablespace_location pg_timezone_abbrevs pg_timezone_names
    pg_trigger_depth pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible pg_ts_template_is_visible
    pg_type_is_visible pg_typeof pg_visible_in_snapshot pg_wal_lsn_diff phraseto_tsquery pi plainto_tsquery point
    polygon popen position pow power querytree quote_ident quote_literal quote_nullable radians radius range_agg
    range_intersect_agg range_merge rank regclass regexp_count regexp_instr regexp_like regexp_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right round row_number
    row_to_json rpad rtrim satisfies_hash_partition scale schema_to_xml schema_to_xml_and_xmlschema
    schema_to_xmlschema session_user set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512
    shobj_description sign similar_escape similar_to_escape sin sind sinh slope split_part sqrt starts_with
    statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strip strpos substr
    substring sum system_user table_to_xml table_to_xml_and_xmlschema table_to_xmlschema tan tand tanh text textlen
    time timestamp timestamptz timetz timezone to_ascii to_bin to_char to_date to_hex to_json to_jsonb to_number
    to_oct to_regclass to_regcollation to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure
    to_regrole to_regtype to_regtypemod to_timestamp to_tsquery to_tsvector transaction_timestamp translate
    trim_array trim_scale trunc ts_debug ts_delete ts_filter ts_headline ts_lexize ts_parse ts_rank ts_rank_cd
    ts_rewrite ts_stat ts_token_type tsmultirange tsquery tsquery_cmp tsquery_phrase tsrange tstzmultirange
    tstzrange tsvector tsvector_cmp tsvector_to_array txid_current_if_assigned txid_current_snapshot
    txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin txid_visible_in_snapshot unicode_assigned
    unicode_version unistr unnest upper upper_inc upper_inf user uuid uuid_extract_timestamp uuid_extract_version
    var_pop var_samp varbit varchar variance version websearch_to_tsquery width width_bucket xml xml_is_well_formed
    xml_is_well_formed_content xml_is_well_formed_document xmlagg xmlcomment xmlconcat xmlelement xmlexists xmltext
    xmlvalidate xpath xpath_exists
"""
_READS: Final = frozenset(_READ_NAMES.split())
"""Functions of PostgreSQL and of nodes that change nothing; those of operators and types alone are left out."""

_EXTENSION_NAMES: Final = """
    akeys armor avals binary_quantize connectby cosine_distance crosstab crosstab2 crosstab3 crosstab4 crypt cube
    daitch_mokotoff dearmor decrypt decrypt_iv defined difference digest dmetaphone dmetaphone_alt each earth
    earth_box earth_distance encrypt encrypt_iv exist gc_to_sec gen_random_uuid hamming_distance hmac hstore
    hstore_to_array hstore_to_json hstore_to_json_loose hstore_to_jsonb hstore_to_jsonb_loose hstore_to_matrix
    icount idx index inner_product interpolate intset jaccard_distance l1_distance l2_distance l2_normalize lca
    levenshtein levenshtein_less_equal ll_to_earth locf ltree2text metaphone nlevel pg_stat_statements pgp_key_id
    pgp_pub_decrypt pgp_pub_encrypt pgp_sym_decrypt pgp_sym_encrypt postgis_full_version postgis_version sec_to_gc
    show_limit show_trgm similarity skeys slice sort_asc sort_desc soundex strict_word_similarity subarray subltree
    subpath subvector svals text2ltree time_bucket time_bucket_gapfill unaccent uniq uuid_generate_v3
    uuid_generate_v5 uuid_nil uuid_ns_dns uuid_ns_oid uuid_ns_url uuid_ns_x500 vector_dims vector_norm
    word_similarity xslt_process
"""
_EXTENSIONS: Final = frozenset(_EXTENSION_NAMES.split())
"""Functions of extensions that change nothing, in whatever schema the extension is. delete() of hstore is left
out: that is a name a user's own function may have.
"""

_FAMILIES: Final = ("pg_stat_get_", "st_", "postgis_")
"""How the names begin of large groups of functions that read: of statistics, and of PostGIS."""
_OWN_SCHEMAS: Final = ("pg_catalog", "information_schema")


def judge(names: list[str]) -> Call:
    """What calling a function needs; its name may have a schema before it."""
    name = names[-1]
    if len(names) == 1 or names[-2] in _OWN_SCHEMAS:
        if name in _READS or name in _VOLATILE:
            return Call.READS
        if name in WRITES:
            return Call.WRITES
        if name in _PRIMARY or name in PINS:
            return Call.PRIMARY
    if name in _EXTENSIONS or name in _VOLATILE or name.startswith(_FAMILIES):
        return Call.READS
    return Call.UNKNOWN

"""The functions that a filter may call: those that look at values, and at nothing else.

A list of what is allowed, because DuckDB grows new functions that read files, settings or the clock of the machine.
"""

from __future__ import annotations

_TEXT = """
ascii bar base64 bin bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein
ends_with starts_with suffix prefix format format_bytes formatReadableSize from_base64 hamming hex
instr jaccard jaro_similarity jaro_winkler_similarity lcase left left_grapheme length length_grapheme len levenshtein
like_escape lower lpad ltrim md5 mismatches nfc_normalize not_ilike_escape not_like_escape ord parse_dirname
parse_dirpath parse_filename parse_path position printf regexp_escape regexp_extract regexp_extract_all
regexp_full_match regexp_matches regexp_replace regexp_split_to_array replace reverse right right_grapheme rpad rtrim
sha1 sha256 split split_part str_split str_split_regex string_split string_split_regex string_to_array strip_accents
strlen strpos substr substring substring_grapheme to_base to_base64 to_hex translate trim ucase unbin unhex unicode
upper url_decode url_encode hash
"""
_NUMBER = """
abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp fdiv
floor fmod gamma gcd greatest isfinite isinf isnan lcm least lgamma ln log
log10 log2 mod multiply nextafter pi pow power radians round round_even roundbankers sign signbit sin sinh sqrt subtract
tan tanh trunc xor
"""
_TIME = """
age century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
dayofweek dayofyear decade epoch epoch_ms epoch_ns epoch_us era extract get_current_timestamp hour isodow isoyear
last_day make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns microsecond millennium millisecond
minute month monthname nanosecond now quarter second strftime strptime time_bucket timezone to_days to_hours
to_microseconds to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today
transaction_timestamp try_strptime week weekday weekofyear year yearweek to_decades to_centuries to_millennia
"""
_LIST = """
array_contains array_distinct array_extract array_has array_has_all array_has_any array_indexof array_intersect
array_length array_position array_slice array_sort array_to_string array_unique array_value array_distance
array_cosine_distance array_cosine_similarity array_inner_product cardinality element_at flatten len list_any_value
list_aggr list_aggregate list_append list_avg list_concat list_contains list_count list_distinct list_element
list_extract list_first list_has list_has_all list_has_any list_indexof list_inner_product list_intersect list_last
list_max list_median list_min list_pack list_position list_prepend list_reverse list_reverse_sort list_slice list_sort
list_sum list_unique list_value list_where list_cosine_similarity list_distance map_contains map_extract map_keys
map_values row struct_extract struct_pack array_reverse_sort
"""
_ANY = """
coalesce constant_or_null if ifnull nullif typeof json_contains json_exists json_extract
json_extract_string json_array_length json_keys json_type json_valid json_value enum_code enum_first enum_last
"""

FUNCTIONS = frozenset(name.lower() for part in (_TEXT, _NUMBER, _TIME, _LIST, _ANY) for name in part.split())
_SIGNS = "+ - * / // % ** ^ || & | << >> ~ ! !__postfix @ && @> <@ ^@ ~~ !~~ ~~* !~~* ~~~ <-> <=> -> ->>"
_MANY = """
any_value arg_max arg_min avg bool_and bool_or count count_star first last list array_agg max max_by mean median min
min_by mode product quantile quantile_cont quantile_disc stddev stddev_pop stddev_samp string_agg sum var_pop var_samp
variance
"""

OPERATORS = frozenset(_SIGNS.split())
AGGREGATES = frozenset(_MANY.split())

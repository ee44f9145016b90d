{#- What a provider of company data writes as text, read as numbers and days. Nobody publishes its vocabularies, so every
    form is read that has one meaning, and all else is null. The patterns use only what regular expressions of DuckDB and
    Spark share, and no backslash, which the two engines' literals treat differently. -#}

{#- Digits with or without commas between thousands; 1,5 is none. -#}
{% macro _digits() -%}
    {{ return('(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)') }}
{%- endmacro %}

{% macro _unit() -%}
    {{ return('(?:k|thousand|m|mm|mn|mln|million|b|bn|billion)') }}
{%- endmacro %}

{#- A number of a range. A fraction needs a unit: 1.001 alone may be a thousand and one. -#}
{% macro _bound() -%}
    {{ return('(?:' ~ _digits() ~ '(?:[.][0-9]+)? ?' ~ _unit() ~ '|' ~ _digits() ~ ')') }}
{%- endmacro %}

{#- The number that a text of digits, or of digits and a unit, stands for: 1,001, 2.5m, 3 billion. -#}
{% macro _scaled(text) -%}
    {{ return(
        "try_cast(replace(regexp_extract(" ~ text ~ ", '^[0-9.,]+', 0), ',', '') as double)"
        ~ " * case substr(regexp_extract(" ~ text ~ ", '[a-z]', 0), 1, 1)"
        ~ " when 'k' then 1e3 when 't' then 1e3 when 'm' then 1e6 when 'b' then 1e9 else 1 end"
    ) }}
{%- endmacro %}

{#- Text of a range without what is said beside its numbers: the currency and what is counted. -#}
{% macro range_tidied(text) -%}
    {{ return(trimmed(text_replaced("lower(" ~ text ~ ")", "(us ?[$]|usd|[$]|employees?|people)", ""))) }}
{%- endmacro %}

{#- Lower bound of a tidied range, as it is written (whether it belongs to the range is not said): 5000+, over 5000, 1-50,
    1 to 50, or one number; null where it has none, or has a unit only at its end (100-500m may be either). -#}
{% macro range_from(tidied) -%}
    {%- set above = '(?:(?:>=?|≥|over|above|from|more than|greater than|at least) *)?' -%}
    {%- set rest = '(?: *(?:[+]|plus|and more|or more|and above|and over)| *(?:-|–|—|to) *' ~ _bound() ~ ')?' -%}
    {%- set found = "nullif(regexp_extract(" ~ tidied ~ ", '^" ~ above ~ "(" ~ _bound() ~ ")" ~ rest ~ "$', 1), '')" -%}
    {%- set unit_at_end = "regexp_extract(" ~ tidied ~ ", '^[1-9][0-9.,]* *(?:-|–|—|to) *[0-9.,]+ ?[a-z]', 0) != ''" -%}
    {{ return("case when not " ~ unit_at_end ~ " then " ~ _scaled(found) ~ " end") }}
{%- endmacro %}

{#- Upper bound of a tidied range, as it is written: <10, under 1m, 1-50, 1 to 50, or one number; null where it has none. -#}
{% macro range_to(tidied) -%}
    {%- set below = '(?:<=?|≤|under|below|less than|fewer than|up to) *' -%}
    {%- set lower = _bound() ~ ' *(?:-|–|—|to) *' -%}
    {{ return(
        _scaled("nullif(regexp_extract(" ~ tidied ~ ", '^(?:" ~ below ~ "|" ~ lower ~ ")?(" ~ _bound() ~ ")$', 1), '')")
    ) }}
{%- endmacro %}

{#- A bound of a range in its type; null where the two are the wrong way round or one is beyond `highest`. -#}
{% macro bound_kept(bound, lower, upper, highest, data_type) -%}
    {{ return(
        "cast(case when coalesce(" ~ lower ~ ", 0) <= coalesce(" ~ upper ~ ", " ~ highest ~ ") and coalesce(" ~ lower
        ~ ", 0) <= " ~ highest ~ " and coalesce(" ~ upper ~ ", 0) <= " ~ highest ~ " then " ~ bound ~ " end as "
        ~ data_type ~ ")"
    ) }}
{%- endmacro %}

{#- Number of a text: 1200, 1,200, 2.5E8, $12.5M, USD 12500000, 12.5 million. Null where it is none, negative or of
    another currency, and where a dot may part thousands: 1.500. -#}
{% macro number_read(text) -%}
    {%- set tidied = trimmed(text_replaced("lower(" ~ text ~ ")", "(us ?[$]|usd|[$])", "")) -%}
    {%- set plain = "^" ~ _digits() ~ "(?:[.](?:[0-9]{1,2}|[0-9]{4,}))?$" -%}
    {%- set with_unit = "^" ~ _digits() ~ "(?:[.][0-9]+)? ?" ~ _unit() ~ "$" -%}
    {%- set with_exponent = "^[0-9]+(?:[.][0-9]+)?e[+-]?[0-9]{1,3}$" -%}
    {{ return(
        "coalesce(" ~ _scaled("nullif(regexp_extract(" ~ tidied ~ ", '" ~ plain ~ "|" ~ with_unit ~ "', 0), '')")
        ~ ", try_cast(nullif(regexp_extract(" ~ tidied ~ ", '" ~ with_exponent ~ "', 0), '') as double))"
    ) }}
{%- endmacro %}

{#- A number within its bounds; null beyond them, where it is no measurement any more. -#}
{% macro within(number, lowest, highest) -%}
    {{ return("case when " ~ number ~ " between " ~ lowest ~ " and " ~ highest ~ " then " ~ number ~ " end") }}
{%- endmacro %}

{#- The same for what is counted: null where it is not whole. -#}
{% macro whole_within(number, lowest, highest) -%}
    {{ return(
        "cast(case when " ~ number ~ " between " ~ lowest ~ " and " ~ highest ~ " and " ~ number ~ " = round(" ~ number
        ~ ") then " ~ number ~ " end as bigint)"
    ) }}
{%- endmacro %}

{#- Number of a text without separators or units, such as a degree of latitude or a score. -#}
{% macro plain_number_read(text) -%}
    {{ return("try_cast(nullif(regexp_extract(" ~ text ~ ", '^-?[0-9]+(?:[.][0-9]+)?$', 0), '') as double)") }}
{%- endmacro %}

{#- Day of a text: 2024-05-17 with or without a time, 05/17/2024 (month first, as in the US), seconds or milliseconds since
    1970; a month (2024-05) is its first day. Null for all else, and outside 1900 to 2099. -#}
{% macro day_read(text) -%}
    {%- set month_first = "'^([0-9]{1,2})/([0-9]{1,2})/((?:19|20)[0-9]{2})$'" -%}
    {%- set year = "regexp_extract(" ~ text ~ ", " ~ month_first ~ ", 3)" -%}
    {%- set month = "regexp_extract(" ~ text ~ ", " ~ month_first ~ ", 1)" -%}
    {%- set day = "regexp_extract(" ~ text ~ ", " ~ month_first ~ ", 2)" -%}
    {%- set day_form = "'^((?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2})(?:[Tt ].*)?$'" -%}
    {%- set month_form = "'^(?:19|20)[0-9]{2}-[0-9]{2}$'" -%}
    {%- set seconds_form = "'^(1[0-9]{9})(?:[0-9]{3})?$'" -%}
    {{ return(
        "coalesce("
        ~ "try_cast(nullif(regexp_extract(" ~ text ~ ", " ~ day_form ~ ", 1), '') as date), "
        ~ "try_cast(nullif(regexp_extract(" ~ text ~ ", " ~ month_form ~ ", 0), '') || '-01' as date), "
        ~ "try_cast(nullif(" ~ year ~ ", '') || '-' || lpad(" ~ month ~ ", 2, '0') || '-' || lpad(" ~ day
        ~ ", 2, '0') as date), "
        ~ day_of_seconds("try_cast(nullif(regexp_extract(" ~ text ~ ", " ~ seconds_form ~ ", 1), '') as double)")
        ~ ")"
    ) }}
{%- endmacro %}

{#- Whether a text says yes or no; null where it says neither. -#}
{% macro flag_read(text) -%}
    {{ return(
        "case when lower(" ~ text ~ ") in ('true', 'yes', 'y', '1') then true when lower(" ~ text
        ~ ") in ('false', 'no', 'n', '0') then false end"
    ) }}
{%- endmacro %}

{#- A word in lower case, with underscores for what separates its parts: VERY LOW is very_low. -#}
{% macro word_read(text) -%}
    {{ return(lowered(text_replaced(text, "[ _-]+", "_"))) }}
{%- endmacro %}

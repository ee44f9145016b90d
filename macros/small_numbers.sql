{#- Small numbers (D8): how counts of people and reply times are shown where reporting.small_numbers is `band`; where it is
    `show` they stand as they are, with the band beside them. The conditions ask `reporting` (stg_runs__reporting), which
    the model cross joins. docs/data-protection.md says why each rule is as it is. -#}

{#- Where a band begins, in multiples of the smallest group; each ends before the next, and the last is open. -#}
{% macro band_multiples() -%}
    {{ return([1, 2, 4, 8, 16, 32, 64]) }}
{%- endmacro %}

{#- Beginning of the band that a number of people of at least the smallest group lies in. -#}
{% macro band_begins_at(people) -%}
    {%- set branches = [] -%}
    {%- for multiple in band_multiples() | reverse -%}
        {%- do branches.append(
            'when ' ~ people ~ ' >= ' ~ multiple ~ ' * reporting.smallest_group'
            ~ ' then ' ~ multiple ~ ' * reporting.smallest_group'
        ) -%}
    {%- endfor -%}
    {{ return('cast(case ' ~ branches | join(' ') ~ ' end as bigint)') }}
{%- endmacro %}

{#- A number of people: as it is; or nobody, nothing below the smallest group, and from there on the beginning of its band,
    which one person more does not move. `is_shown` says whether a number may stand there at all. -#}
{% macro people_shown(people, is_shown='true') -%}
    {{ return(
        'case when not reporting.is_banded or ' ~ people ~ ' = 0 then ' ~ people
        ~ ' when ' ~ is_shown ~ ' then ' ~ band_begins_at(people) ~ ' end'
    ) }}
{%- endmacro %}

{#- The band as text: '0', '1-4', '5-9', '10-19', ...; where no number may stand, '1-4' or '5+', and where even that would
    tell something of a part (`is_anybody_only`), '1+'. -#}
{% macro people_band(people, is_shown='true', is_anybody_only='false') -%}
    {%- set last = band_multiples() | last -%}
    {{ return(
        'case'
        ~ ' when ' ~ people ~ " = 0 then '0'"
        ~ ' when reporting.is_banded and ' ~ is_anybody_only ~ " then '1+'"
        ~ ' when ' ~ people ~ " < reporting.smallest_group then '1-' || cast(reporting.smallest_group - 1 as string)"
        ~ ' when reporting.is_banded and not (' ~ is_shown ~ ") then cast(reporting.smallest_group as string) || '+'"
        ~ ' when ' ~ people ~ ' >= ' ~ last ~ ' * reporting.smallest_group then cast(' ~ last
        ~ " * reporting.smallest_group as string) || '+'"
        ~ ' else cast(' ~ band_begins_at(people) ~ " as string) || '-' || cast(2 * " ~ band_begins_at(people)
        ~ ' - 1 as string) end'
    ) }}
{%- endmacro %}

{#- Aggregate over an account's years, months and weeks: whether the year's number leaves open what each small month and
    week is. It does where the year could be all that its band says with any one of them at one person and the others at
    their most, or where one of them has no upper end. -#}
{% macro year_hides_its_parts(people) -%}
    {%- set year = "max(case when aggregation_level = 'year' then " ~ people ~ ' end)' -%}
    {%- set conditions = [] -%}
    {%- for level in ['month', 'week'] -%}
        {%- set is_part = "aggregation_level = '" ~ level ~ "' and " ~ people -%}
        {%- set is_open = 'sum(case when ' ~ is_part ~ ' >= reporting.smallest_group then 1 else 0 end) > 0' -%}
        {%- set small = 'sum(case when ' ~ is_part ~ ' between 1 and reporting.smallest_group - 1 then 1 else 0 end)' -%}
        {%- do conditions.append(
            '(' ~ is_open ~ ' or (' ~ year ~ ' < ' ~ band_multiples() | last ~ ' * max(reporting.smallest_group) and 2 * '
            ~ band_begins_at(year) | replace('reporting.smallest_group', 'max(reporting.smallest_group)')
            ~ ' - 1 <= 1 + (' ~ small ~ ' - 1) * (max(reporting.smallest_group) - 1)))'
        ) -%}
    {%- endfor -%}
    {{ return('coalesce(' ~ conditions | join(' and ') ~ ', false)') }}
{%- endmacro %}

{#- A number of people as the score sees it: as it is, or nobody, somebody, or the smallest group. A rank among numbers
    that are not shown would tell their order, and with it the numbers. -#}
{% macro people_scored(people) -%}
    {{ return(
        'case when not reporting.is_banded then ' ~ people
        ~ ' when ' ~ people ~ ' >= reporting.smallest_group then reporting.smallest_group'
        ~ ' when ' ~ people ~ ' > 0 then 1 else 0 end'
    ) }}
{%- endmacro %}

{#- Whether replies may tell of their times and of how many they are: a smallest group of contacts gave four times as many. -#}
{% macro replies_suffice(replies, repliers) -%}
    {{ return(
        '(' ~ repliers ~ ' >= reporting.smallest_group and ' ~ replies ~ ' >= 4 * reporting.smallest_group)'
    ) }}
{%- endmacro %}

{#- A number of replies as the score sees it: as it is; or only where the replies suffice. -#}
{% macro replies_scored(replies, repliers) -%}
    {{ return(
        'case when not reporting.is_banded or ' ~ replies_suffice(replies, repliers) ~ ' then ' ~ replies ~ ' end'
    ) }}
{%- endmacro %}

{#- A median reply time in hours: as it is; or in whole hours, and only where the replies suffice. -#}
{% macro reply_time_shown(median_hours, replies, repliers) -%}
    {{ return(
        'case when not reporting.is_banded then ' ~ median_hours
        ~ ' when ' ~ replies_suffice(replies, repliers) ~ ' then round(' ~ median_hours ~ ', 0) end'
    ) }}
{%- endmacro %}

{#- Whether words may be said of some people among all: in band mode they and the others are each a group, or the others
    are nobody, so that what is said is said of no single person. -#}
{% macro people_may_be_named(some, people) -%}
    {{ return(
        '(not reporting.is_banded or (' ~ some ~ ' >= reporting.smallest_group and (' ~ people ~ ' = ' ~ some ~ ' or '
        ~ people ~ ' - ' ~ some ~ ' >= reporting.smallest_group)))'
    ) }}
{%- endmacro %}

{#- Attributes by which segments are compared. Which of them take part in what stands in the seed segment_attributes; here
    stands what each is: its kind, and the mart and the expression by which a reader of the published file finds it (null
    where no mart has it). The customer's own columns take part too, without a row anywhere. -#}
{% macro known_segment_attributes() -%}
    {%- set known = {'country': {'kind': 'category', 'published_in': 'enriched_customers'}} -%}
    {%- for attribute in ['company_country', 'company_region', 'company_state', 'company_city', 'industry', 'sub_industry',
        'sic_code', 'naics_code', 'ownership_type', 'employees_range', 'annual_revenue_range'] -%}
        {%- do known.update({attribute: {'kind': 'category', 'published_in': 'customer_profiles'}}) -%}
    {%- endfor -%}
    {%- for attribute in ['employees_count', 'annual_revenue_usd'] -%}
        {%- do known.update({attribute: {'kind': 'number', 'published_in': 'customer_profiles'}}) -%}
    {%- endfor -%}
    {%- do known.update({
        'days_since_enriched': {'kind': 'number'},
        'engagement_score': {'kind': 'number', 'published_in': 'account_engagement'},
        'own_score_change_points': {'kind': 'number'},
    }) -%}
    {%- for attribute in ['emails_to_account_count', 'emails_from_account_count', 'meetings_count'] -%}
        {%- do known.update({attribute: {
            'kind': 'number', 'published_in': 'account_engagement', 'published_as': 'coalesce(' ~ attribute ~ ', 0)',
        }}) -%}
    {%- endfor -%}
    {%- do known.update({
        'interactions_count': {
            'kind': 'number', 'published_in': 'account_traffic', 'published_as': 'coalesce(interactions_count, 0)',
        },
        'inbound_count': {
            'kind': 'number', 'published_in': 'account_engagement',
            'published_as': 'coalesce(emails_from_account_count + meetings_from_account_count, 0)',
        },
        'outbound_count': {
            'kind': 'number', 'published_in': 'account_engagement',
            'published_as': 'coalesce(emails_to_account_count + meetings_to_account_count, 0)',
        },
        'days_since_last_email': {'kind': 'number', 'published_in': 'account_recency'},
        'days_since_last_meeting': {'kind': 'number', 'published_in': 'account_recency'},
        'rhythm_state': {
            'kind': 'category', 'published_in': 'account_outlook',
            'published_as': "coalesce(rhythm_state, 'never_active')",
        },
        'silence_days': {'kind': 'number', 'published_in': 'account_outlook'},
        'usual_gap_days': {'kind': 'number', 'published_in': 'account_outlook'},
        'top_contact_share_ratio': {'kind': 'number', 'published_in': 'account_traffic'},
    }) -%}
    {{ return(known) }}
{%- endmacro %}

{#- The same as rows (attribute, kind, published_in, published_as). -#}
{% macro known_segment_attribute_rows() -%}
    {%- for attribute, facts in known_segment_attributes().items() %}
        {{ 'union all' if not loop.first }}
        select
            '{{ attribute }}' as attribute,
            '{{ facts.kind }}' as kind,
            {{ _text(facts.published_in) }} as published_in,
            {{ _text((facts.published_as or attribute) if facts.published_in else none) }} as published_as
    {%- endfor %}
{%- endmacro %}

{#- Columns of a relation as rows (attribute, value), in the list of a select: those of a kind, cast to its type before. -#}
{% macro segment_attributes_stacked(kinds, value) -%}
    {{ return(stacked(_known_of(kinds), 'attribute', value)) }}
{%- endmacro %}

{% macro segment_attributes_cast(kinds, data_type) -%}
    {%- set parts = [] -%}
    {%- for attribute in _known_of(kinds) -%}
        {%- do parts.append('cast(' ~ attribute ~ ' as ' ~ data_type ~ ') as ' ~ attribute) -%}
    {%- endfor -%}
    {{ return(parts | join(',\n        ')) }}
{%- endmacro %}

{% macro _known_of(kinds) -%}
    {%- set chosen = [] -%}
    {%- for attribute, facts in known_segment_attributes().items() if facts.kind in kinds -%}
        {%- do chosen.append(attribute) -%}
    {%- endfor -%}
    {{ return(chosen) }}
{%- endmacro %}


{#- A number that can be compared and written in a rule, or null where it is infinite or none at all. A rule takes nine
    decimals (from a million on three), so what is finer is cut off downwards: at least the cut number is at least this one. -#}
{% macro comparable_number(number) -%}
    {{ return(
        'case when not ' ~ number ~ ' between -1e300 and 1e300 then null when abs(' ~ number ~ ') < 1e6 then floor('
        ~ number ~ ' * 1e9 + 0.001) / 1e9 when abs(' ~ number ~ ') < 1e12 then floor(' ~ number
        ~ ' * 1e3 + 0.001) / 1e3 else floor(' ~ number ~ ') end'
    ) }}
{%- endmacro %}

{#- Words of a number with all its digits, as a rule takes it: 1200, not 1,200 or 1200.0. -#}
{% macro number_exactly_said(number) -%}
    {{ return(
        'case when ' ~ number ~ ' = floor(' ~ number ~ ') and abs(' ~ number ~ ') < 1e15 then cast(cast(' ~ number
        ~ ' as bigint) as string) else ' ~ as_text(number) ~ ' end'
    ) }}
{%- endmacro %}

{#- A condition as one option of a shell takes it: quoted, with what the shell would read itself escaped. -#}
{% macro option_quoted(text) -%}
    {%- set quoted = namespace(text='replace(' ~ text ~ ', chr(92), chr(92) || chr(92))') -%}
    {%- for code in [34, 36, 96] -%}
        {%- set quoted.text = 'replace(' ~ quoted.text ~ ', chr(' ~ code ~ '), chr(92) || chr(' ~ code ~ '))' -%}
    {%- endfor -%}
    {{ return('chr(34) || ' ~ quoted.text ~ ' || chr(34)') }}
{%- endmacro %}

{#- The two sides of a condition (`operator` = or >=) on an attribute: words of the accounts that fulfil it, and of all
    others. -#}
{% macro condition_met(attribute, value_text, value_number) -%}
    {{ return(
        attribute ~ ' || case when ' ~ value_number ~ " is null then ' = ' || " ~ value_text ~ " else ' >= ' || "
        ~ number_exactly_said(value_number) ~ ' end'
    ) }}
{%- endmacro %}

{% macro condition_not_met(attribute, value_text, value_number) -%}
    {{ return(
        attribute ~ ' || case when ' ~ value_number ~ " is null then ' != ' || " ~ value_text ~ " else ' < ' || "
        ~ number_exactly_said(value_number) ~ ' end'
    ) }}
{%- endmacro %}


{#- Standard normal deviate that is as rare as a t with so many degrees of freedom (Hill 1970, ACM algorithm 395), from
    `square`, its column (degrees - 0.5) * ln(1 + t * t / degrees). -#}
{% macro t_as_normal(square, degrees) -%}
    {%- set b = '(48 * power(' ~ degrees ~ ' - 0.5, 2))' -%}
    {{ return(
        'sqrt(' ~ square ~ ') * (1 + (' ~ square ~ ' + 3 + (((-0.4 * ' ~ square ~ ' - 3.3) * ' ~ square ~ ' - 24) * ' ~ square
        ~ ' - 85.5) / nullif(0.8 * ' ~ square ~ ' * ' ~ square ~ ' + 100 + ' ~ b ~ ', 0)) / nullif(' ~ b ~ ', 0))'
    ) }}
{%- endmacro %}

{#- Chance (0..1) of a standard normal deviate at least as far from 0, on both sides: the Chebyshev fit of the complementary
    error function, whose relative error stays below 1.2e-7 however small it is. -#}
{% macro normal_chance(deviate) -%}
    {%- set z = '(abs(' ~ deviate ~ ') * sqrt(0.5e0))' -%}
    {%- set k = '(1 / nullif(1 + 0.5 * ' ~ z ~ ', 0))' -%}
    {%- set fit = namespace(text='0.17087277') -%}
    {%- for factor in ['-0.82215223', '1.48851587', '-1.13520398', '0.27886807', '-0.18628806', '0.09678418', '0.37409196',
        '1.00002368', '-1.26551223'] -%}
        {%- set fit.text = '(' ~ factor ~ ' + ' ~ k ~ ' * ' ~ fit.text ~ ')' -%}
    {%- endfor -%}
    {{ return('least(1e0, ' ~ k ~ ' * exp(' ~ fit.text ~ ' - ' ~ z ~ ' * ' ~ z ~ '))') }}
{%- endmacro %}


{#- Post-hook of the seed segment_attributes (`relation` names a table to be checked in its stead): what is wrong stops the
    build with one line. -#}
{% macro check_segment_attributes(relation=none) -%}
    {%- set known = known_segment_attributes() -%}
    {%- set measure = var('suggestion_measure') -%}
    {%- set query -%}
        with
        seed as (
            select
                *,
                count(*) over (partition by attribute) as rows_count
            from {{ relation or this }}
        ),
        known as ({{ known_segment_attribute_rows() }}),
        checked as (
            select
                seed.*,
                known.kind as known_kind
            from seed
            left join known on seed.attribute = known.attribute
        ),
        findings as (
            select coalesce(attribute, '(none)') || ': no such attribute (there are {{ known.keys() | join(', ') }})' as finding
            from checked
            where known_kind is null
            union all
            select distinct attribute || ': stands twice'
            from checked
            where rows_count > 1
            union all
            select attribute || ': its kind has to be ' || known_kind
            from checked
            where known_kind is not null and coalesce(kind, '') != known_kind
            union all
            select attribute || ': has no attribute_label'
            from checked
            where coalesce(attribute_label, '') = ''
            union all
            select attribute || ': has no attribute_family'
            from checked
            where coalesce(attribute_family, '') = ''
            union all
            select attribute || ': in_differentiators, in_quick_segments and in_suggestions have to be true or false'
            from checked
            where in_differentiators is null or in_quick_segments is null or in_suggestions is null
            {%- if measure in known %}
            union all
            select '{{ measure }}: var suggestion_measure asks for it, and it is no number or not here'
            from (select count(*) as rows_count from checked where attribute = '{{ measure }}' and known_kind = 'number') as chosen
            where rows_count = 0
            {%- endif %}
        )
        select finding from findings
        order by finding
    {%- endset -%}
    {%- do raise_findings('seeds/segment_attributes.csv', query) -%}
{%- endmacro %}


{#- A rule of one or two conditions in words; each may be fulfilled by another one instead (its `_missing`, null where there
    is none): and binds before or. -#}
{% macro conditions_joined(first, first_missing, second, second_missing) -%}
    {{ return(_joined(first, first_missing, second, second_missing, "''", "' and '", "' or '")) }}
{%- endmacro %}

{#- The same as options of `engagement segment new`; null where a value looks like an address, since it is masked then. -#}
{% macro condition_option(first, first_missing='cast(null as string)', second='cast(null as string)',
    second_missing='cast(null as string)') -%}
    {%- set rule = conditions_joined(first, first_missing, second, second_missing) -%}
    {%- set options = _joined(
        option_quoted(first), option_quoted(first_missing), option_quoted(second), option_quoted(second_missing),
        "'--where '", "' --and '", "' --or '"
    ) -%}
    {{ return('case when ' ~ addresses_masked(rule) ~ ' = ' ~ rule ~ ' then ' ~ options ~ ' end') }}
{%- endmacro %}

{% macro _joined(first, first_missing, second, second_missing, begin, and_word, or_word) -%}
    {%- set both = [] -%}
    {%- for left in [first, first_missing] -%}
        {%- set firsts = begin if loop.first else or_word -%}
        {%- do both.append(
            'coalesce(' ~ firsts ~ ' || ' ~ left ~ ' || coalesce(' ~ and_word ~ ' || ' ~ second ~ ", ''), '') || coalesce("
            ~ or_word ~ ' || ' ~ left ~ ' || ' ~ and_word ~ ' || ' ~ second_missing ~ ", '')"
        ) -%}
    {%- endfor -%}
    {{ return('(' ~ both | join(' || ') ~ ')') }}
{%- endmacro %}


{#- How much of a measure's variance is between the two sides of a condition, times the accounts; null where a side is smaller
    than var suggestion_least_accounts. Sums are exact, so that conditions that choose the same accounts tie. -#}
{% macro variance_between(met_count, met_sum, all_count, all_sum) -%}
    {%- set rest_count = '(' ~ all_count ~ ' - ' ~ met_count ~ ')' -%}
    {%- set least = var('suggestion_least_accounts') -%}
    {{ return(
        'case when ' ~ met_count ~ ' >= ' ~ least ~ ' and ' ~ rest_count ~ ' >= ' ~ least ~ ' then round(cast(' ~ met_count
        ~ ' as double) * ' ~ rest_count ~ ' / nullif(' ~ all_count ~ ', 0) * power(cast(' ~ met_sum ~ ' as double) / nullif(' ~ met_count
        ~ ', 0) - cast(' ~ all_sum ~ ' - ' ~ met_sum ~ ' as double) / nullif(' ~ rest_count ~ ', 0), 2), 9) end'
    ) }}
{%- endmacro %}


{#- The percentile (10, 25, 50, 75, 90; of several the lowest) that a number is: the smallest number that so many percent of the
    known ones do not exceed. Null where it is none, and for texts. -#}
{% macro percentile_reached(value_number, up_to_count, value_count, known_count) -%}
    {%- set branches = [] -%}
    {%- for percentile in [10, 25, 50, 75, 90] -%}
        {%- do branches.append(
            'when ' ~ up_to_count ~ ' * 100 >= ' ~ percentile ~ ' * ' ~ known_count ~ ' and (' ~ up_to_count ~ ' - '
            ~ value_count ~ ') * 100 < ' ~ percentile ~ ' * ' ~ known_count ~ ' then ' ~ percentile
        ) -%}
    {%- endfor -%}
    {{ return('cast(case when ' ~ value_number ~ ' is null then null ' ~ branches | join(' ') ~ ' end as bigint)') }}
{%- endmacro %}

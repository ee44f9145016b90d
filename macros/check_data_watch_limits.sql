{#- The limits of the watch on the data, each with its unit and the lowest and highest value that makes sense. -#}
{% macro known_watch_limits() -%}
    {{ return({
        'days_judged': ['days', 1, 60],
        'history_weeks': ['weeks', 2, 26],
        'history_least_days': ['days', 2, 26],
        'volume_spreads': ['spreads', 1, 100],
        'volume_least_spread_ratio': ['ratio', 0, 1],
        'volume_least_copies': ['copies', 1, 1000000],
        'volume_loss_ratio': ['ratio', 0, 1],
        'mailbox_spreads': ['spreads', 1, 100],
        'mailbox_least_copies': ['copies', 1, 1000000],
        'mailboxes_unusual_ratio': ['ratio', 0, 1],
        'mailboxes_unusual_least': ['mailboxes', 1, 1000000],
        'quiet_history_days': ['days', 14, 365],
        'quiet_mail_days_least': ['days', 2, 365],
        'quiet_gaps': ['gaps', 1, 100],
        'quiet_days_least': ['days', 1, 365],
        'quiet_most_ratio': ['ratio', 0, 1],
        'freshness_days': ['days', 0, 365],
        'old_answers_ratio': ['ratio', 0, 1],
        'matches_loss_ratio': ['ratio', 0, 1],
        'matches_least_messages': ['messages', 1, 1000000],
        'customers_loss_ratio': ['ratio', 0, 1],
        'customers_least': ['customers', 1, 1000000],
        'fields_lost_least_answers': ['answers', 1, 1000000],
        'unreadable_ratio': ['ratio', 0, 1],
    }) }}
{%- endmacro %}

{#- Post-hook of the seed data_watch_limits (`relation` names a table to be checked in its stead): a limit that is missing,
    unknown, twice or out of range stops the build with one line. -#}
{% macro check_data_watch_limits(relation=none) -%}
    {%- set rows = [] -%}
    {%- for limit_name, facts in known_watch_limits().items() -%}
        {%- do rows.append(
            "select '" ~ limit_name ~ "' as limit_name, '" ~ facts[0] ~ "' as unit, " ~ facts[1] ~ ' as lowest, '
            ~ facts[2] ~ ' as highest'
        ) -%}
    {%- endfor -%}
    {%- set query -%}
        with
        seed as (
            select *, count(*) over (partition by limit_name) as rows_count
            from {{ relation or this }}
        ),
        known as ({{ rows | join(' union all ') }}),
        findings as (
            select known.limit_name || ': is missing' as finding
            from known
            left join seed on known.limit_name = seed.limit_name
            where seed.limit_name is null
            union all
            select coalesce(seed.limit_name, '(no name)') || ': no such limit'
            from seed
            left join known on seed.limit_name = known.limit_name
            where known.limit_name is null
            union all
            select distinct limit_name || ': stands twice'
            from seed
            where rows_count > 1
            union all
            select seed.limit_name || ': unit has to be ' || known.unit
            from seed
            inner join known on seed.limit_name = known.limit_name
            where coalesce(seed.unit, '') != known.unit
            union all
            select
                seed.limit_name || ': ' || coalesce(cast(seed.limit_value as string), '(none)') || ' is not between '
                || cast(known.lowest as string) || ' and ' || cast(known.highest as string)
            from seed
            inner join known on seed.limit_name = known.limit_name
            where not coalesce(seed.limit_value between known.lowest and known.highest, false)
            union all
            select 'history_least_days: is more than history_weeks, so that no day would be judged'
            from seed as least
            inner join seed as weeks
                on
                    least.limit_name = 'history_least_days'
                    and weeks.limit_name = 'history_weeks'
                    and least.limit_value > weeks.limit_value
        )
        select finding from findings
        order by finding
    {%- endset -%}
    {%- do raise_findings('seeds/data_watch_limits.csv', query) -%}
{%- endmacro %}

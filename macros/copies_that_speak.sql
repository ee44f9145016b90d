{#- Whether a copy of a meeting says who takes part in it (D6.3, D6.10): it had not vanished when the meeting began, and lies
    in a calendar that the meeting's enrichment still monitored then. -#}
{% macro is_copy_that_speaks(copies, meetings, mailboxes) -%}
    ({{ copies }}.gone_at is null or {{ copies }}.gone_at >= {{ meetings }}.begins_at)
    {# asked with exists: as a join DuckDB would pair every meeting with every mailbox first -#}
    and exists (
        select 1
        from {{ mailboxes }}
        where
            {{ mailboxes }}.enrichment_id = {{ meetings }}.enrichment_id
            and {{ mailboxes }}.mailbox_id = {{ copies }}.mailbox_id
            and {{ mailboxes }}.monitored_to_at > {{ meetings }}.begins_at
    )
{%- endmacro %}

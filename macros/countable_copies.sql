{#- Whether a copy of a message may count: no draft, meeting mail or search-folder copy, and received at a time that can be
    read (D6.1). -#}
{% macro is_countable_copy(copy) -%}
    not {{ copy }}.is_draft
    and not {{ copy }}.is_meeting_mail
    and not {{ copy }}.is_search_folder_copy
    and {{ copy }}.received_at is not null
{%- endmacro %}

{#- The components that int_components_measured computes, with what their rows in the seed have to say. -#}
{% macro known_components() -%}
    {{ return({
        'contact_recency': {'unit': 'days', 'better': 'lower', 'decays': false},
        'two_way_recency': {'unit': 'days', 'better': 'lower', 'decays': false},
        'email_inbound': {'unit': 'messages', 'better': 'higher', 'decays': true},
        'email_outbound': {'unit': 'messages', 'better': 'higher', 'decays': true},
        'meeting_volume': {'unit': 'meetings', 'better': 'higher', 'decays': true},
        'reciprocity': {'unit': 'ratio', 'better': 'higher', 'decays': false},
        'breadth': {'unit': 'people', 'better': 'higher', 'decays': false},
        'responsiveness': {'unit': 'ratio', 'better': 'higher', 'decays': false},
        'regularity': {'unit': 'weeks', 'better': 'higher', 'decays': false},
    }) }}
{%- endmacro %}

{#- Shortest half-life: doubles hold 1,023 of them from the landmark of macro forward_weight, so 14 days last until 2039. -#}
{% macro shortest_half_life_days() -%}{{ return(14) }}{%- endmacro %}

{#- Post-hook of the seed score_components: what is wrong stops the build with one line, before anything is scored. -#}
{% macro check_score_components() -%}
    {%- if execute -%}
        {%- set known = known_components() -%}
        {%- set findings = [] -%}
        {%- set rows = run_query(
            'select score_version, component, unit, better, weight, half_life_days, window_days, half_points_at from '
            ~ this ~ ' order by score_version, component'
        ).rows -%}
        {%- set seen = [] -%}
        {%- set weights = {} -%}
        {%- for row in rows -%}
            {%- set where = 'version ' ~ row[0] ~ ', ' ~ row[1] ~ ': ' -%}
            {%- if not row[0] -%}
                {%- do findings.append('a row (' ~ row[1] ~ ') has no score_version') -%}
            {%- elif row[1] not in known -%}
                {%- do findings.append(where ~ 'no such component (there are ' ~ known.keys() | join(', ') ~ ')') -%}
            {%- elif (row[0], row[1]) in seen -%}
                {%- do findings.append(where ~ 'stands twice') -%}
            {%- else -%}
                {%- set component = known[row[1]] -%}
                {%- if row[2] != component.unit or row[3] != component.better -%}
                    {%- do findings.append(
                        where ~ 'unit and better have to be ' ~ component.unit ~ ' and ' ~ component.better
                    ) -%}
                {%- endif -%}
                {%- if row[4] is none or not (row[4] >= 0 and row[4] <= 100) -%}
                    {%- do findings.append(where ~ 'weight ' ~ row[4] ~ ' is not between 0 and 100') -%}
                {%- else -%}
                    {%- do weights.update({row[0]: weights.get(row[0], 0) + row[4]}) -%}
                {%- endif -%}
                {%- if component.decays and (
                    row[5] is none or not (row[5] >= shortest_half_life_days() and row[5] <= 3650)
                ) -%}
                    {%- do findings.append(
                        where ~ 'half_life_days ' ~ row[5] ~ ' is not between ' ~ shortest_half_life_days() ~ ' and 3650'
                    ) -%}
                {%- elif not component.decays and row[5] is not none -%}
                    {%- do findings.append(where ~ 'half_life_days has to be empty, it does not decay') -%}
                {%- endif -%}
                {%- if row[6] is none or not (row[6] >= 1 and row[6] <= 365) -%}
                    {%- do findings.append(where ~ 'window_days ' ~ row[6] ~ ' is not between 1 and 365') -%}
                {%- endif -%}
                {%- if component.unit == 'ratio' and row[7] is not none -%}
                    {%- do findings.append(where ~ 'half_points_at has to be empty, a ratio is its own') -%}
                {%- elif component.unit != 'ratio' and (row[7] is none or not (row[7] > 0 and row[7] <= 1000000)) -%}
                    {%- do findings.append(where ~ 'half_points_at ' ~ row[7] ~ ' is not between 0 and 1000000') -%}
                {%- endif -%}
            {%- endif -%}
            {%- do seen.append((row[0], row[1])) -%}
        {%- endfor -%}
        {%- for version, weight in weights.items() if (weight - 100) | abs > 0.000001 -%}
            {%- do findings.append('version ' ~ version ~ ': the weights add up to ' ~ weight ~ ', not to 100') -%}
        {%- endfor -%}
        {%- if var('score_version') not in (rows | map(attribute=0) | list) -%}
            {%- do findings.append('no row of the version ' ~ var('score_version') ~ ' that var score_version asks for') -%}
        {%- endif -%}
        {%- if findings -%}
            {%- do exceptions.raise_compiler_error('seeds/score_components.csv: ' ~ findings | join('; ')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Post-hook of the seed score_bands: every score from 0 to 100 lies in one band. -#}
{% macro check_score_bands() -%}
    {%- if execute -%}
        {%- set findings = [] -%}
        {%- set expected = namespace(from_score=0) -%}
        {%- set rows = run_query(
            'select score_band, from_score, to_score from ' ~ this ~ ' order by from_score nulls first, score_band'
        ).rows -%}
        {%- for row in rows -%}
            {%- if not row[0] -%}
                {%- do findings.append('a row has no score_band') -%}
            {%- elif row[1] is none or row[2] is none or not row[1] < row[2] -%}
                {%- do findings.append(row[0] ~ ': from_score ' ~ row[1] ~ ' is not below to_score ' ~ row[2]) -%}
            {%- elif row[1] != expected.from_score -%}
                {%- do findings.append(row[0] ~ ': begins at ' ~ row[1] ~ ', not at ' ~ expected.from_score) -%}
            {%- endif -%}
            {%- set expected.from_score = row[2] -%}
        {%- endfor -%}
        {%- if expected.from_score != 100 -%}
            {%- do findings.append('the bands end at ' ~ expected.from_score ~ ', not at 100') -%}
        {%- endif -%}
        {%- if findings -%}
            {%- do exceptions.raise_compiler_error('seeds/score_bands.csv: ' ~ findings | join('; ')) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

with

service_findings as (

    select * from {{ ref('stg_runs__service_findings') }}
    where service = 'graph'

),

answer_fields as (

    select * from {{ ref('int_answer_fields_compared') }}

),

known_fields as (

    select * from {{ ref('leadspace_fields') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

-- The newest run that read anything: one that read nothing was sent nothing.
newest_reads_ranked as (

    select
        run_id,
        items_count,
        row_number() over (order by found_at desc nulls last, run_id desc nulls last) as place_from_newest
    from service_findings
    where kind = 'read' and items_count > 0

),

newest_read as (

    select * from newest_reads_ranked
    where place_from_newest = 1

),

first_times as (

    select
        kind,
        property,
        min(found_at) as first_at
    from service_findings
    group by kind, property

),

graph_findings as (

    select
        service_findings.kind,
        service_findings.property,
        service_findings.items_count,
        newest_read.items_count as items_read_count,
        first_times.first_at
    from service_findings
    inner join newest_read on service_findings.run_id = newest_read.run_id
    inner join first_times
        on service_findings.kind = first_times.kind and service_findings.property = first_times.property

),

fields_summed as (

    select
        enrichment_id,
        field,
        sum(newest_answers_count) as newest_answers_count,
        max(newest_companies_count) as newest_companies_count,
        cast(sum(earlier_answers_count) as double) / nullif(max(earlier_companies_count), 0) as earlier_ratio,
        max(newest_received_at) as newest_received_at,
        min(first_received_at) as first_received_at
    from answer_fields
    group by enrichment_id, field

),

known_objects as (

    select field from known_fields
    where shape = 'object'

),

-- What is inside of an object that nobody reads is told of with the object.
new_fields as (

    select fields_summed.*
    from fields_summed
    left join known_fields on fields_summed.field = known_fields.field
    left join known_objects
        on fields_summed.field like replace(known_objects.field, '_', '~_') || '.%' escape '~'
    where
        known_fields.field is null
        and fields_summed.newest_answers_count > 0
        and (known_objects.field is not null or fields_summed.field not like '%.%')

),

other_shapes as (

    select
        answer_fields.*,
        known_fields.shape as known_shape
    from answer_fields
    inner join known_fields on answer_fields.field = known_fields.field
    where
        answer_fields.newest_answers_count > 0
        and known_fields.shape != answer_fields.shape
        and known_fields.shape not like '%' || answer_fields.shape || '%'

)

select
    cast(null as string) as enrichment_id,
    'schema_drift' as check_name,
    'microsoft_graph:' || property as subject,
    'notice' as severity,
    cast(items_count as double) as observed,
    cast(0 as double) as expected_low,
    cast(0 as double) as expected_high,
    'items' as unit,
    cast(null as date) as day_on,
    cast(first_at as date) as since_on,
    'Microsoft Graph sent the property ' || property || ' on ' || cast(items_count as string)
    || ' items, though it was not asked for; none of it was kept, tell whoever maintains the extractor.' as finding
from graph_findings
where kind = 'unasked'

union all

select
    cast(null as string) as enrichment_id,
    'schema_drift' as check_name,
    'microsoft_graph:' || graph_findings.property as subject,
    case
        when graph_findings.items_count > limits.unreadable_ratio * graph_findings.items_read_count then 'warning'
        else 'notice'
    end as severity,
    cast(graph_findings.items_count as double) as observed,
    cast(0 as double) as expected_low,
    floor(limits.unreadable_ratio * graph_findings.items_read_count) as expected_high,
    'items' as unit,
    cast(null as date) as day_on,
    cast(graph_findings.first_at as date) as since_on,
    cast(graph_findings.items_count as string) || ' of ' || cast(graph_findings.items_read_count as string)
    || ' items read in the newest run have no readable date and are not counted; where they become more, Microsoft'
    || ' Graph has changed how it writes dates.' as finding
from graph_findings
cross join limits
where graph_findings.kind = 'unreadable_date' and graph_findings.items_count > 0

union all

select
    enrichment_id,
    'schema_drift' as check_name,
    'leadspace_new:' || field as subject,
    'notice' as severity,
    cast(newest_answers_count as double) as observed,
    cast(0 as double) as expected_low,
    cast(0 as double) as expected_high,
    'answers' as unit,
    cast(null as date) as day_on,
    cast(first_received_at as date) as since_on,
    'Leadspace sends the field ' || field || ', which no model reads; the answers are kept as received, so a model of'
    || ' it has all of them (add it to seeds/leadspace_fields.csv then).' as finding
from new_fields

union all

select
    fields_summed.enrichment_id,
    'schema_drift' as check_name,
    'leadspace_lost:' || fields_summed.field as subject,
    'warning' as severity,
    cast(0 as double) as observed,
    fields_summed.earlier_ratio * fields_summed.newest_companies_count as expected_low,
    cast(null as double) as expected_high,
    'answers' as unit,
    cast(null as date) as day_on,
    cast(fields_summed.newest_received_at as date) as since_on,
    'Leadspace no longer sends the field ' || fields_summed.field
    || ', which its earlier answers had; ask Leadspace whether the programme was changed.' as finding
from fields_summed
cross join limits
inner join known_fields on fields_summed.field = known_fields.field
where
    fields_summed.newest_answers_count = 0
    and fields_summed.earlier_ratio * fields_summed.newest_companies_count >= limits.fields_lost_least_answers

union all

select
    enrichment_id,
    'schema_drift' as check_name,
    'leadspace_shape:' || field || ':' || shape as subject,
    'warning' as severity,
    cast(newest_answers_count as double) as observed,
    cast(0 as double) as expected_low,
    cast(0 as double) as expected_high,
    'answers' as unit,
    cast(null as date) as day_on,
    cast(first_received_at as date) as since_on,
    'Leadspace sends the field ' || field || ' as ' || shape || ', where '
    || replace(known_shape, '_or_', ' or ')
    || ' is known, so it cannot be read; the answers are kept, tell whoever maintains the models.' as finding
from other_shapes

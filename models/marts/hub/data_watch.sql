with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

findings as (

    select * from {{ ref('int_findings_of_freshness') }}

    union all

    select * from {{ ref('int_findings_of_matches') }}

    union all

    select * from {{ ref('int_findings_of_schemas') }}

    union all

    select * from {{ ref('int_findings_of_volume') }}

)

-- What is about a service or the customer files as a whole is about no enrichment.
select
    coalesce(findings.enrichment_id, '') || '|' || findings.check_name || '|'
    || {{ addresses_masked('findings.subject') }} || '|' || coalesce(cast(findings.day_on as string), '') as finding_id,
    findings.enrichment_id,
    findings.check_name,
    {{ addresses_masked('findings.subject') }} as subject,
    findings.severity,
    {{ addresses_masked('findings.finding') }} as finding,
    findings.unit,
    findings.observed as observed_value,
    findings.expected_low as expected_low_value,
    findings.expected_high as expected_high_value,
    findings.day_on,
    findings.since_on
from findings
left join enrichments on findings.enrichment_id = enrichments.enrichment_id
where findings.enrichment_id is null or enrichments.enrichment_id is not null

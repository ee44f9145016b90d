with

segments as (

    select * from {{ ref('segments') }}
    where audience = 'contacts' and is_active

),

members as (

    select * from {{ ref('segment_members') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

contacts as (

    select * from {{ ref('stg_customers__contacts') }}

)

-- All contacts of the account that the contact file has, whoever wrote to them: it tells of nobody's mail.
select distinct
    members.segment_id,
    members.enrichment_id,
    members.account_id,
    contacts.contact_id,
    members.as_of_date
from members
inner join segments on members.segment_id = segments.segment_id
inner join contacts on members.account_id = contacts.account_id
cross join reporting
-- The id of a contact is a person's, and how many an account has is a small number.
where contacts.contact_id is not null and not reporting.is_banded

with

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

ancestors as (

    select * from {{ ref('int_account_ancestors_resolved') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where is_enriched

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

global_ultimates as (

    select
        fingerprint,
        batch_id,
        relative_company_id,
        relative_name
    from {{ ref('stg_leadspace__family_trees') }}
    where relative_type = 'GU'

),

parents as (

    select distinct ancestor_account_id as account_id from ancestors

),

accounts_with_a_parent as (

    select distinct account_id from ancestors

),

-- Every account that is somebody's parent is rolled up over itself and all below it.
members_by_customer_file as (

    select
        ancestor_account_id as hierarchy_id,
        account_id,
        levels_count
    from ancestors

    union all

    select
        account_id as hierarchy_id,
        account_id,
        cast(0 as bigint) as levels_count
    from parents

),

hierarchies_of_customer_file as (

    select
        'customer_file' as hierarchy_source,
        members.hierarchy_id,
        members.account_id,
        tops.account_name as hierarchy_name,
        members.levels_count,
        members.levels_count = 0 as is_parent,
        accounts_with_a_parent.account_id is null as is_top
    from members_by_customer_file as members
    inner join accounts as tops on members.hierarchy_id = tops.account_id
    left join accounts_with_a_parent on members.hierarchy_id = accounts_with_a_parent.account_id

),

-- Several nodes of one type are not expected; the choice between them must only be the same every time.
global_ultimates_ranked as (

    select
        *,
        row_number() over (
            partition by fingerprint, batch_id
            order by relative_company_id nulls last, relative_name nulls last
        ) as place_in_answer
    from global_ultimates

),

-- A company without a global ultimate may be one itself. A hierarchy never has a member's name.
companies_ranked as (

    select
        lookups.account_id,
        coalesce(global_ultimates_ranked.relative_company_id, responses.company_tree_id) as hierarchy_id,
        case
            when global_ultimates_ranked.relative_company_id is null then responses.company_name
            else global_ultimates_ranked.relative_name
        end as hierarchy_name,
        responses.company_tree_id,
        case when global_ultimates_ranked.relative_company_id is null then 0 else 1 end as is_in_tree,
        row_number() over (
            partition by lookups.account_id
            order by enrichments.list_position nulls last, lookups.enrichment_id nulls last
        ) as place_in_account
    from lookups
    inner join enrichments on lookups.enrichment_id = enrichments.enrichment_id
    inner join responses
        on
            lookups.fingerprint = responses.fingerprint
            and lookups.batch_id = responses.batch_id
    left join global_ultimates_ranked
        on
            lookups.fingerprint = global_ultimates_ranked.fingerprint
            and lookups.batch_id = global_ultimates_ranked.batch_id
            and global_ultimates_ranked.place_in_answer = 1

),

companies_counted as (

    select
        account_id,
        hierarchy_id,
        max(hierarchy_name) over (partition by hierarchy_id) as hierarchy_name,
        coalesce(hierarchy_id = company_tree_id, false) as is_parent,
        count(*) over (partition by hierarchy_id) as account_count,
        sum(is_in_tree) over (partition by hierarchy_id) as account_in_tree_count
    from companies_ranked
    where place_in_account = 1

),

hierarchies_of_leadspace as (

    select
        'leadspace' as hierarchy_source,
        hierarchy_id,
        account_id,
        hierarchy_name,
        cast(null as bigint) as levels_count,
        is_parent,
        true as is_top
    from companies_counted
    -- Several accounts of one company are no family unless a tree says that the company is somebody's top.
    where account_count > 1 and account_in_tree_count > 0

)

select * from hierarchies_of_customer_file
union all
select * from hierarchies_of_leadspace

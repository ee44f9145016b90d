with

hierarchies as (

    select * from {{ ref('int_account_hierarchies_resolved') }}
    where hierarchy_source = 'customer_file'

),

customer_measures as (

    select
        *,
        -- Whole numbers, whose sums are the same in any order.
        cast(round(reply_time_mean_hours * replies_count * 3600000, 0) as bigint) as reply_milliseconds
    from {{ ref('customer_measures') }}

),

hierarchy_engagement as (

    select * from {{ ref('account_hierarchy_engagement') }}
    where hierarchy_source = 'customer_file'

),

traffic as (

    select * from {{ ref('account_traffic') }}

),

parents as (

    select distinct hierarchy_id as account_id
    from hierarchies

),

-- An account with nobody below it is a tree of its own.
trees as (

    select
        customer_measures.enrichment_id,
        hierarchies.hierarchy_id as top_account_id,
        customer_measures.account_id
    from customer_measures
    inner join hierarchies on customer_measures.account_id = hierarchies.account_id

    union all

    select
        customer_measures.enrichment_id,
        customer_measures.account_id as top_account_id,
        customer_measures.account_id
    from customer_measures
    left join parents on customer_measures.account_id = parents.account_id
    where parents.account_id is null

),

trees_summed as (

    select
        trees.enrichment_id,
        trees.top_account_id,
        count(*) as accounts_count,
        cast(sum(case when customer_measures.is_engaged then 1 else 0 end) as bigint) as accounts_engaged_count,
        cast(sum(case when customer_measures.is_enriched then 1 else 0 end) as bigint) as accounts_enriched_count,
        cast(sum(customer_measures.replies_count) as bigint) as replies_count,
        -- A mean weighs the replies that it is of.
        cast(sum(customer_measures.reply_milliseconds) as double)
        / nullif(sum(customer_measures.replies_count), 0) / 3600000 as reply_time_mean_hours
    from trees
    inner join customer_measures
        on
            trees.enrichment_id = customer_measures.enrichment_id
            and trees.account_id = customer_measures.account_id
    group by trees.enrichment_id, trees.top_account_id

)

-- What accounts of a tree share is one in it, and stands counted so in account_hierarchy_engagement.
select
    customer_measures.enrichment_id,
    customer_measures.account_id,
    customer_measures.account_name,
    trees_summed.accounts_count,
    trees_summed.accounts_engaged_count,
    trees_summed.accounts_enriched_count,
    cast(trees_summed.accounts_enriched_count as double) / nullif(trees_summed.accounts_count, 0)
        as accounts_enriched_ratio,
    coalesce(
        hierarchy_engagement.emails_to_accounts_count + hierarchy_engagement.emails_from_accounts_count,
        customer_measures.emails_count
    ) as emails_count,
    coalesce(hierarchy_engagement.emails_to_accounts_count, customer_measures.emails_to_account_count)
        as emails_to_accounts_count,
    coalesce(hierarchy_engagement.emails_from_accounts_count, customer_measures.emails_from_account_count)
        as emails_from_accounts_count,
    coalesce(hierarchy_engagement.meetings_count, customer_measures.meetings_count) as meetings_count,
    coalesce(hierarchy_engagement.meetings_to_accounts_count, customer_measures.meetings_to_account_count)
        as meetings_to_accounts_count,
    coalesce(hierarchy_engagement.meetings_from_accounts_count, customer_measures.meetings_from_account_count)
        as meetings_from_accounts_count,
    trees_summed.replies_count,
    trees_summed.reply_time_mean_hours,
    case
        when hierarchy_engagement.hierarchy_id is not null then hierarchy_engagement.own_people_count
        when traffic.account_id is null then 0
        else traffic.own_people_count
    end as own_people_count,
    coalesce(hierarchy_engagement.own_people_band, traffic.own_people_band, '0') as own_people_band,
    case
        when hierarchy_engagement.hierarchy_id is not null then hierarchy_engagement.contacts_count
        when traffic.account_id is null then 0
        else traffic.contacts_count
    end as contacts_count,
    coalesce(hierarchy_engagement.contacts_band, traffic.contacts_band, '0') as contacts_band,
    case
        when hierarchy_engagement.hierarchy_id is null then customer_measures.days_since_last_email
        else hierarchy_engagement.days_since_last_email
    end as days_since_last_email,
    case
        when hierarchy_engagement.hierarchy_id is null then customer_measures.days_since_last_meeting
        else hierarchy_engagement.days_since_last_meeting
    end as days_since_last_meeting,
    case
        when hierarchy_engagement.hierarchy_id is null then customer_measures.engagement_score
        else hierarchy_engagement.highest_engagement_score
    end as highest_engagement_score,
    case
        when hierarchy_engagement.hierarchy_id is null then customer_measures.engagement_score
        else hierarchy_engagement.weighted_engagement_score
    end as weighted_engagement_score,
    customer_measures.as_of_date
from customer_measures
inner join trees_summed
    on
        customer_measures.enrichment_id = trees_summed.enrichment_id
        and customer_measures.account_id = trees_summed.top_account_id
left join hierarchy_engagement
    on
        customer_measures.enrichment_id = hierarchy_engagement.enrichment_id
        and customer_measures.account_id = hierarchy_engagement.parent_account_id
left join traffic
    on
        customer_measures.enrichment_id = traffic.enrichment_id
        and customer_measures.account_id = traffic.account_id

select
    score_version,
    sum(weight) as weight
from {{ ref('score_components') }}
group by score_version
having sum(weight) != 100

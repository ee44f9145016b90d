-- Third parties' meetings are the rest (D6.3).
select primary_key
from {{ ref('account_engagement') }}
where meetings_to_account_count + meetings_from_account_count > meetings_count

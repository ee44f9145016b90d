-- An account without contact in a period has no row, not a row of zeros (D6.5).
select primary_key
from {{ ref('account_engagement') }}
where emails_to_account_count + emails_from_account_count + meetings_count = 0

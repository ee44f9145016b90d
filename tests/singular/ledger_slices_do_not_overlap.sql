-- What was read of a mailbox stands in the ledger once: a slice takes the place of whatever it overlaps.
select
    earlier.mailbox_id,
    earlier.kind,
    earlier.slice_start_at,
    later.slice_start_at as other_slice_start_at
from {{ ref('stg_office__units') }} as earlier
inner join {{ ref('stg_office__units') }} as later
    on
        earlier.mailbox_id = later.mailbox_id
        and earlier.kind = later.kind
        and earlier.slice_start_at < later.slice_start_at
        and earlier.slice_end_at > later.slice_start_at

{{ segment_intersect(['high_value', 'low_engagement']) }}

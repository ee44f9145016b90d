{{ segments_described() }}

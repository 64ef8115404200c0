"""The use cases: read everything, think with `rules`, write once. No HTTP and no Redis command stands here."""

"""RQ's doors to the flows: each job translates its arguments, calls one flow and may be run twice."""

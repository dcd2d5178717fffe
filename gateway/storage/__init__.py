"""What must last: the durable history of streams, and the jobs that have not ended."""

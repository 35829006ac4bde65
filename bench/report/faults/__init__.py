"""What a report says of faults."""

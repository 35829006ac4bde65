"""What a scenario wants of answers, found in their bytes."""

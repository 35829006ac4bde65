"""The assessment of a results folder, as documents."""

"""What everything else stands on: clock, units, outcomes, histograms, errors, the compiler."""

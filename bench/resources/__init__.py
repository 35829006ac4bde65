"""What a run costs: memory, CPU, files and connections of targets, generator and machine."""

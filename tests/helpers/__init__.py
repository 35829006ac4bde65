"""What tests of several packages share: waiting, servers, processes, scenarios and runs made by hand."""

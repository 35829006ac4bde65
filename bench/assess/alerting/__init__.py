"""Alert rules and a dashboard for Prometheus and Grafana, with the thresholds that were measured."""

"""Results as text: tables for people, JSON, YAML and JUnit XML for programs."""

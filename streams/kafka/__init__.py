"""Kafka outside of the agents: how to connect, and the log on it."""

"""The routes of Kit's API v4 that are simulated, one file for each of Kit's resources; server.py registers them all."""

from streams.kit.simulator.routes import custom_fields, sequences, subscribers, tags

ROUTES = (*subscribers.ROUTES, *tags.ROUTES, *custom_fields.ROUTES, *sequences.ROUTES)

"""The embedded log: one SQLite file, one process that writes it, and Faust's transport on it.

log.py is the `Log` of the shell; log_file.py the opened file (ownership.py: one owner; database.py: pragmas, schema,
damage; store.py and stored.py: what is in it). writer.py commits in groups (commits.py), partition.py keeps the recent
records in memory, reader.py reads the rest. transport.py, consumer.py and producer.py are what Faust sees.
"""

"""One step, one transaction: what a record changes becomes visible together or not at all.

agent.py says what an agent is. engine.py has one lane.py for each partition held; a lane admits records (admission.py,
provenance.py), runs the step on them (batch.py over overlay.py) and has the batch committed by a transactor.py:
kafka.py or embedded.py. Only then table_store.py and the listener.py learn of it. kafka_consumer.py, recovery.py and
offset_guard.py are the glue to Faust.
"""

"""Apache Kafka, and the broker inside the confluent-kafka wheel, through librdkafka.

What comes out are the records and errors of ports.broker; nothing of confluent_kafka may leave this folder.
"""

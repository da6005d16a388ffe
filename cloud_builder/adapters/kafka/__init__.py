"""The ports Broker and OfferQueue over librdkafka: Apache Kafka, and the broker inside the confluent-kafka wheel.

broker             Broker: consumers, producers, topics, watermarks
connection         options, logs and errors that all clients share
consumer           Consumer with assigned partitions
producer           Producer
fenced             Producer in transactions, with fencing
topics             creates topics
offsets            oldest and next offsets
inspection         a cluster as cb-ctl doctor sees it
acl_errors         which ACL is missing
embedded           the embedded broker
embedded_consumer  a reader that sleeps while nothing is sent
embedded_producer  a producer that wakes these readers
wake_socket        the datagrams between both
offer_producer     sends offers one by one
offer_queue        OfferQueue over a share group
share_consumer     one member of the share group, in a thread
share_group        set-up and checks of the share group

Must not: let anything of confluent_kafka leave this package, except as records and errors of ports.broker.
"""

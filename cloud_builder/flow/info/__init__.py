"""cb-info: keeps a read model of all topics, and answers queries (`info.asked`).

    flow.py           handles events and queries
    projection.py     applies events to the documents, in any order of the topics and any number of times
    history.py        documents of former builds, and of what pushes changed
    change_index.py   indexes of a request's jobs by their last change, and by their artifacts
    livelog.py        the live log of each job, bounded
    documents.py      names of document collections
    retention.py      deletes old documents
    queries.py        answers a query by its view
    find.py           finds what a person has named
    views.py          makes rows of documents
    change_views.py   answers the views of changes and of artifacts
    graph.py          answers the view `graph`
    why.py            answers the view `why`
    facts.py          gives planning/why its facts
    pages.py          makes pages of rows that fit into a message

Must not: write job state. All documents can be built again from the topics.
"""

from .flow import InfoFlow

__all__ = ["InfoFlow"]

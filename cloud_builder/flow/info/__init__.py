"""cb-info: the window. Every topic goes in, a read model in documents stands, answers to `info.asked` come out.

    fold.py      events → documents (idempotent; events of different topics may come in any order)
    changes.py   what of a request changed since somebody looked, and which of its jobs made something
    livelog.py   the live log of each attempt, bounded
    retention.py what is forgotten
    views.py     documents → the short and full rows that answers are made of
    history.py   how units ended before, and which push changed which of their files
    facts.py     documents → the facts that planning/why asks for
    why.py       the view `why`
    graph.py     the view `graph`
    news.py      the views `changes` and `made`
    answers.py   one question → one answer
    pages.py     rows → a page that fits in a message

Must never write job state: everything here can be made again from the topics.
"""

from .flow import InfoFlow

__all__ = ["InfoFlow"]

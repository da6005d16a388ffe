"""The address that every daemon tells of what cb-collector serves."""

import pytest

from cloud_builder.errors import Rejected
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.wiring.public_url import public_url


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ({}, "http://127.0.0.1:8480"),
        ({"host": "builds.example.org", "port": 80}, "http://builds.example.org:80"),
        ({"host": "0.0.0.0", "port": 0, "public_url": "https://builds.example.org/"}, "https://builds.example.org"),
    ],
)
def test_what_others_reach_it_by(said, url):
    assert public_url(CollectorSettings(**said)) == url


@pytest.mark.parametrize(
    ("said", "cause"), [({"port": 0}, "port 0"), ({"host": "0.0.0.0"}, "host 0.0.0.0"), ({"host": "::"}, "host ::")]
)
def test_an_address_that_nobody_could_use_is_rejected_with_what_to_say_instead(said, cause):
    with pytest.raises(Rejected) as caught:
        public_url(CollectorSettings(**said))
    assert cause in caught.value.message
    assert "collector.public_url" in caught.value.hint

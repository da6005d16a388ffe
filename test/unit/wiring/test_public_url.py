"""The public address of what cb-collector serves."""

import pytest

from cloud_builder.errors import Rejected
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.wiring.public_url import public_url


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8480"),
        ({"host": "builds.example.org", "port": 80}, "http://builds.example.org:80"),
        ({"host": "0.0.0.0", "port": 0, "public_url": "https://builds.example.org/"}, "https://builds.example.org"),
    ],
)
def test_public_url_is_the_address_for_others(settings, url):
    assert public_url(CollectorSettings(**settings)) == url


@pytest.mark.parametrize(
    ("settings", "cause"), [({"port": 0}, "port 0"), ({"host": "0.0.0.0"}, "host 0.0.0.0"), ({"host": "::"}, "host ::")]
)
def test_unusable_address_is_rejected_with_the_setting_to_change(settings, cause):
    with pytest.raises(Rejected) as caught:
        public_url(CollectorSettings(**settings))
    assert cause in caught.value.message
    assert "collector.public_url" in caught.value.hint

"""Wrong keys are throttled by address; the right key never is."""

import math
import re
import threading

import httpx
import pytest

from app.api import wrong_keys
from app.api.auth import Keys
from app.api.wrong_keys import WrongKeys
from app.errors import Forbidden, TooManyWrongKeys, Unauthenticated

BURST = wrong_keys._BURST
ROUTES = [
    ("POST", "/api/v1/classify"),
    ("GET", "/api/v1/models"),
    ("GET", "/v2/models"),
    ("POST", "/predictions/colours"),
    ("POST", "/v1/models/colours:predict"),
    ("POST", "/api/v1/models/colours/reload"),
]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def keyed(make_bundle, serve):
    make_bundle()
    with serve(api_key="hush", admin_key="boss") as client:
        yield client


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_many_wrong_keys_get_429_and_the_right_key_goes_on(keyed, photo, method, path):
    statuses = []
    for number in range(BURST + 10):
        headers = {"X-API-Key": f"guess {number}"}
        response = keyed.request(method, path, headers=headers)
        statuses.append(response.status_code)
        right = {"Authorization": "Bearer boss" if number % 2 else "Bearer hush"}
        assert keyed.get("/api/v1/models", headers=right).status_code == 200
        body = photo("red")
        assert keyed.post("/api/v1/classify", content=body, headers=right).status_code == 200
    assert set(statuses[:BURST]) == {401}
    assert 429 in statuses[BURST:]
    assert response.status_code == 401 or int(response.headers["retry-after"]) >= 1


def test_the_error_says_what_to_do_in_each_format(keyed):
    for _ in range(BURST * 2):  # more than come back while the test runs
        keyed.get("/api/v1/models", headers={"X-API-Key": "guess"})
    own = keyed.get("/api/v1/models", headers={"X-API-Key": "guess"})
    assert own.json()["code"] == "too_many_wrong_keys"
    assert "Check the key" in own.json()["detail"]
    assert "Check the key" in keyed.get("/v2/models", headers={"X-API-Key": "x"}).json()["error"]
    counted = re.search(
        r'rejections_total{code="too_many_wrong_keys"} (\d+)', keyed.get("/metrics").text
    )
    assert counted is not None
    assert int(counted[1]) > 2


def test_requests_without_a_key_are_not_counted(keyed):
    for headers in ({}, {"X-API-Key": ""}, {"Authorization": "Basic x"}):
        for _ in range(BURST * 2):
            assert keyed.get("/api/v1/models", headers=headers).status_code == 401


def test_the_api_key_on_admin_routes_is_no_wrong_key():
    keys = Keys("hush", "boss")
    for _ in range(BURST * 2):
        with pytest.raises(Forbidden):
            keys.check_admin("hush", "1.2.3.4")
    with pytest.raises(Unauthenticated):
        keys.check("guess", "1.2.3.4")


def test_other_addresses_are_not_affected(clock):
    keys = Keys("hush", wrong_keys=WrongKeys(clock))
    for _ in range(BURST):
        with pytest.raises(Unauthenticated):
            keys.check("guess", "1.2.3.4")
    with pytest.raises(TooManyWrongKeys) as raised:
        keys.check("guess", "1.2.3.4")
    assert raised.value.retry_after_s >= 1
    with pytest.raises(Unauthenticated):
        keys.check("guess", "1.2.3.5")


def test_one_more_wrong_key_is_accepted_after_each_interval(clock):
    wrong = WrongKeys(clock)
    for _ in range(BURST):
        assert wrong.count("a") == 0
    for _ in range(5):
        wait_s = wrong.count("a")
        assert 0 < wait_s <= wrong_keys._INTERVAL_S
        assert wrong.count("a") == wait_s, "a key that was throttled counts nothing"
        clock.now += wait_s
        assert wrong.count("a") == 0
    clock.now += 2 * BURST * wrong_keys._INTERVAL_S
    assert [wrong.count("a") for _ in range(BURST)] == [0] * BURST


def test_memory_is_bounded(clock):
    wrong = WrongKeys(clock)
    for number in range(3 * wrong_keys._MAX_ADDRESSES):
        wrong.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(wrong) == wrong_keys._MAX_ADDRESSES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("1.2.3.4", "1.2.3.5", False),
        ("no:address", "no:other", False),
    ],
)
def test_a_client_is_known_by_the_part_of_its_address_that_it_keeps(clock, one, other, same):
    wrong = WrongKeys(clock)
    for _ in range(BURST):
        wrong.count(one)
    assert (wrong.count(other) > 0) == same


def test_throttling_is_logged_once_in_a_while(clock, caplog):
    wrong = WrongKeys(clock)
    for _ in range(BURST * 5):
        wrong.count("1.2.3.4")
    clock.now += math.ceil(wrong_keys._LOG_INTERVAL_S)
    for _ in range(BURST * 5):
        wrong.count("1.2.3.4")
    assert [record.args for record in caplog.records] == [("1.2.3.4",)] * 2


def test_guesses_on_many_connections_share_one_limit(keyed):
    statuses = []

    def guess(number):
        response = httpx.get(
            f"{keyed.base_url}/api/v1/models",
            headers={"X-API-Key": f"{number}"},
            timeout=60,
            verify=False,  # certificates would be loaded for each, which lets time for keys pass
        )
        statuses.append(response.status_code)

    threads = [threading.Thread(target=guess, args=(i,)) for i in range(3 * BURST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(401) + statuses.count(429) == len(threads)
    assert statuses.count(429) > BURST

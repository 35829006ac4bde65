"""The registry names only what is there, and refuses a second entry of one name."""

from dataclasses import replace

import pytest

from bench import registry
from bench.registry import DRIVERS, KINDS, SERVICES


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=lambda driver: driver.name)
def test_the_modules_of_a_driver_fulfil_what_the_engines_need(driver: registry.DriverSpec) -> None:
    module = registry.load(driver.module)
    assert callable(module.program)
    if driver.kind is not None and "wire" in driver.engines:
        assert callable(module.connect)
        assert callable(module.prepare)
    assert (driver.client is not None) == ("client" in driver.engines)
    if driver.client is not None:
        client = registry.load(driver.client)
        assert callable(client.check)
        assert callable(client.application)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_of_target_names_its_probe_and_its_reader(kind: registry.TargetKind) -> None:
    assert callable(registry.load(kind.probe))
    assert kind.resources is None or callable(registry.load(kind.resources))
    assert kind.url_form.partition("://")[0] in kind.schemes


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_a_service_names_what_starts_it_and_comes_after_what_it_needs(
    service: registry.ServiceSpec,
) -> None:
    for path in (service.embedded, service.container):
        assert path is None or registry.load(path)
    if service.container is not None:
        assert registry.load(service.container)().name == service.name
    if service.embedded is not None:
        assert registry.load(service.embedded).service == service.name
    assert registry.with_dependencies([service.name])[-1] == service.name


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="the driver redis is registered already"):
        registry.register(replace(DRIVERS["noop"], name="redis"))


def test_what_is_received_is_not_planned_whatever_its_name() -> None:
    assert not registry.is_planned("redis_pubsub", "deliver")
    assert registry.is_planned("redis", "deliver")
    assert registry.is_planned("a driver of somebody else's", "deliver")

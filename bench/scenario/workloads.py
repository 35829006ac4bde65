"""A workload as frozen values: its keys, its operations, its lanes, and when its arrivals are planned."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from bench.core.units import Mismatch
from bench.registry import DRIVERS, LOGIN, step_name
from bench.scenario.feeds import Feed
from bench.scenario.fields import (
    MOST_LANES,
    CheckedModel,
    Duration,
    GrowingModel,
    Name,
    Number,
    Rate,
    StrictModel,
    ValueBytes,
    Whole,
    kind_of,
    usable,
)
from bench.scenario.operations import (
    DataSetChoice,
    Headers,
    Locustfile,
    Login,
    Request,
    RequestStep,
    data_set_choice,
    named_locustfile,
)
from bench.scenario.problems import Violation
from bench.scenario.templates import Parameter, names_in


class Keys(StrictModel):
    """The keys that operations touch: numbers 0..count-1 behind a prefix."""

    count: Annotated[int, Whole(1, 1_000_000_000)] = Field(description="How many different keys there are.")
    distribution: Literal["uniform", "zipf", "gaussian", "sequential"] = "uniform"
    exponent: Annotated[float, Number(0, 5, above_low=True)] = Field(
        0.99, description="zipf: weight of key k is 1/k^exponent."
    )
    # Below a tenth the bell is flat, and most draws fall outside the range and are made again.
    deviations: Annotated[float, Number(0.1, 100)] = Field(
        3.0, description="gaussian: the range spans this many standard deviations on either side."
    )
    prefix: Annotated[str, Field(strict=True, max_length=200)] = "bench:"
    preload: Annotated[bool, Field(strict=True, description="Write every key before the clock starts.")] = (
        False
    )

    @property
    def width(self) -> int:
        """Digits of the largest number."""
        return len(str(self.count - 1))


class Value(StrictModel):
    """The values that are written."""

    bytes: ValueBytes = Field(description="Size of each value.")


def _driver(value: Any) -> str:
    if isinstance(value, str) and value in DRIVERS:
        usable(DRIVERS, value)
        return value
    known = ", ".join(DRIVERS)
    raise Mismatch(f"one of {known}", kind_of(value), f"write one of {known}")


def _known_drivers(schema: JsonDict) -> None:
    """Only when the schema is asked for: what a list of all drivers needs is then imported."""
    schema["enum"] = list(DRIVERS)


def _words(value: Any) -> Any:
    """A command is written as its words: a list, so that no quoting rules are needed."""
    if isinstance(value, str):
        words = ", ".join(value.split()[:3])
        raise Mismatch(
            'a command as a list of words such as [GET, "{key}"]', kind_of(value), f"write [{words}, ...]"
        )
    return value


# A number is a word like any other: the loader hands it on as it was written.
Word = Annotated[
    str,
    Field(strict=True, max_length=1_000_000),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]


Command = Annotated[
    tuple[Word, ...],
    BeforeValidator(_words),
    Field(min_length=1, max_length=1000),
]


Statement = Annotated[str, Field(strict=True, min_length=1, max_length=100_000)]


RequestName = Annotated[str, Field(strict=True, min_length=1, max_length=1000)]


ClassName = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


ArgumentName = Annotated[str, Field(strict=True, pattern="^[A-Za-z][A-Za-z0-9_-]*$", max_length=200)]


def _form_of(step: Any) -> str:
    """Which form a step around the load has."""
    if isinstance(step, str):
        return "sql"
    return "command" if isinstance(step, list | tuple) else "request"


def _step(value: Any) -> Any:
    if isinstance(value, str | list | tuple | dict | Request):
        return value
    expected = "a step: a command as a list of words, SQL as text, or an HTTP request"
    raise Mismatch(expected, kind_of(value), "write [SET, a, 1], or SQL, or {method: POST, path: /}")


Step = Annotated[
    Annotated[Command, Tag("command")]
    | Annotated[Statement, Tag("sql")]
    | Annotated[Request, Tag("request")],
    Discriminator(_form_of),
    BeforeValidator(_step),
]


Steps = Annotated[tuple[Step, ...], Field(max_length=100)]


class Operation(GrowingModel):
    """One kind of request: Redis commands, SQL statements, or an HTTP request, as the driver has it."""

    added = ("steps",)

    weight: Annotated[float, Number(0, 1_000_000)] = Field(
        1.0, description="Share among the operations of the workload."
    )
    command: Command | None = Field(None, description='One command as its words: [SET, "{key}", "{value}"].')
    commands: Annotated[tuple[Command, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Several commands sent together; the operation is done when all are answered."
    )
    sql: Statement | None = Field(
        None, description='One statement: SELECT balance FROM accounts WHERE id = "{account}" without quotes.'
    )
    transaction: Annotated[tuple[Statement, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Statements between BEGIN and COMMIT, each a round trip of its own."
    )
    request: Request | None = Field(None, description="One HTTP request.")
    steps: Annotated[tuple[RequestStep, ...], Field(min_length=1, max_length=20)] | None = Field(
        None,
        description="HTTP requests one after the other; the operation is done when the last is answered.",
    )
    locust: RequestName | None = Field(
        None,
        description='Locust: the name of its requests, or "GET /items" with their method; the name of the'
        " operation where none is written.",
    )

    @property
    def all_steps(self) -> tuple[RequestStep, ...]:
        """The HTTP requests in order, whichever of the two forms the file used."""
        return self.steps or ((RequestStep(request=self.request),) if self.request else ())

    @property
    def all_statements(self) -> tuple[str, ...]:
        """The statements as they are sent, one round trip each; empty for other drivers."""
        if self.transaction:
            return ("BEGIN", *self.transaction, "COMMIT")
        return (self.sql,) if self.sql else ()

    @property
    def all_commands(self) -> tuple[tuple[str, ...], ...]:
        """The commands in order, whichever of the two forms the file used; empty for a noop operation."""
        return self.commands or ((self.command,) if self.command else ())


class Workload(CheckedModel, GrowingModel):
    """A stream of arrivals of certain operations against one target."""

    added = ("feeds", "login", "setup", "teardown", "connect")

    name: Name
    target: Name = Field(description="The service of the stack that it talks to.")
    driver: Annotated[str, BeforeValidator(_driver), Field(json_schema_extra=_known_drivers)]
    engine: Literal["wire", "client", "locust"] = Field(
        "wire", description="By the driver: locust has its own, the others have wire by default."
    )
    lanes: Annotated[int, Whole(1, MOST_LANES)] = Field(
        1, description="Connections. For pub/sub: the publishers. For Locust: the users."
    )
    threads: Annotated[int, Whole(1, 64)] = Field(1, description="Engine threads that share the lanes.")
    pipeline: Annotated[int, Whole(1, 1000)] = Field(
        1, description="Requests that may be in flight on one lane."
    )
    resp: Annotated[Literal[2, 3], Field(description="Version of the Redis protocol.")] = 2
    keys: Keys | None = None
    value: Value | None = None
    parameters: Annotated[dict[Name, Parameter], Field(max_length=100)] = Field(
        default_factory=dict, description="Named numbers that every arrival draws: {item} in SQL or requests."
    )
    feeds: Annotated[dict[Name, Feed], Field(max_length=20)] = Field(
        default_factory=dict, description="Rows of files, of which every arrival takes one: {user.email}."
    )
    dataset: (
        Annotated[DataSetChoice, BeforeValidator(data_set_choice, json_schema_input_type=str | DataSetChoice)]
        | None
    ) = Field(None, description="Postgres: the data put in place before the clock starts.")
    session: Annotated[
        dict[Name, Annotated[str, Field(strict=True, max_length=200)]], Field(max_length=50)
    ] = Field(default_factory=dict, description="Postgres: settings of every connection, also of a new one.")
    retries: Annotated[int, Whole(0, 100)] = Field(
        0, description="Postgres: how often a serialization failure or a deadlock is tried again."
    )
    headers: Headers = Field(default_factory=dict, description="HTTP: headers of every request.")
    login: Login | None = Field(
        None, description="HTTP: the request by which each lane logs in, and what others need of its answer."
    )
    locustfile: (
        Annotated[Locustfile, BeforeValidator(named_locustfile, json_schema_input_type=str)] | None
    ) = Field(None, description="Locust: the file with the user classes, relative to the scenario.")
    user_classes: Annotated[tuple[ClassName, ...], Field(max_length=50)] = Field(
        (), description="Locust: those of its classes that run; all where none is named."
    )
    arguments: Annotated[dict[ArgumentName, Word | tuple[Word, ...]], Field(max_length=100)] = Field(
        default_factory=dict,
        description="Locust: values of the arguments that the locustfile adds to the command line, and tags.",
    )
    setup: Steps = Field((), description="Commands, SQL or requests, once before the load.")
    teardown: Steps = Field((), description="The same, once after the load, however it ended.")
    connect: Steps = Field((), description="Commands or SQL on each new connection.")
    operations: Annotated[dict[Name, Operation], Field(max_length=50)] = Field(default_factory=dict)
    arrivals: Literal["constant", "poisson", "closed"]
    rate_per_s: Rate | None = Field(None, alias="rate", description="Arrivals per second at 100 % load.")
    deadline_ns: Duration = Field(
        10 * 10**9,
        alias="deadline",
        description="An answer after this is a timeout.",
        json_schema_extra={"default": "10s"},
    )
    channels: Annotated[int, Whole(1, 10_000)] | None = Field(
        None, description="Pub/sub: channels the publishers use."
    )
    subscribers: Annotated[int, Whole(1, 10_000)] | None = Field(
        None, description="Pub/sub: each hears every channel."
    )
    pool: Annotated[int, Whole(1, 10_000)] = Field(50, description="Engine client: connections in the pool.")

    @property
    def first_commands(self) -> tuple[tuple[str, ...], ...]:
        """Commands that every new connection begins with."""
        return tuple(step for step in self.connect if isinstance(step, tuple))

    @property
    def first_statements(self) -> tuple[str, ...]:
        """SQL that every new connection begins with."""
        return tuple(step for step in self.connect if isinstance(step, str))

    @property
    def received_operation(self) -> str | None:
        """The operation that is no planned arrival: what the server sends by itself (pub/sub)."""
        return DRIVERS[self.driver].receives

    @property
    def first_key(self) -> int:
        """The smallest number that the operation log calls a key: that of the first parameter, or 0."""
        if self.keys is not None:
            return 0
        return next((parameter.first for parameter in self.parameters.values()), 0)

    @property
    def operation_names(self) -> tuple[str, ...]:
        """Operations in the order of the file, or those that the driver brings along; then their steps."""
        steps = (
            step_name(name, number)
            for name, operation in self.operations.items()
            for number in range(len(operation.steps or ()))
        )
        login = (LOGIN,) if self.login else ()
        return (*DRIVERS[self.driver].operation_names(self.operations), *steps, *login)

    @property
    def requests(self) -> dict[str, Request]:
        """HTTP requests by what they are counted as."""
        login = {LOGIN: self.login.request} if self.login else {}
        return login | {
            step_name(name, number) if operation.steps else name: step.request
            for name, operation in self.operations.items()
            for number, step in enumerate(operation.all_steps)
        }

    @property
    def captures(self) -> tuple[str, ...]:
        """Names of what is captured of answers, each once, in the order of the file."""
        steps = [step for operation in self.operations.values() for step in operation.steps or ()]
        steps = [self.login, *steps] if self.login else steps
        return tuple(dict.fromkeys(name for step in steps for name in step.capture))

    @property
    def login_headers(self) -> dict[str, str]:
        """Those of the workload's headers that need nothing of the log-in's own answer."""
        return {
            name: text
            for name, text in self.headers.items()
            if not self.login or self.login.capture.keys().isdisjoint(names_in(text))
        }

    @property
    def captures_in_headers(self) -> frozenset[str]:
        """Those of them that headers need."""
        steps = [step for operation in self.operations.values() for step in operation.all_steps]
        headers = [self.headers, *(step.request.headers for step in steps)]
        return frozenset(name for one in headers for text in one.values() for name in names_in(text))

    @model_validator(mode="before")
    @classmethod
    def _engine_of_the_driver(cls, fields: Any) -> Any:
        """A driver with only one engine needs no key `engine`."""
        if isinstance(fields, dict) and "engine" not in fields:
            facts = DRIVERS.usable(fields["driver"]) if isinstance(fields.get("driver"), str) else None
            if facts is not None and len(facts.engines) == 1:
                return {**fields, "engine": facts.engines[0]}
        return fields

    def violations(self) -> Iterable[Violation]:
        """Contradictions inside the workload."""
        from bench.scenario.validators.workload import check_workload  # which knows this class

        return check_workload(self)

"""How libpq is told of a target: the parameters of a connection."""

from bench.stack.target import Target

APPLICATION_NAME = "holdfast"


def libpq_parameters(target: Target, peer: str | None = None) -> dict[str, str]:
    """Parameters for psycopg.connect(**parameters), by libpq's names.

    peer: the address to connect to, where the host's name was resolved before. What the URL does
    not say is left out, so that libpq's own defaults and its password file hold.
    """
    said = dict(target.options)
    parameters = {
        "host": target.host,
        "hostaddr": peer,
        "port": str(target.port),
        "user": target.username,
        "password": target.password,
        "dbname": target.database,
        "sslmode": said.get("sslmode", "require") if target.tls else "disable",
        "gssencmode": "disable",  # one round trip and a name look-up less; nothing here asks for it
        "application_name": said.get("application_name", APPLICATION_NAME),
        "connect_timeout": said.get("connect_timeout"),
        "options": said.get("options"),
    }
    return {key: value for key, value in parameters.items() if value}

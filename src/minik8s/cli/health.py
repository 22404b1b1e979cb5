"""Asking a component how it is: its /readyz on loopback."""

import http.client

from minik8s.cli.cluster import Cluster


def health_port(cluster: Cluster, component: str) -> int | None:
    """Where a component answers /readyz in plain HTTP; None for the API servers, which answer on their own port."""
    return cluster.ports.get(f"{component}/health")


def ask(port: int, timeout_s: float = 2.0) -> str:
    """`ok`, or what is wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    if response.status == 200:
        return "ok"
    failed = [line.removeprefix("[-]") for line in body.splitlines() if line.startswith("[-]")]
    return "; ".join(failed) or f"/readyz answers {response.status}"

"""Who is calling: what a request brings, who can read it, and the tokens the cluster itself issues."""

from minik8s.control.apiserver.authn.users import ADMIN, ANONYMOUS, SERVER, User

__all__ = ["ADMIN", "ANONYMOUS", "SERVER", "User"]

"""Plugins that ask what the user may do besides the write itself."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes as Question
from minik8s.control.apiserver.authz.attributes import Authorizer


class AskingPlugin(Plugin):
    """`selection` gives the authorizer; without one nobody may do anything."""

    def __init__(self, authorizer: Authorizer | None = None) -> None:
        self._authorizer = authorizer

    async def may(
        self,
        write: Attributes,
        verb: str,
        group: str,
        plural: str,
        name: str,
        *,
        subresource: str = "",
        namespace: str = "",
    ) -> bool:
        """Whether the user of the write may do this too."""
        if self._authorizer is None:
            return False
        extra = {key: tuple(values) for key, values in write.extra.items()}
        user = User(write.user_name, tuple(write.groups), write.uid, extra)
        question = Question(user, verb, group, "*", plural, subresource, namespace, name)
        return (await self._authorizer.authorize(question)).is_allowed

"""What can go wrong with an expression, and what it may cost."""

COST_MAX = 1_000_000
"""Steps of one evaluation, as upstream's PerCallLimit. A million take about a fifth of a second."""


class CelError(Exception):
    """An expression that cannot be compiled, or whose evaluation has no value; the text is upstream's."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.position = position  # in the expression, in characters; -1 of an evaluation


class Aborted(CelError):
    """The end of an evaluation, whatever the expression says: no operator forgives it."""


class CostExceeded(Aborted):
    """An evaluation that took too many steps."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class Budget:
    """The steps that are left; several evaluations can share one."""

    __slots__ = ("left",)

    def __init__(self, steps: int = COST_MAX) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises CostExceeded when there are not so many left."""
        self.left -= steps
        if self.left < 0:
            raise CostExceeded


def located(source: str, position: int, message: str) -> CelError:
    """A fault of the text, shown as cel-go does: the line, and a mark below the place."""
    position = max(0, min(position, len(source)))
    start = source.rfind("\n", 0, position) + 1
    end = source.find("\n", position)
    line = source[start : end if end >= 0 else len(source)]
    number, column = source.count("\n", 0, position) + 1, position - start + 1
    shown = f"ERROR: <input>:{number}:{column}: {message}\n | {line}\n | {'.' * (column - 1)}^"
    return CelError(shown, position)

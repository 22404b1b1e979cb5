"""From words to trees: the parser. Pure.

The grammar is that of the CEL specification, with optional field selection and entries (`a.?b`, `[?x]`, `{?k: v}`).
Operators are parsed by precedence, so that depth of the Python stack is bounded by the depth of the tree, and that is
limited: any text gives a tree or a CelError.
"""

from collections.abc import Iterator

from minik8s.control.apiserver.cel.errors import CelError, located
from minik8s.control.apiserver.cel.lexer import END, Token, tokens
from minik8s.control.apiserver.cel.nodes import (
    Choice,
    Index,
    Invoke,
    Literal,
    Logic,
    MakeList,
    MakeMap,
    MakeMessage,
    Name,
    Node,
    Select,
    qualified,
)

DEPTH_MAX = 60  # of brackets and the like
CHAIN_MAX = 200  # of operators in a row
SOURCE_CHARS_MAX = 100_000
RESERVED = frozenset(
    """as break const continue else for function if import let loop package namespace return var void
    while""".split()  # noqa: SIM905
)
BINARY = {
    "==": (3, "_==_"),
    "!=": (3, "_!=_"),
    "<": (3, "_<_"),
    "<=": (3, "_<=_"),
    ">": (3, "_>_"),
    ">=": (3, "_>=_"),
    "in": (3, "@in"),
    "+": (4, "_+_"),
    "-": (4, "_-_"),
    "*": (5, "_*_"),
    "/": (5, "_/_"),
    "%": (5, "_%_"),
}


def parse(source: str) -> Node:
    """The tree of an expression. Raises CelError."""
    if len(source) > SOURCE_CHARS_MAX:
        raise CelError(f"expression code point size exceeds limit: size: {len(source)}, limit {SOURCE_CHARS_MAX}", 0)
    parser = _Parser(source)
    node = parser.expression()
    parser.expect(END)
    return node


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: Iterator[Token] = tokens(source)
        self._now = next(self._tokens)
        self._depth = 0

    def expression(self) -> Node:
        """Everything below the conditional operator."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._fault(f"expression recursion limit exceeded: {DEPTH_MAX}")
        node = self._logic("||")
        if self._now.kind == "?":
            position = self._advance().position
            yes = self._logic("||")
            self.expect(":")
            node = Choice(position, node, yes, self.expression())
        self._depth -= 1
        return node

    def expect(self, kind: str) -> Token:
        """The current token, if it is of the kind."""
        if self._now.kind != kind:
            wanted = "<EOF>" if kind == END else f"'{kind}'" if kind != "name" else "IDENTIFIER"
            if kind == END:
                raise self._fault(f"Syntax error: extraneous input {self._shown()} expecting <EOF>")
            raise self._fault(f"Syntax error: mismatched input {self._shown()} expecting {wanted}")
        return self._advance()

    def _logic(self, operator: str) -> Node:
        """A chain of equal logical operators is one node, however long."""
        operands = [self._logic("&&") if operator == "||" else self._binary(3)]
        position = self._now.position
        while self._now.kind == operator:
            self._advance()
            operands.append(self._logic("&&") if operator == "||" else self._binary(3))
        return operands[0] if len(operands) == 1 else Logic(position, operator, tuple(operands))

    def _binary(self, precedence: int) -> Node:
        left = self._unary() if precedence > 5 else self._binary(precedence + 1)
        length = 0
        while (found := BINARY.get(self._now.kind)) and found[0] == precedence:
            length += 1
            if length > CHAIN_MAX:
                raise self._fault(f"expression recursion limit exceeded: {CHAIN_MAX}")
            position = self._advance().position
            right = self._unary() if precedence == 5 else self._binary(precedence + 1)
            left = Invoke(position, found[1], None, (left, right))
        return left

    def _unary(self) -> Node:
        signs = []
        while self._now.kind in ("!", "-"):
            signs.append(self._advance())
            if len(signs) > DEPTH_MAX:
                raise self._fault(f"expression recursion limit exceeded: {DEPTH_MAX}")
        if signs and signs[-1].kind == "-" and self._now.kind in ("int", "double"):
            number = self._advance()
            value = -number.value if number.kind == "double" else self._integer(-number.value, number)
            node = self._members(Literal(signs.pop().position, value))
        else:
            if self._now.kind == "int":
                self._integer(self._now.value, self._now)
            node = self._members(self._primary())
        for sign in reversed(signs):
            node = Invoke(sign.position, "!_" if sign.kind == "!" else "-_", None, (node,))
        return node

    def _integer(self, value: int, token: Token) -> int:
        if not -(2**63) <= value < 2**63:
            raise located(self._source, token.position, "Syntax error: invalid int literal")
        return value

    def _members(self, node: Node) -> Node:
        """Selections, indices and calls that follow."""
        length = 0
        while self._now.kind in (".", "[", "{"):
            length += 1
            if length > CHAIN_MAX:
                raise self._fault(f"expression recursion limit exceeded: {CHAIN_MAX}")
            position = self._now.position
            if self._now.kind == "{":
                type_name = qualified(node)
                if type_name is None:
                    break
                node = self._message(type_name)
            elif self._advance().kind == ".":
                node = self._selection(node, position)
            else:
                is_optional = self._take("?")
                index = self.expression()
                self.expect("]")
                node = Index(position, node, index, is_optional)
        return node

    def _selection(self, node: Node, position: int) -> Node:
        is_optional = self._take("?")
        if self._now.kind not in ("name", "quoted", "in") and self._now.kind not in ("true", "false", "null"):
            raise self._fault(f"Syntax error: no viable alternative at input '.{self._now.text}'")
        field = self._advance()
        if self._now.kind == "(" and not is_optional and field.kind == "name":
            return Invoke(field.position, field.text, node, self._arguments())
        return Select(position, node, field.value, is_optional)

    def _primary(self) -> Node:
        token = self._now
        match token.kind:
            case "int" | "uint" | "double" | "string" | "bytes" | "true" | "false" | "null":
                self._advance()
                return Literal(token.position, token.value)
            case "(":
                self._advance()
                node = self.expression()
                self.expect(")")
                return node
            case "[":
                return self._list()
            case "{":
                return self._map()
            case "." | "name":
                self._take(".")  # A name of the root; there is only one container here.
                name = self.expect("name")
                if self._now.kind == "(":
                    return Invoke(name.position, name.text, None, self._arguments())
                if name.text in RESERVED:
                    message = f"reserved identifier: {name.text}"
                    raise located(self._source, name.position, message)
                return Name(name.position, name.text)
        raise self._fault(f"Syntax error: mismatched input {self._shown()} expecting an expression")

    def _arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        found = []
        while self._now.kind != ")":
            found.append(self.expression())
            if not self._take(","):
                break
        self.expect(")")
        return tuple(found)

    def _list(self) -> Node:
        position, items = self.expect("[").position, []
        while self._now.kind != "]":
            is_optional = self._take("?")
            items.append((self.expression(), is_optional))
            if not self._take(","):
                break
        self.expect("]")
        return MakeList(position, tuple(items))

    def _map(self) -> Node:
        position, entries = self.expect("{").position, []
        while self._now.kind != "}":
            is_optional = self._take("?")
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression(), is_optional))
            if not self._take(","):
                break
        self.expect("}")
        return MakeMap(position, tuple(entries))

    def _message(self, type_name: str) -> Node:
        position, entries = self.expect("{").position, []
        while self._now.kind != "}":
            is_optional = self._take("?")
            field = self._advance() if self._now.kind == "quoted" else self.expect("name")
            self.expect(":")
            entries.append((field.value, self.expression(), is_optional))
            if not self._take(","):
                break
        self.expect("}")
        return MakeMessage(position, type_name, tuple(entries))

    def _advance(self) -> Token:
        token = self._now
        if token.kind != END:
            self._now = next(self._tokens)
        return token

    def _take(self, kind: str) -> bool:
        if self._now.kind == kind:
            self._advance()
            return True
        return False

    def _shown(self) -> str:
        return "'<EOF>'" if self._now.kind == END else f"'{self._now.text}'"

    def _fault(self, message: str) -> CelError:
        return located(self._source, self._now.position, message)

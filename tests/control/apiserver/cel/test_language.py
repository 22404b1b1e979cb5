"""The language: upstream's examples and the rules of the specification, as tables."""

import pytest

from minik8s.control.apiserver import cel
from minik8s.control.apiserver.cel import DYN, CelError
from minik8s.control.apiserver.cel.values import Duration, Timestamp

SELF = {
    "replicas": 3,
    "minReplicas": 1,
    "maxReplicas": 5,
    "name": "web-1",
    "ratio": 0.5,
    "namespace": "ns",
    "x-y.z": {"a/b": 1},
    "details": {"a": 1, "b": 2},
    "items": [{"name": "a", "port": 80}, {"name": "b", "port": 443}],
    "nothing": None,
    "expired": "2020-01-01T00:00:00Z",
}
OLD = SELF | {"replicas": 2}


def evaluate(source, **more):
    bindings = {"self": SELF, "oldSelf": OLD} | more
    return cel.compile(source, dict.fromkeys(bindings, DYN)).evaluate(bindings)


TRUE = r"""
self.minReplicas <= self.replicas && self.replicas <= self.maxReplicas
self.replicas >= oldSelf.replicas
self.items.all(i, i.port > 0) && !self.items.exists(i, i.name == 'c')
self.items.exists_one(i, i.port == 443)
self.items.map(i, i.name) == ['a', 'b']
self.items.map(i, i.port > 100, i.name) == ['b']
self.items.filter(i, i.name == 'a').size() == 1
size(self.items.filter(i, i.name == 'a')) == 1
has(self.name) && !has(self.nope) && !has(self.details.c)
self.details.all(k, self.details[k] > 0)
self.details.map(k, k) == ['a', 'b']
self.__namespace__ == 'ns' && self.namespace == 'ns'
self.x__dash__y__dot__z.a__slash__b == 1
self.`x-y.z`.`a/b` == 1
self.nothing == null
'a' in self.details && !('c' in self.details) && 80 in self.items.map(i, i.port)
self.ratio == 0.5 && self.ratio < 1 && 1 > self.ratio
1 == 1.0 && 1u == 1 && 1 != 1.5 && dyn(1) != 'a' && {1: 'x'}[1u] == 'x'
5 / 2 == 2 && -5 / 2 == -2 && -5 % 2 == -1 && 5 % 2 == 1 && 5.0 / 2.0 == 2.5
1u + 2u == 3u && 0x1f == 31 && 1e3 == 1000.0 && .5 == 0.5
'a' + 'b' == "ab" && b'a' + b'\x01' == b'a\001' && '\u00e9' == 'é' && r'\n' == '\\n'
'hällo'.size() == 5 && bytes('ä').size() == 2
true ? true : 1 / 0 == 0
false && 1 / 0 == 0 || true
(1 / 0 == 0 || true) && !(1 / 0 == 0 && false)
[1, 0].exists(x, 1 / x == 1) && ![0, 1].all(x, 1 / x == 2)
!(true in {1: 'a'}) && !(1 in {true: 'a'}) && 1.0 in {1: 'a'} && !{1: 'a'}[?true].hasValue()
[1, [2, 3]] == [1, [2, 3]] && {'a': [1]} == {'a': [1]} && [1] != [2]
type(1) == int && type('') == string && type(1u) == uint && type(null) == null_type && type([]) == list
type(timestamp('2020-01-01T00:00:00Z')) == google.protobuf.Timestamp
int('42') == 42 && int(3.9) == 3 && uint('7') == 7u && double('1.5') == 1.5 && string(1.5) == '1.5' && bool('true')
string(1u) == '1' && string(true) == 'true' && string(2.0) == '2' && int(timestamp(5)) == 5
duration('1h30m') == duration('90m') && string(duration('1h30m')) == '5400s' && duration('1.5s') > duration('1s')
timestamp('2020-01-01T00:00:00Z') + duration('24h') == timestamp('2020-01-02T00:00:00Z')
timestamp('2020-02-03T04:05:06.789Z').getMonth() == 1
timestamp('2020-02-03T04:05:06.789Z').getMilliseconds() == 789
timestamp('2020-01-01T00:00:00Z').getHours('+02:30') == 2 && timestamp('2020-01-05T00:00:00Z').getDayOfWeek() == 0
string(timestamp('2020-01-01T02:00:00+02:00')) == '2020-01-01T00:00:00Z'
timestamp(self.expired) < timestamp('2024-01-01T00:00:00Z') && duration('61s').getMinutes() == 1
self.?nope.hasValue() == false && self.?nope.?deeper.orValue('x') == 'x' && self.?name.value() == 'web-1'
self.?details.a.orValue(0) == 1 && self.items[?5].hasValue() == false && self.details[?'a'].orValue(9) == 1
[1, ?optional.none(), ?optional.of(2)] == [1, 2] && {?'a': optional.none(), 'b': 1} == {'b': 1}
self.?name.optMap(n, n + '!').orValue('') == 'web-1!' && optional.ofNonZeroValue('').or(optional.of(1)).value() == 1
optional.of([1]).optFlatMap(l, l[?0]).value() == 1
cel.bind(n, self.name, n + n) == 'web-1web-1'
[1, 2].all(i, v, v == i + 1) && {'a': 1}.exists(k, v, k == 'a' && v == 1)
[1, 2].transformList(i, v, i + v) == [1, 3]
{'a': 1}.transformMap(k, v, v + 1) == {'a': 2} && {'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}
[1].exists(x, [2].exists(x, x == 2) && x == 1)
[1, 2, 3].isSorted() && ![2, 1].isSorted() && ['a', 'b'].isSorted() && [1, 3].sum() == 4 && [1.5, 0.5].sum() == 2.0
[1, 3, 2].max() == 3 && [1, 3, 2].min() == 1 && [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2
[].sum() == 0 && [1, 1, 2].distinct() == [1, 2]
[[1], [2, [3]]].flatten() == [1, 2, [3]] && [1, 2, 3].slice(1, 2) == [2]
lists.range(3) == [0, 1, 2] && [1, 2].reverse() == [2, 1]
sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 1], [1])
sets.intersects([1], [1, 2]) && !sets.intersects([1], [])
'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2'] && 'a1b2'.findAll('[0-9]', 1) == ['1']
'abc'.matches('^a.c$') && matches('abc', 'b') && !'abc'.matches('^b')
'Hello'.lowerAscii() == 'hello' && 'é'.upperAscii() == 'é' && ' x '.trim() == 'x' && 'abc'.reverse() == 'cba'
'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b']
['a', 'b'].join() == 'ab' && ['a', 'b'].join(', ') == 'a, b' && 'aXbX'.replace('X', '', 1) == 'abX'
'hello'.substring(1, 3) == 'el' && 'hello'.charAt(4) == 'o'
'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3
'%s has %d of %.2f, %x %X %o %b %%'.format(['a', 3, 2.5, 255, 255, 8, 5]) == 'a has 3 of 2.50, ff FF 10 101 %'
'%s'.format([[1, 'a', {'k': true}]]) == '[1, a, {k: true}]' && strings.quote('a"b') == '"a\\"b"'
base64.encode(b'hello') == 'aGVsbG8=' && base64.decode('aGVsbG8=') == b'hello'
url('https://example.com:80/path?a=1&a=2').getPort() == '80'
url('https://example.com/x').getHost() == 'example.com'
url('https://[::1]:80/').getHostname() == '::1' && url('/a').getScheme() == '' && isURL('https://a/') && !isURL('a b')
url('https://example.com/p?k=a&k=b').getQuery()['k'] == ['a', 'b']
ip('127.0.0.1').family() == 4 && ip('::1').isLoopback()
isIP('1.2.3.4') && !isIP('1.2.3.04') && ip.isCanonical('::1')
ip('127.0.0.1') == ip('127.0.0.1') && ip('8.8.8.8').isGlobalUnicast() && string(ip('::1')) == '::1'
cidr('192.168.0.0/24').containsIP('192.168.0.1') && !cidr('192.168.0.0/24').containsIP(ip('192.168.1.1'))
cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24') && cidr('10.0.0.5/8').masked() == cidr('10.0.0.0/8')
cidr('10.0.0.0/8').prefixLength() == 8 && isCIDR('::/0')
!isCIDR('10.0.0.0/33') && cidr('10.0.0.5/8').ip() == ip('10.0.0.5')
quantity('500m').isLessThan(quantity('1')) && quantity('1Gi').isGreaterThan(quantity('1Mi')) && isQuantity('1.5')
quantity('50k').add(quantity('20k')) == quantity('70k') && quantity('50k').sub(20000).compareTo(quantity('30k')) == 0
quantity('200M').asInteger() == 200000000
quantity('1.5').asApproximateFloat() == 1.5 && quantity('-1').sign() == -1
!isQuantity('x') && quantity('1000m') == quantity('1') && quantity('1m').isInteger() == false
semver('1.2.3').major() == 1
semver('1.0.0-alpha').isLessThan(semver('1.0.0')) && semver('1.10.0').isGreaterThan(semver('1.9.0'))
isSemver('1.0.0') && !isSemver('1.0')
isSemver('v1.0', true) && semver('1.0.0-a.1').compareTo(semver('1.0.0-a.2')) == -1
!format.dns1123Label().validate('abc').hasValue() && format.named('uuid').hasValue() && !format.named('x').hasValue()
format.dns1123Label().validate('A.b').value().size() > 0 && !format.qualifiedName().validate('a/b').hasValue()
format.datetime().validate('x') == optional.of(['invalid datetime'])
!self.items.exists(i, i.name.startsWith('z')) && self.name.endsWith('1') && self.name.contains('eb')
jsonpatch.escapeKey('k8s.io/my~label') == 'k8s.io~1my~0label'
-(-3) == 3 && - 3 == -3 && !(!true) && -9223372036854775808 < 0
"""


@pytest.mark.parametrize("source", TRUE.strip().splitlines())
def test_expressions_that_hold(source):
    assert evaluate(source) is True


VALUES = {
    "'''two\nlines'''": "two\nlines",
    "1 // a comment\n + 1": 2,
    "b'\\xff\\377a'": b"\xff\xffa",
    "'\\x41\\101\\n'": "AA\n",
    "timestamp('1970-01-01T00:00:01.5Z')": Timestamp(1_500_000_000),
    "duration('-1.5s')": Duration(-1_500_000_000),
    "[1, 2u, 3.0, 'x', null]": [1, 2, 3.0, "x", None],
    "'a' + 'b' + string(1)": "ab1",
    "{'a': {'b': [1]}}": {"a": {"b": [1]}},
    "1.0 / 0.0": float("inf"),
}


@pytest.mark.parametrize("source", VALUES)
def test_expressions_have_values(source):
    assert evaluate(source) == VALUES[source]


FAILURES = {
    "self.nope": "no such key: nope",
    "self.details['zz']": "no such key: zz",
    "self.items[7]": "index out of bounds: 7",
    "1 / 0": "division by zero",
    "1 % 0": "modulus by zero",
    "9223372036854775807 + 1": "integer overflow",
    "0u - 1u": "unsigned integer overflow",
    "self.name + self.replicas": "no such overload",
    "self.name && true": "no such overload",
    "self.replicas.items": "does not support field selection",
    "int('x')": "invalid syntax",
    "int(1e300)": "integer overflow",
    "timestamp('2020-13-01T00:00:00Z')": "type conversion error",
    "duration('1d')": "type conversion error",
    "'x'.matches('[')": "error parsing regexp",
    "'abc'.substring(4)": "index out of range: 4",
    "optional.none().value()": "optional.none() dereference",
    "[].min()": "min called on empty list",
    "quantity('x')": "quantities must match",
    "ip('x')": "parse error",
    "{'a': 1, 'a': 2}": "repeated key",
    "'%d'.format(['x'])": "error during formatting",
    "'%s'.format([])": "out of range",
    "timestamp('9999-12-31T23:59:59Z') + duration('1h')": "timestamp overflow",
}


@pytest.mark.parametrize("source", FAILURES)
def test_evaluations_that_fail_say_why(source):
    with pytest.raises(CelError) as caught:
        evaluate(source)
    assert FAILURES[source] in caught.value.message


FAULTS = {
    "nope": ("undeclared reference to 'nope' (in container '')", 0),
    "self.x.nope()": ("undeclared reference to 'nope' (in container '')", 7),
    "7 / 0.0": ("found no matching overload for '_/_' applied to '(int, double)'", 2),
    "1 + 'a'": ("found no matching overload for '_+_' applied to '(int, string)'", 2),
    "'a'.startsWith(1)": ("found no matching overload for 'startsWith' applied to 'string.(int)'", 4),
    "size(self.name) == 'a'": ("found no matching overload for '_==_' applied to '(int, string)'", 16),
    "1 in 'a'": ("found no matching overload for '@in' applied to '(int, string)'", 2),
    "1 && true": ("found no matching overload for '_&&_' applied to '(int, bool)'", 2),
    "1 ? 2 : 3": ("found no matching overload for '_?_:_'", 2),
    "self.": ("Syntax error: no viable alternative at input '.<EOF>'", 5),
    "1 +": ("Syntax error: mismatched input '<EOF>' expecting an expression", 3),
    "(1": ("Syntax error: mismatched input '<EOF>' expecting ')'", 2),
    "1 2": ("Syntax error: extraneous input '2' expecting <EOF>", 2),
    "'abc": ("Syntax error: token recognition error", 0),
    "'\\q'": ("Syntax error: token recognition error", 1),
    "a ~ b": ("Syntax error: token recognition error at: '~'", 2),
    "while": ("reserved identifier: while", 0),
    "has(self)": ("invalid argument to has() macro", 0),
    "self.all(1, true)": ("argument must be a simple name", 9),
    "'x'.all(y, true)": ("cannot be range of a comprehension", 4),
    "[1].all(x, 1)": ("expected type 'bool' but found 'int'", 11),
    "9223372036854775808": ("invalid int literal", 0),
    "99999999999999999999u": ("invalid uint literal", 0),
    "'a'.b": ("type 'string' does not support field selection", 3),
    "Other{a: 1}": ("undeclared reference to 'Other'", 5),
    "(" * 100 + "1" + ")" * 100: ("expression recursion limit exceeded", 60),
    "1" + "+1" * 500: ("expression recursion limit exceeded", 401),
    "": ("mismatched input '<EOF>'", 0),
}


@pytest.mark.parametrize("source", FAULTS, ids=lambda source: source[:20])
def test_faults_of_the_text_are_found_before_it_runs(source):
    message, position = FAULTS[source]
    with pytest.raises(CelError) as caught:
        cel.compile(source, {"self": DYN})
    assert message in caught.value.message
    assert caught.value.position == position


def test_a_fault_is_shown_where_it_is():
    with pytest.raises(CelError) as caught:
        cel.compile("self.a ==\n  nope", {"self": DYN})
    assert caught.value.message == (
        "ERROR: <input>:2:3: undeclared reference to 'nope' (in container '')\n |   nope\n | ..^"
    )


def test_what_is_known_of_a_result_is_its_type():
    assert cel.compile("1 + 1").result.name == "int"
    assert cel.compile("size('a') > 1 ? 'a' : 'b'").result.name == "string"
    assert cel.compile("dyn(1)").result.name == "dyn"


def test_long_chains_of_logic_are_one_step():
    source = " && ".join(["self.replicas > 0"] * 2000)
    assert evaluate(source) is True

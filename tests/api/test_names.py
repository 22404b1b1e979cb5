"""The syntax of names: every limit from both sides."""

import pytest

from minik8s.api import names

LONG = "a" * 63
LONGEST = ".".join(["a" * 50] * 4) + "." + "b" * 49


@pytest.mark.parametrize(
    ("faults_of", "good", "bad"),
    [
        (names.dns_label_faults, ["a", "a-1", "1a", LONG], ["", "A", "-a", "a-", "a.b", "a_b", "a\n", LONG + "a"]),
        (names.dns_subdomain_faults, ["a", "a.b", LONGEST], ["", "a..b", "A", ".a", "a.", LONGEST + "c"]),
        (names.dns_1035_label_faults, ["a", "a1", LONG], ["1a", "", "a.b", LONG + "a"]),
        (
            names.label_key_faults,
            ["a", "A_b.c", "example.com/a", f"{LONGEST}/{LONG}"],
            ["", "/a", "a/", "a/b/c", "A.com/a", "-a", LONG + "a", "a b"],
        ),
        (names.label_value_faults, ["", "a", "A_b.c-d", LONG], ["-a", "a b", LONG + "a", "a/b", "é"]),
        (names.config_key_faults, ["a", ".a", "A_b-c.d"], ["", "a b", ".", "..", "..a", "a/b", "a" * 254]),
        (names.env_name_faults, ["A", "1", "a.b-c", "a b"], ["", "a=b", "é", "a\tb"]),
        (names.port_name_faults, ["http", "a-1", "a" * 15], ["", "1", "a--b", "-a", "a-", "A", "a" * 16]),
    ],
)
def test_names_keep_to_their_syntax(faults_of, good, bad):
    assert [name for name in good if faults_of(name)] == []
    assert [name for name in bad if not faults_of(name)] == []


def test_faults_are_told_in_upstreams_words():
    assert names.dns_label_faults("a.b") == ["must not contain dots"]
    assert names.dns_label_faults("Web") == [
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ]
    assert names.label_value_faults(LONG + "a") == ["must be no more than 63 bytes"]

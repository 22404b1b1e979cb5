"""Addresses that cannot be endpoints, as upstream's ValidateEndpointIP."""

from ipaddress import IPv4Address, IPv6Address, ip_address

LOOPBACK_WRONG = "may not be in the loopback range (127.0.0.0/8, ::1/128)"


def special_ip_faults(text: str) -> list[str]:
    """What is wrong with a well-formed address, but for loopback ones: `admission.loopback_endpoints` judges those."""
    address = _meant(text)
    if address.is_unspecified:
        return [f"may not be unspecified ({text})"]
    if address.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if address.is_multicast and (address.packed[:3] == b"\xe0\x00\x00" or address.packed[:2] == b"\xff\x02"):
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []


def is_loopback(text: str) -> bool:
    """Whether an address means the machine itself; False of what is no address."""
    try:
        return _meant(text).is_loopback
    except ValueError:
        return False


def _meant(text: str) -> IPv4Address | IPv6Address:
    """`::ffff:127.0.0.1` is 127.0.0.1, as Go reads it. Raises ValueError."""
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address

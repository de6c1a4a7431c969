//! Where requests may go: which addresses the world may see, and what the operator says beside that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use super::subscription::Origin;

/// Where requests may go, and by which way. The default denies nothing to whoever wrote the configuration, and all but
/// public addresses to others.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// What is allowed beside public addresses to requests whose URL came over the API.
    pub allow: Vec<Destination>,
    /// What nothing is sent to, whoever wrote the URL.
    pub deny: Vec<Destination>,
    /// What everything is sent through, but to this machine.
    pub proxy: Option<Proxy>,
}

/// An HTTP proxy.
#[derive(Clone)]
pub struct Proxy {
    /// `http` or `https`, and perhaps a user's name and password.
    pub url: Url,
    /// What is not sent through it.
    pub except: Vec<Destination>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.url.host_str().unwrap_or_default())
    }
}

/// One or more places that requests can go to: an address, a network, a name, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    place: Place,
    /// `None` is every port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Network(IpNet),
    Name(String),
    /// All names that end with a dot and this.
    Below(String),
}

/// Why a text is no [`Destination`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("this is an address, where only its host belongs")]
    Url,
    #[error("this is not a network: write it as \"10.1.0.0/16\" or \"fd00:1::/32\"")]
    Network,
    #[error("this network has bits beyond its length; the network is \"{}\"", .0.trunc())]
    HostBits(IpNet),
    #[error("this is not a port")]
    Port,
    #[error(
        "`*` stands for all names below one, as in \"*.example.com\"; all addresses are \"0.0.0.0/0\" and \"::/0\""
    )]
    Wildcard,
    #[error("this is neither a name nor an address nor a network")]
    Host,
}

impl std::str::FromStr for Destination {
    type Err = DestinationError;

    /// Parses `10.1.0.0/16`, `10.1.2.3`, `[::1]:8080`, `hooks.example.com`, `hooks.example.com:8080` or `*.example.com`.
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.contains("://") {
            return Err(DestinationError::Url);
        }
        if text.contains('/') {
            let network: IpNet = text.parse().map_err(|_| DestinationError::Network)?;
            if network.trunc() != network {
                return Err(DestinationError::HostBits(network));
            }
            return Ok(Self { place: Place::Network(network), port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { place: Place::Network(meant(address).into()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| DestinationError::Port)?))
            }
            _ => (text, None),
        };
        let (below, host) = host.strip_prefix("*.").map_or((false, host), |host| (true, host));
        if host.contains('*') {
            return Err(DestinationError::Wildcard);
        }
        let place = match Host::parse(host).map_err(|_| DestinationError::Host)? {
            Host::Domain(name) if below => Place::Below(without_dot(&name).to_owned()),
            Host::Domain(name) => Place::Name(without_dot(&name).to_owned()),
            _ if below => return Err(DestinationError::Wildcard),
            Host::Ipv4(address) => Place::Network(IpAddr::V4(address).into()),
            Host::Ipv6(address) => Place::Network(meant(IpAddr::V6(address)).into()),
        };
        Ok(Self { place, port })
    }
}

impl Destination {
    fn has_name(&self, name: &str) -> bool {
        let name = without_dot(name);
        match &self.place {
            Place::Name(own) => name.eq_ignore_ascii_case(own),
            Place::Below(own) => {
                let split = name.len().checked_sub(own.len() + 1);
                split
                    .and_then(|at| name.get(at..))
                    .is_some_and(|end| end.strip_prefix('.').is_some_and(|end| end.eq_ignore_ascii_case(own)))
            }
            Place::Network(_) => false,
        }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        matches!(&self.place, Place::Network(network) if network.contains(&address))
    }

    /// Tells whether it may be this port that is meant. One that is not known is none of those that are allowed.
    fn allows_port(&self, port: Option<u16>) -> bool {
        self.port.is_none() || self.port == port
    }

    /// The same, but one that is not known is any of those that are denied.
    fn denies_port(&self, port: Option<u16>) -> bool {
        port.is_none() || self.allows_port(port)
    }
}

/// Why nothing is sent to a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the address {address} ({kind}) may not be connected to; `[egress] allow` could name it")]
    Forbidden { address: IpAddr, kind: &'static str },
    #[error("the address {0} may not be connected to: `[egress] deny` names it")]
    DeniedAddress(IpAddr),
    #[error("the host {0} may not be connected to: `[egress] deny` names it")]
    DeniedName(String),
}

impl Egress {
    /// Judges the host of a URL, before anything is resolved. The addresses of a name are judged apart.
    pub fn judge_host(&self, origin: Origin, host: &Host<&str>, port: Option<u16>) -> Result<(), Refusal> {
        match host {
            Host::Ipv4(address) => self.judge_address(origin, IpAddr::V4(*address), None, port),
            Host::Ipv6(address) => self.judge_address(origin, IpAddr::V6(*address), None, port),
            Host::Domain(name) => {
                let is_denied = self.deny.iter().any(|one| one.denies_port(port) && one.has_name(name));
                if is_denied { Err(Refusal::DeniedName((*name).to_owned())) } else { Ok(()) }
            }
        }
    }

    /// Judges the addresses that a name leads to: one that may not be connected to is enough to refuse them all.
    pub fn judge_resolved(
        &self,
        origin: Origin,
        name: &str,
        addresses: &[IpAddr],
        port: Option<u16>,
    ) -> Result<(), Refusal> {
        addresses.iter().try_for_each(|address| self.judge_address(origin, *address, Some(name), port))
    }

    /// Tells whether the addresses of names matter to requests with URLs of this origin.
    pub fn judges_addresses(&self, origin: Origin) -> bool {
        origin == Origin::Api || self.deny.iter().any(|one| matches!(one.place, Place::Network(_)))
    }

    /// Returns the proxy that requests to this host go through. This machine is never asked for through one.
    pub fn proxy_for(&self, host: &Host<&str>, port: Option<u16>) -> Option<&Proxy> {
        let is_excepted = |one: &Destination| {
            one.allows_port(port)
                && match host {
                    Host::Domain(name) => one.has_name(name),
                    Host::Ipv4(address) => one.has_address(IpAddr::V4(*address)),
                    Host::Ipv6(address) => one.has_address(meant(IpAddr::V6(*address))),
                }
        };
        let is_here = match host {
            Host::Domain(name) => {
                let name = without_dot(name);
                name == "localhost" || name.ends_with(".localhost")
            }
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => meant(IpAddr::V6(*address)).is_loopback(),
        };
        self.proxy.as_ref().filter(|proxy| !is_here && !proxy.except.iter().any(is_excepted))
    }

    fn judge_address(
        &self,
        origin: Origin,
        address: IpAddr,
        name: Option<&str>,
        port: Option<u16>,
    ) -> Result<(), Refusal> {
        let denies = |address| self.deny.iter().any(|one| one.denies_port(port) && one.has_address(address));
        if denies(address) || embedded(address).any(|embedded| denies(IpAddr::V4(embedded))) {
            return Err(Refusal::DeniedAddress(address));
        }
        let Some(kind) = (if origin == Origin::Api { kind_of(address) } else { None }) else { return Ok(()) };
        let allowed = self.allow.iter().filter(|one| one.allows_port(port));
        let is_allowed = allowed.into_iter().any(|one| {
            one.has_address(meant(address))
                // Whoever could make a name lead anywhere should not come to the keys of the machine by it.
                || kind != METADATA && name.is_some_and(|name| one.has_name(name))
        });
        if is_allowed { Ok(()) } else { Err(Refusal::Forbidden { address, kind }) }
    }
}

/// Returns what an address is if it is none that the world can reach, by the registries of special-purpose addresses
/// that IANA keeps (RFC 6890, as of 2024), the addresses at which clouds give away their keys, and, for IPv6 addresses that
/// stand for an IPv4 address, by that one.
///
/// It is stricter than the registries in what no receiver has for an address: the rest of 192.0.0.0/24 and 2001::/23,
/// and all of IPv6 that is not yet global unicast (2000::/3).
pub fn kind_of(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

const METADATA: &str = "cloud metadata";

/// Where clouds tell machines their keys; most of these addresses are local, but not all.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(segments: [u16; 4], length: u8) -> Ipv6Net {
    let [a, b, c, d] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// The first network that holds an address says what it is.
const SPECIAL_V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 32), "unspecified"),
    (v4(0, 0, 0, 0, 8), "this network, RFC 791"),
    (v4(10, 0, 0, 0, 8), "private, RFC 1918"),
    (v4(100, 64, 0, 0, 10), "carrier NAT, RFC 6598"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local"),
    (v4(172, 16, 0, 0, 12), "private, RFC 1918"),
    (v4(192, 0, 0, 0, 24), "IETF protocol assignments, RFC 6890"),
    (v4(192, 0, 2, 0, 24), "documentation, RFC 5737"),
    (v4(192, 88, 99, 0, 24), "6to4 relays, RFC 7526"),
    (v4(192, 168, 0, 0, 16), "private, RFC 1918"),
    (v4(198, 18, 0, 0, 15), "benchmarking, RFC 2544"),
    (v4(198, 51, 100, 0, 24), "documentation, RFC 5737"),
    (v4(203, 0, 113, 0, 24), "documentation, RFC 5737"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved, RFC 1112"),
];

const SPECIAL_V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (v6([0, 0, 0, 0], 96), "IPv4-compatible, RFC 4291"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96), "IPv4-translated, RFC 2765"),
    (LOCAL_NAT64, "local NAT64, RFC 8215"),
    (v6([0x100, 0, 0, 0], 64), "discard, RFC 6666"),
    (TEREDO, "Teredo, RFC 4380"),
    (v6([0x2001, 2, 0, 0], 48), "benchmarking, RFC 5180"),
    (v6([0x2001, 0x10, 0, 0], 28), "ORCHID, RFC 4843"),
    (v6([0x2001, 0x20, 0, 0], 28), "ORCHID, RFC 7343"),
    (v6([0x2001, 0, 0, 0], 23), "IETF protocol assignments, RFC 2928"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "documentation, RFC 3849"),
    (v6([0x3fff, 0, 0, 0], 20), "documentation, RFC 9637"),
    (v6([0x5f00, 0, 0, 0], 16), "segment routing, RFC 9602"),
    (v6([0xfc00, 0, 0, 0], 7), "unique-local, RFC 4193"),
    (v6([0xfe80, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0], 10), "site-local, RFC 3879"),
    (v6([0xff00, 0, 0, 0], 8), "multicast"),
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);
const LOCAL_NAT64: Ipv6Net = v6([0x64, 0xff9b, 1, 0], 48);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0], 16);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0], 32);

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    if METADATA_V4.contains(&address) {
        return Some(METADATA);
    }
    SPECIAL_V4.iter().find(|(network, _)| network.contains(&address)).map(|(_, kind)| *kind)
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    if METADATA_V6.contains(&address) {
        return Some(METADATA);
    }
    if is_isatap(address) {
        return Some("ISATAP, RFC 5214");
    }
    if let Some((_, kind)) = SPECIAL_V6.iter().find(|(network, _)| network.contains(&address)) {
        return Some(kind);
    }
    if MAPPED.contains(&address) || NAT64.contains(&address) {
        return kind_of_v4(v4_at(address, 12));
    }
    if SIX_TO_FOUR.contains(&address) {
        return kind_of_v4(v4_at(address, 2));
    }
    (!GLOBAL_UNICAST.contains(&address)).then_some("reserved, RFC 4291")
}

/// Returns the address that is connected to: a mapped one is the IPv4 address in it, and so is one of NAT64.
fn meant(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(whole) if MAPPED.contains(&whole) || NAT64.contains(&whole) => v4_at(whole, 12).into(),
        other => other,
    }
}

/// Returns the IPv4 addresses that an IPv6 address may stand for, in whatever way.
fn embedded(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let whole = match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    };
    whole.into_iter().flat_map(|address| {
        let is_local_nat64 = LOCAL_NAT64.contains(&address);
        let ends_with_one =
            address.octets()[..8] == [0; 8] || NAT64.contains(&address) || is_local_nat64 || is_isatap(address);
        let is_teredo = TEREDO.contains(&address);
        [
            ends_with_one.then(|| v4_at(address, 12)),
            SIX_TO_FOUR.contains(&address).then(|| v4_at(address, 2)),
            is_teredo.then(|| v4_at(address, 4)),
            is_teredo.then(|| !v4_at(address, 12)),
            is_local_nat64.then(|| in_local_nat64(address)),
        ]
        .into_iter()
        .flatten()
    })
}

/// Returns the four bytes of an address from this one on.
fn v4_at(address: Ipv6Addr, at: usize) -> Ipv4Addr {
    let bytes = address.octets()[at..].first_chunk::<4>().copied();
    Ipv4Addr::from(bytes.expect("an address has 16 bytes, of which the last four begin at the 12th"))
}

/// Returns the address in one of a NAT64 with a prefix of 48 bits: between its halves lies a byte that is always zero (RFC
/// 6052, 2.2).
fn in_local_nat64(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, _, c, d, _, _, _, _, _] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

fn is_isatap(address: Ipv6Addr) -> bool {
    let [_, _, _, _, high, low, ..] = address.segments();
    matches!(high, 0 | 0x0200) && low == 0x5efe
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(texts: &[&str]) -> Vec<Destination> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn egress(allow: &[&str], deny: &[&str]) -> Egress {
        Egress { allow: destinations(allow), deny: destinations(deny), proxy: None }
    }

    /// Judges a URL as one that came over the API, whose name leads to these addresses.
    fn judge(egress: &Egress, origin: Origin, url: &str, addresses: &[&str]) -> Result<(), String> {
        let url = Url::parse(url).expect(url);
        let host = url.host().expect("a host");
        let port = url.port_or_known_default();
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().expect(address)).collect();
        egress
            .judge_host(origin, &host, port)
            .and_then(|()| egress.judge_resolved(origin, url.host_str().expect("a host"), &addresses, port))
            .map_err(|refusal| refusal.to_string())
    }

    #[track_caller]
    fn check_kind(address: &str, expected: Option<&str>) {
        assert_eq!(kind_of(address.parse().expect(address)), expected, "{address}");
    }

    #[test]
    fn each_special_address_is_known_for_what_it_is() {
        for public in
            ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.32.0.0", "192.0.1.0"]
        {
            check_kind(public, None);
        }
        for public in
            ["2606:4700::1111", "2a00::1", "2001:200::1", "2620:4f:8000::1", "64:ff9b::8.8.8.8", "::ffff:1.1.1.1"]
        {
            check_kind(public, None);
        }
        check_kind("2002:808:808::1", None);
        check_kind("0.0.0.0", Some("unspecified"));
        check_kind("0.1.2.3", Some("this network, RFC 791"));
        check_kind("10.0.0.1", Some("private, RFC 1918"));
        check_kind("100.64.0.1", Some("carrier NAT, RFC 6598"));
        check_kind("127.255.255.255", Some("loopback"));
        check_kind("169.254.1.1", Some("link-local"));
        check_kind("172.31.255.255", Some("private, RFC 1918"));
        check_kind("192.0.0.8", Some("IETF protocol assignments, RFC 6890"));
        check_kind("198.19.255.255", Some("benchmarking, RFC 2544"));
        check_kind("203.0.113.9", Some("documentation, RFC 5737"));
        check_kind("239.1.1.1", Some("multicast"));
        check_kind("255.255.255.255", Some("broadcast"));
        check_kind("250.0.0.1", Some("reserved, RFC 1112"));
        check_kind("::", Some("unspecified"));
        check_kind("::1", Some("loopback"));
        check_kind("::2", Some("IPv4-compatible, RFC 4291"));
        check_kind("fd12::1", Some("unique-local, RFC 4193"));
        check_kind("fe80::1", Some("link-local"));
        check_kind("fec0::1", Some("site-local, RFC 3879"));
        check_kind("ff02::1", Some("multicast"));
        check_kind("100::1", Some("discard, RFC 6666"));
        check_kind("2001:2::1", Some("benchmarking, RFC 5180"));
        check_kind("2001:2f::1", Some("ORCHID, RFC 7343"));
        check_kind("2001:db8::1", Some("documentation, RFC 3849"));
        check_kind("3fff:fff::1", Some("documentation, RFC 9637"));
        check_kind("4000::1", Some("reserved, RFC 4291"));
    }

    #[test]
    fn an_address_that_stands_for_another_is_judged_by_that() {
        check_kind("::ffff:10.0.0.1", Some("private, RFC 1918"));
        check_kind("64:ff9b::127.0.0.1", Some("loopback"));
        check_kind("2002:7f00:1::1", Some("loopback"));
        check_kind("::127.0.0.1", Some("IPv4-compatible, RFC 4291"));
        check_kind("::ffff:0:127.0.0.1", Some("IPv4-translated, RFC 2765"));
        check_kind("64:ff9b:1::127.0.0.1", Some("local NAT64, RFC 8215"));
        check_kind("2001:0:1::1", Some("Teredo, RFC 4380"));
        check_kind("2606:4700::5efe:127.0.0.1", Some("ISATAP, RFC 5214"));
        check_kind("2606:4700::200:5efe:8.8.8.8", Some("ISATAP, RFC 5214"));
    }

    #[test]
    fn where_clouds_keep_their_keys_is_no_place_to_go() {
        for address in ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"] {
            check_kind(address, Some("cloud metadata"));
        }
        check_kind("::ffff:168.63.129.16", Some("cloud metadata"));
        let named = egress(&["metadata.example.com"], &[]);
        let refused = judge(&named, Origin::Api, "http://metadata.example.com/", &["169.254.169.254"]);
        assert!(refused.is_err_and(|refusal| refusal.contains("cloud metadata")));
        let meant = egress(&["169.254.169.254"], &[]);
        assert_eq!(judge(&meant, Origin::Api, "http://169.254.169.254/", &[]), Ok(()));
    }

    #[test]
    fn one_forbidden_address_is_enough_to_refuse_a_name() {
        let usual = Egress::default();
        let judge = |addresses: &[&str]| judge(&usual, Origin::Api, "https://hooks.example.com/", addresses);
        assert_eq!(judge(&["1.1.1.1", "2606:4700::1111"]), Ok(()));
        let refusal =
            "the address 10.0.0.1 (private, RFC 1918) may not be connected to; `[egress] allow` could name it";
        assert_eq!(judge(&["1.1.1.1", "10.0.0.1"]), Err(refusal.to_owned()));
    }

    #[test]
    fn what_the_configuration_says_is_trusted_unless_it_denies_that_too() {
        let denying = egress(&["10.0.0.0/8"], &["10.1.0.0/16", "*.bad.example.com", "bad.example.com:8080"]);
        let check = |origin, url: &str, addresses: &[&str], expected: Result<(), &str>| {
            assert_eq!(judge(&denying, origin, url, addresses), expected.map_err(str::to_owned), "{url}");
        };
        for origin in [Origin::Configuration, Origin::Api] {
            check(origin, "http://10.2.0.1/", &[], Ok(()));
            let denied = "the address 10.1.2.3 may not be connected to: `[egress] deny` names it";
            check(origin, "http://10.1.2.3/", &[], Err(denied));
            check(origin, "http://a.example.com/", &["10.1.2.3"], Err(denied));
            let denied = "the host a.bad.example.com. may not be connected to: `[egress] deny` names it";
            check(origin, "http://A.bad.example.com./", &["1.1.1.1"], Err(denied));
            check(origin, "http://bad.example.com/", &["1.1.1.1"], Ok(()));
            let denied = "the host bad.example.com may not be connected to: `[egress] deny` names it";
            check(origin, "http://bad.example.com:8080/", &["1.1.1.1"], Err(denied));
            for embedded in
                ["::ffff:10.1.2.3", "::10.1.2.3", "64:ff9b::10.1.2.3", "64:ff9b:1:a01:2:300::", "2002:a01:203::"]
            {
                assert!(judge(&denying, origin, &format!("http://[{embedded}]/"), &[]).is_err(), "{embedded}");
            }
        }
        check(Origin::Configuration, "http://127.0.0.1/", &[], Ok(()));
        assert!(judge(&denying, Origin::Api, "http://127.0.0.1/", &[]).is_err());
    }

    #[test]
    fn what_is_allowed_is_allowed_as_narrowly_as_it_is_written() {
        let allowing =
            egress(&["127.0.0.1:9000", "hooks.internal.example.com", "*.svc.example.com", "fd00:1::/32"], &[]);
        let check = |url: &str, addresses: &[&str], expected: bool| {
            assert_eq!(judge(&allowing, Origin::Api, url, addresses).is_ok(), expected, "{url}");
        };
        check("http://127.0.0.1:9000/", &[], true);
        check("http://127.0.0.1:9001/", &[], false);
        check("http://[::ffff:127.0.0.1]:9000/", &[], true);
        check("http://localhost:9000/", &["127.0.0.1"], true);
        check("http://localhost:9000/", &["127.0.0.1", "::1"], false);
        check("http://hooks.internal.example.com/", &["10.0.0.1", "127.0.0.1"], true);
        check("http://a.hooks.internal.example.com/", &["10.0.0.1"], false);
        check("http://a.b.svc.example.com./", &["10.0.0.1"], true);
        check("http://svc.example.com/", &["10.0.0.1"], false);
        check("http://evilsvc.example.com/", &["10.0.0.1"], false);
        check("http://[fd00:1:2::3]/", &[], true);
        // A port that is not known is none of those that are allowed, and any of those that are denied.
        let address = [IpAddr::from([127, 0, 0, 1])];
        assert!(allowing.judge_resolved(Origin::Api, "localhost", &address, None).is_err());
        let denying = egress(&[], &["127.0.0.1:9000"]);
        assert!(denying.judge_resolved(Origin::Configuration, "localhost", &address, None).is_err());
    }

    #[test]
    fn this_machine_is_not_asked_for_through_a_proxy() {
        let url = Url::parse("http://me:secret@proxy.example.com:3128").expect("a URL");
        let proxy = Proxy { url, except: destinations(&["*.example.com", "10.0.0.0/8", "here:81"]) };
        let egress = Egress { proxy: Some(proxy), ..Egress::default() };
        let check = |url: &str, expected: bool| {
            let url = Url::parse(url).expect(url);
            let host = url.host().expect("a host");
            assert_eq!(egress.proxy_for(&host, url.port_or_known_default()).is_some(), expected, "{url}");
        };
        check("http://hooks.example.org/", true);
        check("http://here/", true);
        for direct in ["http://localhost/", "http://a.localhost./", "http://127.0.0.2/", "http://[::1]/"] {
            check(direct, false);
        }
        for direct in ["https://a.example.com/", "http://10.1.2.3/", "http://[::ffff:10.1.2.3]/", "http://here:81/"] {
            check(direct, false);
        }
        assert!(!format!("{egress:?}").contains("secret"), "{egress:?}");
    }

    #[test]
    fn destinations_are_written_in_few_ways() {
        let check =
            |text: &str, expected: DestinationError| assert_eq!(text.parse::<Destination>(), Err(expected), "{text}");
        check("https://hooks.example.com", DestinationError::Url);
        check("10.0.0.0/33", DestinationError::Network);
        check("hooks.example.com/a", DestinationError::Network);
        check("10.1.2.3/16", DestinationError::HostBits("10.1.2.3/16".parse().expect("a network")));
        check("hooks.example.com:http", DestinationError::Port);
        check("hooks.example.com:70000", DestinationError::Port);
        check("*", DestinationError::Wildcard);
        check("hooks.*.example.com", DestinationError::Wildcard);
        check("*.10.0.0.1", DestinationError::Wildcard);
        check("", DestinationError::Host);
        check("a b", DestinationError::Host);
        let parse = |text: &str| text.parse::<Destination>().expect(text);
        assert_eq!(parse("B\u{fc}cher.Example."), parse("xn--bcher-kva.example"));
        assert_eq!(parse("[::1]:80").port, Some(80));
        assert_eq!(parse("[::1]"), parse("::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1/32"));
    }
}

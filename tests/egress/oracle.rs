//! The guard held against another's opinion: Python's `ipaddress`, which follows the same registries.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use pollhook::model::egress::{Egress, kind_of};
use pollhook::model::subscription::Origin;
use proptest::prelude::*;
use url::{Host, Url};

/// Says of each address on a line whether the world can reach it. What newer versions of Python know, older ones are told:
/// that a mapped address is the one in it, and the networks that were added to the registries since 2019.
const ORACLE: &str = r"
import ipaddress, sys
LATER = [ipaddress.ip_network(n) for n in ('64:ff9b:1::/48', '3fff::/20', '5f00::/16', '2002::/16')]
for line in sys.stdin:
    address = ipaddress.ip_address(line.strip())
    address = getattr(address, 'ipv4_mapped', None) or address
    is_global = address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
    if address.version == 6 and any(address in network for network in LATER):
        is_global = False
    print('yes' if is_global else 'no')
";

/// The networks of the registries, and what lies just beside them is asked for as well.
const NETWORKS: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.175.48.0/24",
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "2000::/3",
];

/// Returns the addresses at the edges of each network, on both sides, and some at random, half of them in a network.
fn addresses() -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut add = |is_v4: bool, bits: u128| {
        addresses.push(if is_v4 {
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).expect("32 bits")))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        });
    };
    let mut seed = fastrand::Rng::with_seed(4);
    for network in NETWORKS {
        let (address, length) = network.split_once('/').expect("a network");
        let length: u32 = length.parse().expect("a length");
        let (is_v4, first, width) = match address.parse().expect("an address") {
            IpAddr::V4(address) => (true, u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (false, address.to_bits(), 128),
        };
        let size = width - length;
        let mask = if size == 128 { u128::MAX } else { (1 << size) - 1 };
        for bits in [first.wrapping_sub(1), first, first + 1, first | mask, (first | mask).wrapping_add(1)] {
            add(is_v4, bits);
        }
        for _ in 0..40 {
            add(is_v4, first | (seed.u128(..) & mask));
        }
    }
    for _ in 0..1500 {
        add(true, seed.u128(..));
        // Of all that can be written, only an eighth is in use.
        add(false, seed.u128(..) >> 3 | 1 << 125);
        add(false, seed.u128(..));
    }
    addresses
}

/// Where the guard is stricter than the registries, because no receiver has such an address; and the addresses that stand
/// for one of IPv4, of which Python knows but the mapped ones.
fn differs(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            address == Ipv4Addr::new(168, 63, 129, 16)
                || (first, second, third) == (192, 0, 0)
                || (first, second, third) == (192, 88, 99)
        }
        IpAddr::V6(address) => {
            let segments = address.segments();
            let is_isatap = segments[5] == 0x5efe && (segments[4] & 0xfdff) == 0;
            let is_for_protocols = segments[0] == 0x2001 && segments[1] < 0x200;
            let stands_for_another = segments[0] == 0x2002 || segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
            let is_mapped = address.to_ipv4_mapped();
            match is_mapped {
                Some(address) => differs(IpAddr::V4(address)),
                None => is_isatap || is_for_protocols || stands_for_another || (segments[0] & 0xe000) != 0x2000,
            }
        }
    }
}

#[test]
fn the_guard_agrees_with_another() {
    let addresses = addresses();
    let lines = addresses.iter().fold(String::new(), |mut lines, address| {
        writeln!(lines, "{address}").expect("a string takes it");
        lines
    });
    let mut child = Command::new("python3")
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    let mut input = child.stdin.take().expect("it is piped");
    let writing = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    writing.join().expect("no panic").expect("Python reads its input");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let said: Vec<bool> = said.lines().map(|line| line == "yes").collect();
    assert_eq!(said.len(), addresses.len());
    let mut allowed = 0;
    for (address, is_global) in addresses.into_iter().zip(said) {
        let kind = kind_of(address);
        allowed += usize::from(kind.is_none());
        if differs(address) {
            continue;
        }
        assert_eq!(kind.is_none(), is_global, "{address}: {kind:?}");
    }
    assert!(allowed > 1500, "only {allowed} addresses are allowed");
}

/// All ways in which an IPv6 address can stand for one of IPv4.
fn embeddings(address: Ipv4Addr, random: u64) -> Vec<Ipv6Addr> {
    let bits = u128::from(address.to_bits());
    let [a, b, c, d] = address.octets().map(u128::from);
    let random = u128::from(random);
    let at_end = |prefix: u128| Ipv6Addr::from_bits(prefix | bits);
    vec![
        at_end(0),
        at_end(0xffff << 32),
        at_end(0xffff << 48),
        at_end(0x0064_ff9b << 96),
        at_end(0x0064_ff9b_0001 << 80),
        // As RFC 6052 puts it behind a prefix of 48 bits.
        Ipv6Addr::from_bits(0x0064_ff9b_0001 << 80 | a << 72 | b << 64 | c << 48 | d << 40),
        Ipv6Addr::from_bits(0x2002 << 112 | bits << 80 | random),
        Ipv6Addr::from_bits(0x2001 << 112 | bits << 64 | random),
        Ipv6Addr::from_bits(0x2001 << 112 | random << 32 | u128::from(!address.to_bits())),
        at_end(0x2606_4700 << 96 | 0x5efe << 32),
        at_end(0x2606_4700 << 96 | 0x0200_5efe << 32),
        at_end((0x2000 << 112) | (random >> 4) << 64 | 0x5efe << 32),
    ]
}

fn forbidden() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits).prop_filter("forbidden", |address| kind_of((*address).into()).is_some())
}

/// All ways to write an address of IPv4 that browsers understand.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let bits = address.to_bits();
    let [a, b, c, d] = address.octets();
    let (low, lower) = (bits & 0x00ff_ffff, bits & 0xffff);
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{bits}"),
        format!("{bits:#x}"),
        format!("0{bits:o}"),
        format!("{a}.{low}"),
        format!("{a:#x}.{b:#x}.{lower:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0{a:o}.{b}.{c:#x}.{d}"),
        format!("{a}.{b}.{c}.{d}").replace('.', "\u{3002}"),
        format!("{a}.{b}.{c}.{d}").replace('.', "%2e").replace('1', "%31"),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[0:0:0:0:0:FFFF:{:x}:{:x}]", bits >> 16, lower),
    ]
}

fn judged(host: &str) -> bool {
    let url = Url::parse(&format!("https://{host}/hook")).expect(host);
    let host = url.host().expect("a host");
    assert!(!matches!(host, Host::Domain(_)), "{host} is no literal");
    Egress::default().judge_host(Origin::Api, &host, Some(443)).is_ok()
}

proptest! {
    #[test]
    fn no_embedding_of_a_forbidden_address_is_let_through(address in forbidden(), random: u64) {
        for embedded in embeddings(address, random) {
            prop_assert!(kind_of(embedded.into()).is_some(), "{embedded} of {address}");
            // And whoever denies that address denies it in every form, also to those who are trusted.
            let deny = vec![address.to_string().parse().expect("an address")];
            let denying = Egress { deny, ..Egress::default() };
            let refused = denying.judge_host(Origin::Configuration, &Host::Ipv6(embedded), Some(443));
            prop_assert!(refused.is_err(), "{embedded} of {address}");
        }
    }

    #[test]
    fn no_spelling_of_a_forbidden_address_is_let_through(address in forbidden()) {
        for spelling in spellings(address) {
            prop_assert!(!judged(&spelling), "{spelling} of {address}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_judged_alike(address in any::<u32>().prop_map(Ipv4Addr::from_bits)) {
        let is_allowed = kind_of(address.into()).is_none();
        for spelling in spellings(address) {
            prop_assert_eq!(judged(&spelling), is_allowed, "{} of {}", spelling, address);
        }
    }

    #[test]
    fn what_a_network_allows_lies_in_it(address: u32, network: u32, length in 8_u8..=32) {
        let network = ipnet::Ipv4Net::new(Ipv4Addr::from_bits(network), length).expect("a network").trunc();
        let allow = vec![network.to_string().parse().expect("a network")];
        let allowing = Egress { allow, ..Egress::default() };
        let address = Ipv4Addr::from_bits(address);
        let is_inside = (address.to_bits() ^ network.addr().to_bits()).leading_zeros() >= u32::from(length);
        let expected = kind_of(address.into()).is_none() || is_inside;
        prop_assert_eq!(allowing.judge_host(Origin::Api, &Host::Ipv4(address), None).is_ok(), expected);
    }
}

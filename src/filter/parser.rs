//! Recursive descent over the words of an expression; see `docs/filter.md` for the grammar.

use std::net::{IpAddr, Ipv4Addr};

use super::lexer::{Kind, Lexer, Token};
use super::{Ends, FilterError, Join, Node, Test, names};

/// How deep parentheses and negations may nest.
const MAX_DEPTH: usize = 64;

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Node, FilterError> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next();
    let mut parser = Parser { text, lexer, token, last: None, depth: 0 };
    let node = parser.chain()?;
    match parser.token.kind {
        Kind::End => Ok(node),
        Kind::Close => Err(parser.wrong("there is no `(` for this `)`")),
        Kind::Word(_) => Err(parser.wrong("`and` or `or` is missing before this")),
        _ => Err(parser.wrong("`and`, `or` or the end was expected here")),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// What a value without a word before it means: the same as the one before.
    last: Option<Words>,
    depth: usize,
}

/// The words before a value.
#[derive(Clone, Copy, Debug, Default)]
struct Words {
    family: Family,
    ends: Ends,
    what: What,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Family {
    #[default]
    Any,
    Ip,
    Ip6,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum What {
    #[default]
    Host,
    Net,
    Port,
    PortRange,
}

impl Parser<'_> {
    fn chain(&mut self) -> Result<Node, FilterError> {
        let first = self.factor()?;
        let mut rest = Vec::new();
        loop {
            let join = match self.token.kind {
                Kind::And => Join::And,
                Kind::Or => Join::Or,
                _ => break,
            };
            self.advance();
            rest.push((join, self.factor()?));
        }
        Ok(if rest.is_empty() { first } else { Node::Chain(Box::new(first), rest) })
    }

    fn factor(&mut self) -> Result<Node, FilterError> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong(&format!("nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let node = match self.token.kind {
            Kind::Not => {
                self.advance();
                Node::Not(Box::new(self.factor()?))
            }
            Kind::Open => {
                let open = self.token;
                self.advance();
                let inner = self.chain()?;
                if self.token.kind != Kind::Close {
                    return Err(match self.token.kind {
                        Kind::End => self.error(open.at, "this `(` is never closed"),
                        _ => self.wrong("`and`, `or` or `)` was expected here"),
                    });
                }
                self.advance();
                inner
            }
            Kind::Word(word) => self.primitive(word)?,
            Kind::End => {
                return Err(self.wrong("a condition was expected, such as `host 10.0.0.1`"));
            }
            Kind::And | Kind::Or | Kind::Close => {
                return Err(self.wrong("a condition was expected before this"));
            }
            Kind::Other(sign) => return Err(self.wrong(&unknown_sign(sign))),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn primitive(&mut self, word: &str) -> Result<Node, FilterError> {
        if word == "vlan" {
            self.advance();
            return self.vlan();
        }
        let mut words = Words::default();
        let mut is_led = false;
        let mut alone = None;
        while let Kind::Word(word) = self.token.kind {
            match word {
                "ip" => (words.family, alone) = (Family::Ip, Some(Node::Ip)),
                "ip6" => (words.family, alone) = (Family::Ip6, Some(Node::Ip6)),
                "tcp" => alone = alone.or(Some(Node::Tcp)),
                _ => break,
            }
            self.advance();
        }
        if let Some(ends) = self.ends()? {
            (words.ends, is_led) = (ends, true);
        }
        if let Kind::Word(word) = self.token.kind {
            let what = match word {
                "host" => Some(What::Host),
                "net" => Some(What::Net),
                "port" => Some(What::Port),
                "portrange" => Some(What::PortRange),
                _ => None,
            };
            if let Some(what) = what {
                (words.what, is_led) = (what, true);
                self.advance();
            }
        }
        match (alone, is_led) {
            // `ip`, `tcp` and the like by themselves.
            (Some(node), false) if !matches!(self.token.kind, Kind::Word(_)) => Ok(node),
            (_, false) => {
                if let Kind::Word(word) = self.token.kind
                    && let Some(reason) = not_of_this_language(word)
                {
                    return Err(self.wrong(reason));
                }
                let family = words.family;
                let last = self.last.unwrap_or_default();
                words = if family == Family::Any { last } else { Words { family, ..last } };
                self.value(words)
            }
            (_, true) => self.value(words),
        }
    }

    /// `src`, `dst`, `src or dst`, `src and dst`.
    fn ends(&mut self) -> Result<Option<Ends>, FilterError> {
        let one = match self.token.kind {
            Kind::Word("src") => Ends::Source,
            Kind::Word("dst") => Ends::Destination,
            _ => return Ok(None),
        };
        self.advance();
        let mut ahead = self.lexer.clone();
        let joined = match self.token.kind {
            Kind::Or => Ends::Either,
            Kind::And => Ends::Both,
            _ => return Ok(Some(one)),
        };
        let other = if one == Ends::Source { "dst" } else { "src" };
        if ahead.next().kind != Kind::Word(other) {
            return Err(self.wrong(&format!("`{other}` or an address was expected")));
        }
        self.advance();
        self.advance();
        Ok(Some(joined))
    }

    fn vlan(&mut self) -> Result<Node, FilterError> {
        let Kind::Word(word) = self.token.kind else { return Ok(Node::Vlan(None)) };
        let id = word.parse().ok().filter(|id: &u16| *id < 4_096);
        if id.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.wrong("a VLAN id is a number from 0 to 4095"));
        }
        if id.is_some() {
            self.advance();
        }
        Ok(Node::Vlan(id))
    }

    fn value(&mut self, words: Words) -> Result<Node, FilterError> {
        let example = match words.what {
            What::Host => "an address, such as 10.0.0.1",
            What::Net => "a network, such as 10.0.0.0/8",
            What::Port => "a port, such as 443",
            What::PortRange => "a range of ports, such as 8000-8080",
        };
        let Kind::Word(word) = self.token.kind else {
            return Err(self.wrong(&format!("{example} was expected here")));
        };
        let value = self.token;
        self.advance();
        let test = match words.what {
            What::Host => word.parse().ok().map(Test::host),
            What::Net => self.net(word, value.at)?,
            What::Port => port(word).map(|port| Test::Ports(port, port)),
            What::PortRange => range(word, self.text, value.at)?,
        };
        let Some(test) = test else {
            let hint = match words.what {
                What::Host if word.contains('/') => ": a network needs `net`",
                What::Host if word.starts_with(char::is_alphabetic) => {
                    ": names are not looked up, and no such word is known"
                }
                _ => "",
            };
            return Err(self.error(value.at, &format!("`{word}` is not {example}{hint}")));
        };
        let of_family = matches!(
            (words.family, test),
            (Family::Any, _)
                | (Family::Ip, Test::Net4(..) | Test::Ports(..))
                | (Family::Ip6, Test::Net6(..) | Test::Ports(..))
        );
        if !of_family {
            return Err(self.error(value.at, "an address of the other IP version"));
        }
        self.last = Some(words);
        let node = Node::Ends(words.ends, test);
        let family = match words.family {
            Family::Any => return Ok(node),
            Family::Ip => Node::Ip,
            Family::Ip6 => Node::Ip6,
        };
        Ok(Node::Chain(Box::new(family), vec![(Join::And, node)]))
    }

    /// `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`, `10`, `192.168`, `2001:db8::/32`.
    fn net(&mut self, word: &str, at: usize) -> Result<Option<Test>, FilterError> {
        let (address, prefix) = match word.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word, None),
        };
        let Some((address, usual)) = network(address) else { return Ok(None) };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix.is_none() && self.token.kind == Kind::Word("mask") {
            self.advance();
            let mask = match (self.token.kind, address) {
                (Kind::Word(mask), IpAddr::V4(address)) => {
                    mask.parse::<Ipv4Addr>().ok().map(|mask| Test::masked(address, mask))
                }
                _ => None,
            };
            let Some(test) = mask else {
                return Err(self.wrong("an IPv4 mask was expected, such as 255.255.0.0"));
            };
            self.advance();
            return Ok(Some(test));
        }
        let Some(prefix) = prefix else { return Ok(Test::net(address, usual)) };
        let length = prefix.parse().ok().filter(|length| *length <= bits);
        let Some(length) = length else {
            return Err(self.error(at, &format!("a prefix has 0 to {bits} bits here")));
        };
        Ok(Test::net(address, length))
    }

    fn advance(&mut self) {
        self.token = self.lexer.next();
    }

    /// An error at the present token.
    fn wrong(&self, message: &str) -> FilterError {
        self.error(self.token.at, message)
    }

    fn error(&self, at: usize, message: &str) -> FilterError {
        FilterError { text: self.text.to_owned(), at, message: message.to_owned() }
    }
}

/// An address, whole or, in IPv4, only its first numbers, with the bits that it has.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    if text.contains(':') {
        return Some((text.parse().ok()?, 128));
    }
    let mut bytes = [0_u8; 4];
    let mut count = 0;
    for part in text.split('.') {
        *bytes.get_mut(count)? = part.parse().ok()?;
        count += 1;
    }
    let bits = [0, 8, 16, 24, 32].get(count).copied()?;
    Some((IpAddr::from(bytes), bits))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().or_else(|| names::port(text))
}

/// `8000-8080`; one port is a range, too.
fn range(word: &str, text: &str, at: usize) -> Result<Option<Test>, FilterError> {
    let ends = word.split_once('-').and_then(|(first, last)| Some((port(first)?, port(last)?)));
    let Some((first, last)) = ends.or_else(|| port(word).map(|port| (port, port))) else {
        return Ok(None);
    };
    if first > last {
        let message = "the first port of the range is above the last one".to_owned();
        return Err(FilterError { text: text.to_owned(), at, message });
    }
    Ok(Some(Test::Ports(first, last)))
}

/// Why a word of tcpdump's language is none of this one's.
fn not_of_this_language(word: &str) -> Option<&'static str> {
    Some(match word {
        "udp" | "icmp" | "icmp6" | "arp" | "rarp" | "sctp" | "igmp" | "esp" | "ah" => {
            "only TCP segments are looked at"
        }
        "ether" | "gateway" | "broadcast" | "multicast" | "proto" | "protochain" | "mpls"
        | "pppoes" | "geneve" | "vxlan" | "less" | "greater" | "len" | "inbound" | "outbound"
        | "ifname" => "tcpdump's language has this word, the one here does not",
        _ => return None,
    })
}

fn unknown_sign(sign: &str) -> String {
    match sign {
        "[" | "]" | "&" | "=" | "<" | ">" => format!(
            "`{sign}`: bytes and flags cannot be asked for, since that would tear connections apart"
        ),
        _ => format!("`{sign}` means nothing here"),
    }
}

//! What an answer wants to be told before it says more: `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110, 11.6).

use std::iter::Peekable;
use std::str::Chars;

/// One way to prove who asks: a scheme and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// As it is written.
    pub scheme: String,
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Returns the first parameter of this name, whatever its case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// Tells whether it has this scheme.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }
}

/// Returns the challenges in one value of the header. Commas stand between challenges and between their parameters alike: a
/// word with `=` behind it is a parameter, one without begins a challenge.
pub fn challenges(value: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = value.chars().peekable();
    loop {
        skip(&mut rest, |c| c.is_whitespace() || matches!(c, ',' | '='));
        let word = word(&mut rest);
        if word.is_empty() && rest.next().is_none() {
            return found;
        }
        skip(&mut rest, char::is_whitespace);
        if rest.next_if_eq(&'=').is_none() {
            found.push(Challenge { scheme: word, parameters: Vec::new() });
            continue;
        }
        skip(&mut rest, char::is_whitespace);
        let value = if rest.next_if_eq(&'"').is_some() { unquoted(&mut rest) } else { self::word(&mut rest) };
        if let Some(challenge) = found.last_mut() {
            challenge.parameters.push((word, value));
        }
    }
}

fn skip(rest: &mut Peekable<Chars<'_>>, unwanted: fn(char) -> bool) {
    while rest.next_if(|c| unwanted(*c)).is_some() {}
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    std::iter::from_fn(|| rest.next_if(|c| !c.is_whitespace() && !matches!(c, ',' | '=' | '"'))).collect()
}

/// Returns what stands before the closing quote.
fn unquoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => text.extend(rest.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_told_from_their_parameters() {
        let check = |value: &str, expected: &str| {
            let shown = |challenge: &Challenge| {
                let parameters = challenge.parameters.iter().map(|(name, value)| format!("{name}={value}"));
                format!("{} {}", challenge.scheme, parameters.collect::<Vec<_>>().join("|"))
            };
            let found: Vec<String> = challenges(value).iter().map(shown).collect();
            assert_eq!(found.join(" / "), expected, "{value}");
        };
        check("", "");
        check("Basic realm=\"a, b=c\", Bearer", "Basic realm=a, b=c / Bearer ");
        check(
            "Bearer realm=\"x\",error=invalid_token , scope=\"a \\\"b\\\"\"",
            "Bearer realm=x|error=invalid_token|scope=a \"b\"",
        );
        check("Negotiate abc==, Basic", "Negotiate abc= / Basic ");
    }
}

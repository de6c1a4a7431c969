//! How the bytes of signatures and keys are written and read.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::signing::SignatureEncoding;

/// Returns bytes as two digits each, in lower case.
pub(in crate::deliver) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

pub(super) fn encode(encoding: SignatureEncoding, bytes: &[u8]) -> String {
    match encoding {
        SignatureEncoding::Hex => hex(bytes),
        SignatureEncoding::Base64 => STANDARD.encode(bytes),
    }
}

pub(super) fn decode(encoding: SignatureEncoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        SignatureEncoding::Hex => unhex(text),
        SignatureEncoding::Base64 => STANDARD.decode(text).ok(),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    rest.is_empty().then(|| bytes.collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        for encoding in [SignatureEncoding::Hex, SignatureEncoding::Base64] {
            assert_eq!(decode(encoding, &encode(encoding, &[0, 0xab, 255])), Some(vec![0, 0xab, 255]));
        }
        assert_eq!(decode(SignatureEncoding::Hex, "00AB"), Some(vec![0, 0xab]));
        for wrong in ["0", "0g", "+1", "ä"] {
            assert_eq!(decode(SignatureEncoding::Hex, wrong), None, "{wrong}");
        }
    }
}

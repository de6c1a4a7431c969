use super::*;
use crate::http::header::{HeaderMap, HeaderValue};
use crate::model::secret::{Secret, SigningSecret};
use crate::model::signing::{HeaderSignature, SignatureEncoding, Signing, Timed};
use crate::model::time::Timestamp;

const HMAC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ED25519_SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
/// The public key of the first test vector of RFC 8032.
const ED25519_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const ID_VALUE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn signer(secrets: &[&str]) -> Signer {
    let secret = |text: &&str| Timed::always(SigningSecret::parse(text).expect("a secret"));
    Signer::new(&Signing::Standard(secrets.iter().map(secret).collect()))
}

fn headers(signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [(ID, ID_VALUE), (TIMESTAMP, "1614265330"), (SIGNATURE, signature)] {
        headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
    }
    headers
}

#[track_caller]
fn check(keys: &[&str], headers: &HeaderMap, body: &[u8], now: i64, expected: &Result<(), VerifyError>) {
    let keys: Vec<_> = keys.iter().map(|text| VerifyingKey::parse(text).expect("a key")).collect();
    assert_eq!(&verify(&keys, headers, body, at(now)), expected);
}

#[test]
fn the_published_vector_is_signed_as_published() {
    let signature = signer(&[HMAC]).sign(ID_VALUE, at(1_614_265_330), BODY).expect("a secret is in use");
    assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
}

#[test]
fn each_secret_makes_a_signature_and_any_of_them_suffices() {
    let signature = signer(&[HMAC, ED25519_SEED])
        .sign(ID_VALUE, at(1_614_265_330), BODY)
        .expect("a secret is in use")
        .expect("signed");
    let other = SigningSecret::generate();
    assert_eq!(
        signature.split(' ').map(|s| s.split_once(',').map(|(v, _)| v)).collect::<Vec<_>>(),
        [Some("v1"), Some("v1a")]
    );
    check(&[HMAC], &headers(&signature), BODY, 1_614_265_330, &Ok(()));
    check(&[ED25519_PUBLIC], &headers(&signature), BODY, 1_614_265_330, &Ok(()));
    check(&[other.expose(), ED25519_SEED], &headers(&signature), BODY, 1_614_265_330, &Ok(()));
    check(&[other.expose()], &headers(&signature), BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
    check(&[], &headers(&signature), BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
}

#[test]
fn what_was_altered_is_refused() {
    let signature = signer(&[HMAC, ED25519_SEED])
        .sign(ID_VALUE, at(1_614_265_330), BODY)
        .expect("a secret is in use")
        .expect("signed");
    let keys = [HMAC, ED25519_PUBLIC];
    check(&keys, &headers(&signature), br#"{"test": 2432232315}"#, 1_614_265_330, &Err(VerifyError::NoMatch));
    let mut altered = headers(&signature);
    altered.insert(ID, HeaderValue::from_static("msg_other"));
    check(&keys, &altered, BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
    let mut altered = headers(&signature);
    altered.insert(TIMESTAMP, HeaderValue::from_static("1614265331"));
    check(&keys, &altered, BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
    // A signature of one kind is not accepted under the name of the other.
    let swapped = signature.replace("v1,", "v0,").replace("v1a,", "v1,");
    check(&keys, &headers(&swapped), BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
}

#[test]
fn a_delivery_is_fresh_for_five_minutes_either_way() {
    let signature =
        signer(&[HMAC]).sign(ID_VALUE, at(1_614_265_330), BODY).expect("a secret is in use").expect("signed");
    check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 + 300, &Ok(()));
    check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 - 300, &Ok(()));
    check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 + 301, &Err(VerifyError::TooOld));
    check(&[HMAC], &headers(&signature), BODY, 1_614_265_330 - 301, &Err(VerifyError::TooNew));
}

#[test]
fn headers_that_are_missing_or_make_no_sense_are_named() {
    for missing in [ID, TIMESTAMP, SIGNATURE] {
        let mut headers = headers("v1,AAAA");
        headers.remove(missing);
        check(&[HMAC], &headers, BODY, 1_614_265_330, &Err(VerifyError::MissingHeader(missing.to_owned())));
    }
    let mut headers = headers("v1");
    check(&[HMAC], &headers, BODY, 1_614_265_330, &Err(VerifyError::NoMatch));
    headers.insert(TIMESTAMP, HeaderValue::from_static("now"));
    check(&[HMAC], &headers, BODY, 1_614_265_330, &Err(VerifyError::Timestamp("now".to_owned())));
}

#[test]
fn a_public_key_is_written_as_it_is_read_and_no_secret_is_shown() {
    let key = VerifyingKey::parse(ED25519_SEED).expect("a key");
    assert_eq!(key.public_text().as_deref(), Some(ED25519_PUBLIC));
    assert_eq!(format!("{:?}", VerifyingKey::parse(HMAC).expect("a key")), "whsec_***");
    assert_eq!(signer(&[]).sign(ID_VALUE, at(0), BODY), Ok(None));
}

/// The tags of RFC 4231 (SHA-2) and RFC 2202 (SHA-1) for a key and a text.
#[track_caller]
fn check_hmac(algorithm: HmacAlgorithm, key: &[u8], text: &[u8], expected: &str) {
    assert_eq!(hex(hmac::sign(&hmac_key(algorithm, key), text).as_ref()), expected);
}

#[test]
fn hmacs_are_as_published() {
    let jefe: (&[u8], &[u8]) = (b"Jefe", b"what do ya want for nothing?");
    check_hmac(HmacAlgorithm::Sha1, jefe.0, jefe.1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    check_hmac(HmacAlgorithm::Sha256, jefe.0, jefe.1, expected);
    let expected = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
    check_hmac(HmacAlgorithm::Sha512, jefe.0, jefe.1, expected);
    let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    check_hmac(HmacAlgorithm::Sha256, &[0x0b; 20], b"Hi There", expected);
    let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
    let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
    check_hmac(HmacAlgorithm::Sha256, &[0xaa; 131], text, expected);
}

/// The first three test vectors of RFC 8032, section 7.1.
#[test]
fn ed25519_signatures_are_as_published() {
    let bytes = |text: &str| text::decode(SignatureEncoding::Hex, text).expect("hexadecimal");
    for (seed, public, text, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let pair = key_pair(bytes(seed).as_slice().try_into().expect("32 bytes"));
        assert_eq!(hex(&public_key(&pair)), public);
        assert_eq!(hex(pair.sign(&bytes(text)).as_ref()), signature);
    }
}

fn github(secret: &str) -> (Signer, VerifyingKey) {
    let (signature, secret) = (HeaderSignature::github(), Secret::new(secret.to_owned()));
    let key = VerifyingKey::of_header(&signature, &secret);
    (Signer::new(&Signing::Header(signature, vec![Timed::always(secret)])), key)
}

#[test]
fn github_s_published_example_is_signed_as_published() {
    let (signer, key) = github("It's a Secret to Everybody");
    let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(signer.header(), "X-Hub-Signature-256");
    let body = b"Hello, World!";
    assert_eq!(signer.sign(ID_VALUE, at(0), body), Ok(Some(expected.to_owned())));
    let with = |value: &str| {
        let value = HeaderValue::from_str(value).expect("a header value");
        HeaderMap::from_iter([("x-hub-signature-256".parse().expect("a name"), value)])
    };
    let check = |headers: &HeaderMap, body: &[u8]| verify(std::slice::from_ref(&key), headers, body, at(0));
    assert_eq!(check(&with(expected), body), Ok(()));
    assert_eq!(check(&with(&expected.to_uppercase().replace("SHA256", "sha256")), body), Ok(()));
    assert_eq!(check(&with(expected), b"Hello, World?"), Err(VerifyError::NoMatch));
    assert_eq!(check(&with(&expected[..70]), body), Err(VerifyError::NoMatch));
    assert_eq!(check(&with(&expected[7..]), body), Err(VerifyError::NoMatch));
    let missing = VerifyError::MissingHeader("X-Hub-Signature-256".to_owned());
    assert_eq!(check(&HeaderMap::new(), body), Err(missing));
}

#[test]
fn keys_of_both_kinds_stand_beside_each_other() {
    let (in_header, of_header) = github("secret");
    let keys = [of_header, VerifyingKey::parse(HMAC).expect("a key")];
    let now = at(1_614_265_330);
    let standard = signer(&[HMAC]).sign(ID_VALUE, now, BODY).expect("a secret is in use").expect("signed");
    assert_eq!(verify(&keys, &headers(&standard), BODY, now), Ok(()));
    let mut other = headers("v1,AAAA");
    assert_eq!(verify(&keys, &other, BODY, now), Err(VerifyError::NoMatch));
    let value = in_header.sign(ID_VALUE, now, BODY).expect("a secret is in use").expect("signed");
    other.insert("x-hub-signature-256", HeaderValue::from_str(&value).expect("a header value"));
    assert_eq!(verify(&keys, &other, BODY, now), Ok(()));
    assert_eq!(verify(&keys, &HeaderMap::new(), BODY, now), Err(VerifyError::MissingHeader(ID.to_owned())));
}

#[test]
fn headers_of_other_names_carry_any_hash_in_either_encoding() {
    for (algorithm, encoding, expected) in [
        (HmacAlgorithm::Sha1, SignatureEncoding::Hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (HmacAlgorithm::Sha256, SignatureEncoding::Base64, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
    ] {
        let signature =
            HeaderSignature { header: "X-Signature".to_owned(), prefix: String::new(), algorithm, encoding };
        let secret = Secret::new("Jefe".to_owned());
        let key = VerifyingKey::of_header(&signature, &secret);
        let body = b"what do ya want for nothing?";
        let signer = Signer::new(&Signing::Header(signature, vec![Timed::always(secret)]));
        assert_eq!(signer.sign(ID_VALUE, at(0), body), Ok(Some(expected.to_owned())));
        let value = HeaderValue::from_static(expected);
        let headers = HeaderMap::from_iter([("x-signature".parse().expect("a name"), value)]);
        assert_eq!(verify(&[key], &headers, body, at(0)), Ok(()));
    }
}

#[test]
fn a_secret_signs_until_it_ends_and_then_no_more() {
    let timed = |text: &str, until: i64| Timed {
        secret: SigningSecret::parse(text).expect("a secret"),
        until: Some(at(until)),
    };
    let signer = Signer::new(&Signing::Standard(vec![timed(HMAC, 100), timed(ED25519_SEED, 200)]));
    let schemes = |now| -> Result<Vec<&str>, NoSecretInUse> {
        Ok(signer.signatures(ID_VALUE, at(now), BODY)?.iter().map(|signature| signature.scheme).collect())
    };
    assert_eq!(schemes(99), Ok(vec!["v1", "v1a"]));
    assert_eq!(schemes(100), Ok(vec!["v1a"]));
    assert_eq!(schemes(200), Err(NoSecretInUse { ended: at(200) }));
}

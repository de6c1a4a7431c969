//! The body of an answer: what it was encoded with undone, and no more of it read than is wanted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::BytesMut;
use futures_util::stream;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio_util::io::StreamReader;

use super::client::BodyLimit;
use super::error::HttpError;

/// What answers may be encoded with, as requests say it.
pub(super) const ACCEPTED: &str = "zstd,gzip,deflate,br";

/// The most codings of one body.
const MOST_CODINGS: usize = 3;

/// The most memory that is reserved for a body on its announcement alone.
const MOST_RESERVED: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

type Reader<'a> = Box<dyn AsyncBufRead + Send + Unpin + 'a>;

/// Reads a body and adds it to what is there, decoded. A body of which only the beginning is wanted may be broken: what
/// can be read of it is what there is. What comes is counted in bytes before they are decoded.
pub(super) async fn read(
    response: Response,
    headers: &HeaderMap,
    limit: BodyLimit,
    body: &mut BytesMut,
    received: &AtomicU64,
) -> Result<(), HttpError> {
    let (codings, most) = match limit {
        BodyLimit::Refuse(most) => (codings(headers)?, most.as_usize()),
        BodyLimit::Keep(most) => (codings(headers).unwrap_or_default(), most),
    };
    if codings.is_empty() {
        let announced = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        match limit {
            BodyLimit::Refuse(most) if announced > most.as_usize() => return Err(HttpError::BodyTooLarge(most)),
            _ => body.reserve(announced.min(most).min(MOST_RESERVED)),
        }
    }
    let chunks = stream::try_unfold(response, |mut response| async {
        let chunk = response.chunk().await.map_err(io::Error::other)?;
        received.fetch_add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64), Ordering::Relaxed);
        Ok::<_, io::Error>(chunk.map(|chunk| (chunk, response)))
    });
    let reader = Box::new(StreamReader::new(Box::pin(chunks)));
    match (decode(reader, &codings, most, body).await, limit) {
        (Ok(true), _) | (Ok(false), BodyLimit::Keep(_)) => Ok(()),
        (Ok(false), BodyLimit::Refuse(most)) => Err(HttpError::BodyTooLarge(most)),
        (Err(error), limit) => match (error.downcast::<reqwest::Error>(), limit) {
            (Ok(error), _) => Err(HttpError::of(&error)),
            (Err(_), BodyLimit::Keep(_)) => Ok(()),
            (Err(error), BodyLimit::Refuse(_)) => Err(HttpError::Body(error.to_string())),
        },
    }
}

/// Returns what a body is encoded with, in the order in which that was done.
fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, HttpError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in String::from_utf8_lossy(value.as_bytes()).split(',') {
            codings.push(match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" | "x-deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                // The others are no codings, but what servers write when there is none.
                "" | "identity" | "none" | "utf-8" | "utf8" => continue,
                unknown => return Err(HttpError::Encoding(format!("{unknown:?} is not known"))),
            });
        }
    }
    if codings.len() > MOST_CODINGS {
        return Err(HttpError::Encoding(format!("names more than {MOST_CODINGS} codings")));
    }
    Ok(codings)
}

/// Reads so many bytes after decoding and returns whether that was all.
async fn decode(mut reader: Reader<'_>, codings: &[Coding], most: usize, body: &mut BytesMut) -> io::Result<bool> {
    for coding in codings.iter().rev() {
        reader = decoder(reader, *coding, most).await?;
    }
    loop {
        let chunk = reader.fill_buf().await?;
        let room = most - body.len();
        if chunk.is_empty() {
            return Ok(true);
        }
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok(false);
        }
        body.extend_from_slice(chunk);
        let read = chunk.len();
        reader.consume(read);
    }
}

async fn decoder(mut reader: Reader<'_>, coding: Coding, most: usize) -> io::Result<Reader<'_>> {
    // Nothing needs no decoding: answers without a body say what it would be encoded with.
    let Some(&first) = reader.fill_buf().await?.first() else { return Ok(reader) };
    // Whatever comes behind the end is another one or an error: without it the rest would be lost without a word.
    macro_rules! limited {
        ($decoder:ident) => {{
            let mut decoder = $decoder::new(reader);
            decoder.multiple_members(true);
            // What is encoded again is not much larger than what it is in the end. Where it is, it ends too early.
            let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(64 * 1024);
            Box::new(BufReader::new(decoder).take(most))
        }};
    }
    Ok(match coding {
        Coding::Gzip => limited!(GzipDecoder),
        // Zlib's header says that it is deflate, in four bits that deflate itself does not begin with.
        Coding::Deflate if first & 0x0f == 8 => limited!(ZlibDecoder),
        Coding::Deflate => limited!(DeflateDecoder),
        Coding::Brotli => limited!(BrotliDecoder),
        Coding::Zstd => limited!(ZstdDecoder),
    })
}

#[cfg(test)]
mod tests {
    use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
    use bytes::Bytes;

    use super::*;

    const MOST: usize = 1024 * 1024;

    /// Decodes what comes in pieces of this size.
    async fn decoded(bytes: &[u8], piece: usize, codings: &[Coding], most: usize) -> io::Result<(bool, Vec<u8>)> {
        let pieces: Vec<_> = bytes.chunks(piece).map(|piece| io::Result::Ok(Bytes::copy_from_slice(piece))).collect();
        let mut body = BytesMut::new();
        let reader = Box::new(StreamReader::new(stream::iter(pieces)));
        Ok((decode(reader, codings, most, &mut body).await?, body.to_vec()))
    }

    #[tokio::test]
    async fn bodies_are_decoded_to_their_end_or_not_at_all() {
        let lines: Vec<String> = (0..5000).map(|number| format!("{{\"id\":{number}}}\n")).collect();
        let text = lines.concat();
        macro_rules! encoded {
            ($encoder:ident) => {{
                let mut bytes = Vec::new();
                $encoder::new(text.as_bytes()).read_to_end(&mut bytes).await.expect("memory can be read");
                bytes
            }};
        }
        let cases = [
            (Coding::Gzip, encoded!(GzipEncoder)),
            (Coding::Deflate, encoded!(ZlibEncoder)),
            (Coding::Deflate, encoded!(DeflateEncoder)),
            (Coding::Brotli, encoded!(BrotliEncoder)),
            (Coding::Zstd, encoded!(ZstdEncoder)),
        ];
        for (coding, bytes) in cases {
            for piece in [1, 7, 1000, bytes.len()] {
                let whole = decoded(&bytes, piece, &[coding], MOST).await.expect("it is well");
                assert_eq!(whole, (true, text.as_bytes().to_vec()), "{coding:?} in pieces of {piece}");
                let twice = decoded(&bytes.repeat(2), piece, &[coding], MOST).await.expect("it is well");
                assert_eq!(twice, (true, text.repeat(2).into_bytes()), "{coding:?} twice in pieces of {piece}");
                let limited = decoded(&bytes, piece, &[coding], 100).await.expect("it is well");
                assert_eq!(limited, (false, text.as_bytes()[..100].to_vec()), "{coding:?} in pieces of {piece}");
                for end in [1, 2, bytes.len() / 2, bytes.len() - 1] {
                    let cut = decoded(&bytes[..end], piece, &[coding], MOST).await;
                    assert!(cut.is_err(), "{coding:?} cut at {end} in pieces of {piece}");
                    let cut = decoded(&[&bytes[..], &bytes[..end]].concat(), piece, &[coding], MOST).await;
                    assert!(cut.is_err(), "{coding:?} whose second part is cut at {end} in pieces of {piece}");
                }
                let trailing = decoded(&[&bytes[..], b"trailing"].concat(), piece, &[coding], MOST).await;
                assert!(trailing.is_err(), "{coding:?} and something behind it in pieces of {piece}");
            }
        }
    }

    #[test]
    fn codings_are_known_by_their_names() {
        let check = |values: &[&str], expected: Result<&[Coding], &str>| {
            let values = values.iter().map(|value| (CONTENT_ENCODING, value.parse().expect("a header value")));
            let found = codings(&values.collect::<HeaderMap>()).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        };
        check(&[], Ok(&[]));
        check(&["GZip"], Ok(&[Coding::Gzip]));
        check(&["identity, x-gzip ,BR"], Ok(&[Coding::Gzip, Coding::Brotli]));
        check(&["x-deflate", "zstd"], Ok(&[Coding::Deflate, Coding::Zstd]));
        check(&["UTF-8"], Ok(&[]));
        check(&["gzip, Snail"], Err("the answer's content-encoding \"snail\" is not known"));
        check(&["br,br", "br,br"], Err("the answer's content-encoding names more than 3 codings"));
    }
}

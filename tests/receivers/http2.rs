//! Receivers that speak HTTP/2, and what can go wrong with its streams.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use crate::fault::{Conduct, Received, Shared, Step};
use crate::secure;
use crate::trial::Trial;

/// What is done with a stream.
#[derive(Debug, Clone, Copy)]
pub enum Stream {
    /// It is answered with this status and these seconds in `Retry-After`.
    Answer(u16, Option<u32>),
    /// It is reset before it is read.
    Reset(Reason),
    /// Only the first one of a connection is reset, before it is read.
    ResetFirst(Reason),
    /// It is answered, and reset within the body.
    ResetWithin(Reason),
    /// It is answered before its body is read, which is not wanted any more.
    Early(u16),
    /// The connection is given up for this reason; the stream was not read.
    GoAway(Reason),
    /// Only the first connection is given up, with the stream in it.
    GoAwayFirst(Reason),
    /// It is answered, and the connection closed politely.
    AnswerAndGo,
    /// The connection is closed without a word.
    Close,
    /// It is read, and nothing comes.
    Hang,
}

pub fn trials() -> Vec<Trial> {
    let streams = |name, stream| speaking(Trial::conducting(name, Conduct::Streams(stream)));
    let within = |name, bytes: &[u8]| speaking(Trial::new(name, [Step::Send(bytes.to_vec()), Step::Hang]));
    vec![
        streams("200", Stream::Answer(200, None)),
        streams("500", Stream::Answer(500, None)),
        streams("410", Stream::Answer(410, None)),
        streams("429, in two minutes", Stream::Answer(429, Some(120))),
        streams("301", Stream::Answer(301, None)),
        streams("413 before the body is read", Stream::Early(413)).bytes(900 << 10),
        streams("200 before the body is read", Stream::Early(200)).bytes(900 << 10),
        streams("the first stream of a connection is refused", Stream::ResetFirst(Reason::REFUSED_STREAM)),
        streams("every stream is refused", Stream::Reset(Reason::REFUSED_STREAM)),
        streams("cancelled", Stream::Reset(Reason::CANCEL)),
        streams("reset with an internal error", Stream::Reset(Reason::INTERNAL_ERROR)),
        streams("reset because HTTP/1.1 is required", Stream::Reset(Reason::HTTP_1_1_REQUIRED)),
        streams("reset within the answer", Stream::ResetWithin(Reason::INTERNAL_ERROR)),
        streams("the first connection goes away", Stream::GoAwayFirst(Reason::NO_ERROR)),
        streams("every connection goes away", Stream::GoAway(Reason::NO_ERROR)),
        streams("goes away, too much for it", Stream::GoAway(Reason::ENHANCE_YOUR_CALM)),
        streams("answers, and goes away", Stream::AnswerAndGo),
        streams("closed without a word", Stream::Close),
        streams("no answer ever", Stream::Hang).impatient(),
        within("a frame that is too large", &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]),
        within("HTTP/1.1 where HTTP/2 was agreed on", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        within(
            "no stream is allowed",
            &[
                0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, // SETTINGS: MAX_CONCURRENT_STREAMS 0
            ],
        )
        .impatient(),
    ]
}

fn speaking(trial: Trial) -> Trial {
    trial.secured(Arc::new(configuration())).rules(&secure::trusting())
}

/// Returns what agrees on HTTP/2 with whoever speaks it.
pub fn configuration() -> ServerConfig {
    let mut configuration = secure::configuration("good.pem");
    configuration.alpn_protocols = vec![b"h2".to_vec()];
    configuration
}

/// Treats each stream of a connection after the conduct of its moment.
pub async fn serve(stream: TlsStream<TcpStream>, shared: Arc<Shared>) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    // The connection goes on only while it is asked for streams, so that each is answered beside that.
    let mut answers = JoinSet::new();
    let mut held = Vec::new();
    let mut is_first = true;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let ill = match shared.conduct() {
            Conduct::Streams(ill) => ill,
            Conduct::Fickle(random) => {
                answers.spawn(answer(request, respond, 200, None, Arc::clone(&shared)));
                if random.lock().unwrap_or_else(PoisonError::into_inner).u8(..4) == 0 {
                    connection.graceful_shutdown();
                }
                continue;
            }
            Conduct::Well | Conduct::Ill(_) | Conduct::Raw(_) => {
                answers.spawn(answer(request, respond, 200, None, Arc::clone(&shared)));
                continue;
            }
        };
        let was_ill_before = shared.note_ill() > 0;
        let was_first = std::mem::take(&mut is_first);
        match ill {
            Stream::Answer(status, wait) => {
                answers.spawn(answer(request, respond, status, wait, Arc::clone(&shared)));
            }
            Stream::ResetFirst(reason) if was_first => respond.send_reset(reason),
            Stream::Reset(reason) => respond.send_reset(reason),
            Stream::ResetWithin(reason) => {
                let mut body = respond.send_response(Response::new(()), false)?;
                body.send_data(Bytes::from_static(b"thank"), false)?;
                body.send_reset(reason);
            }
            Stream::Early(status) => {
                let response = Response::builder().status(status).body(()).expect("a status");
                respond.send_response(response, true)?;
            }
            Stream::GoAwayFirst(reason) if !was_ill_before => connection.abrupt_shutdown(reason),
            Stream::GoAway(reason) => connection.abrupt_shutdown(reason),
            Stream::AnswerAndGo => {
                answers.spawn(answer(request, respond, 200, None, Arc::clone(&shared)));
                connection.graceful_shutdown();
            }
            Stream::Close => return Ok(()),
            Stream::Hang => held.push((request, respond)),
            Stream::ResetFirst(_) | Stream::GoAwayFirst(_) => {
                answers.spawn(answer(request, respond, 200, None, Arc::clone(&shared)));
            }
        }
    }
    Ok(())
}

/// Reads a stream to its end and answers it.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    status: u16,
    wait: Option<u32>,
    shared: Arc<Shared>,
) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        stream.flow_control().release_capacity(part.len())?;
        body.extend_from_slice(&part);
    }
    let text = |value: &http::HeaderValue| value.to_str().expect("plain text").to_owned();
    let headers: BTreeMap<String, String> =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    shared.note(Received { headers, body, is_acknowledged: status == 200 });
    let mut response = Response::builder().status(status);
    if let Some(wait) = wait {
        response = response.header("retry-after", wait);
    }
    respond.send_response(response.body(()).expect("a status"), true)?;
    Ok(())
}

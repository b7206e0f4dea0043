//! A request body into one buffer: bounded in length, in time and in what all bodies take together.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;

use super::in_flight::{Claim, InFlight};
use super::options::Limits;

/// Up to this length a buffer is allocated at once, beyond it by doubling: a header's promise alone moves no memory.
const FIRST_BUFFER: usize = 256 * 1024;
/// How much of a refused body is read, as a multiple of the largest that is accepted.
const DISCARD_FACTOR: usize = 4;

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    Empty,
    TooLarge,
    TooSlow,
    Overloaded,
    /// The caller hung up, or broke the framing.
    Broken,
}

/// Reads the whole body. The claim on the budget is held as long as the bytes are in work.
pub(super) async fn read(body: &mut Body, limits: &Limits, budget: &Arc<InFlight>) -> Result<(Bytes, Claim), BodyError> {
    tokio::time::timeout(limits.body, collect(body, limits.body_bytes, budget)).await.unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(body: &mut Body, cap: usize, budget: &Arc<InFlight>) -> Result<(Bytes, Claim), BodyError> {
    let announced = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > cap) {
        return Err(BodyError::TooLarge);
    }
    let first = data(body).await?.ok_or(BodyError::Empty)?;
    if first.len() > cap {
        return Err(BodyError::TooLarge);
    }
    let mut claim = budget.claim(first.len()).ok_or(BodyError::Overloaded)?;
    // The usual review arrives in one piece: it is handed on as it is.
    if body.is_end_stream() {
        return Ok((first, claim));
    }
    let mut buffer = Vec::new();
    extend(&mut buffer, &first, announced.unwrap_or(cap), &mut claim)?;
    drop(first);
    while let Some(piece) = data(body).await? {
        if buffer.len() + piece.len() > cap {
            return Err(BodyError::TooLarge);
        }
        extend(&mut buffer, &piece, announced.unwrap_or(cap), &mut claim)?;
    }
    Ok((buffer.into(), claim))
}

/// Appends, after claiming what the buffer grows by. `expected` is the most that is to come in all.
fn extend(buffer: &mut Vec<u8>, piece: &[u8], expected: usize, claim: &mut Claim) -> Result<(), BodyError> {
    let needed = buffer.len() + piece.len();
    if needed > buffer.capacity() {
        let capacity = buffer.capacity().saturating_mul(2).max(FIRST_BUFFER).min(expected).max(needed);
        if !claim.grow_to(capacity) {
            return Err(BodyError::Overloaded);
        }
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(piece);
    Ok(())
}

/// The next piece that holds anything. Trailers are none of our business.
async fn data(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    while let Some(frame) = body.frame().await {
        let piece = frame.map_err(|_| BodyError::Broken)?.into_data().unwrap_or_default();
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

/// Reads what is left of a refused body and keeps nothing of it, so that the answer is not lost to a connection reset and the connection
/// lives on. False when there was too much of it: then the connection has to go.
pub(super) async fn discard(mut body: Body, limits: &Limits) -> bool {
    let cap = limits.body_bytes.saturating_mul(DISCARD_FACTOR);
    if body.size_hint().lower() > cap as u64 {
        return false;
    }
    let all = async {
        let mut seen = 0;
        loop {
            match data(&mut body).await {
                Ok(None) => return true,
                Ok(Some(piece)) if seen + piece.len() <= cap => seen += piece.len(),
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    };
    tokio::time::timeout(limits.body, all).await.unwrap_or(false)
}

//! Bodies that are held in memory, read up to a cap.

use reqwest::Response;

use super::failure::{Asked, Failure};

/// Reads a body of at most so many bytes.
pub(super) async fn read_capped(
    response: &mut Response,
    cap: u64,
    asked: &Asked,
) -> Result<Vec<u8>, Failure> {
    let too_long = || asked.damaged(format!("its answer is longer than {cap} bytes, the most that is read"));
    if response.content_length().is_some_and(|length| length > cap) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| asked.broken(&error))? {
        if (body.len() + chunk.len()) as u64 > cap {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads the beginning of a body that only says why something failed.
pub(super) async fn read_some(response: &mut Response) -> Vec<u8> {
    const ENOUGH: usize = 16 << 10;
    let mut body = Vec::new();
    while body.len() < ENOUGH {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(ENOUGH - body.len())]);
    }
    body
}

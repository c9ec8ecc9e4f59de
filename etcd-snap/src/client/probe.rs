//! Finding out what a server speaks, after it has hung up on us.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::connect::Io;
use super::tls::Tls;
use super::witness::Failure;

/// What a client says first (RFC 9113, 3.4), and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Protocol {
    Http2,
    Tls,
}

pub(crate) async fn speaks(stream: Box<dyn Io>, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Http2 => speaks_http2(stream).await,
        Protocol::Tls => speaks_tls(stream).await,
    }
}

async fn speaks_http2(mut stream: Box<dyn Io>) -> bool {
    let mut header = [0; 9];
    stream.write_all(PREFACE).await.is_ok()
        && stream.read_exact(&mut header).await.is_ok()
        && header[3] == 4
        && header[5..] == [0; 4]
}

async fn speaks_tls(stream: Box<dyn Io>) -> bool {
    // No secret goes over this connection, so it does not matter whose certificate it is.
    let Ok(tls) = Tls::builder().danger_skip_verification().build() else {
        return false;
    };
    let Ok(name) = tls.server_name("localhost") else {
        return false;
    };
    let connector = TlsConnector::from(Arc::new(tls.config().clone()));
    match connector.connect(name, stream).await {
        Ok(_) => true,
        Err(e) => match Failure::of(&e).tls {
            Some(rustls::Error::InvalidMessage(_)) | None => false,
            Some(_) => true,
        },
    }
}

//! A name server on loopback that knows a few SRV records, over UDP.
//!
//! ```
//! use etcd_snap_testdata::dns::{Dns, Srv};
//!
//! # fn main() -> anyhow::Result<()> {
//! let dns = Dns::serving([("_etcd-client._tcp.example.test", vec![Srv::new(0, 0, 2379, "m1.example.test")])])?;
//! println!("{}", dns.address());
//! # Ok(())
//! # }
//! ```

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;

/// An SRV record's data.
#[derive(Debug, Clone)]
pub struct Srv {
    priority: u16,
    weight: u16,
    port: u16,
    target: String,
}

impl Srv {
    /// In the order in which the record has them.
    #[must_use]
    pub fn new(priority: u16, weight: u16, port: u16, target: &str) -> Self {
        Self {
            priority,
            weight,
            port,
            target: target.to_owned(),
        }
    }
}

/// A server that answers until it is dropped: SRV questions of names that it knows with their records, of others that there
/// is no such name, and everything else with nothing.
pub struct Dns {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Knows these names.
    ///
    /// # Errors
    /// No port, no thread.
    pub fn serving<'a>(names: impl IntoIterator<Item = (&'a str, Vec<Srv>)>) -> Result<Self> {
        let names: Vec<_> = names
            .into_iter()
            .map(|(name, records)| (encoded(name), records))
            .collect();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&ended);
        let thread = std::thread::Builder::new()
            .name("fake-dns".to_owned())
            .spawn(move || {
                let mut question = [0; 512];
                while let Ok((length, from)) = socket.recv_from(&mut question) {
                    if shared.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Some(answer) = answer(&question[..length], &names) {
                        let _ = socket.send_to(&answer, from);
                    }
                }
            })?;
        Ok(Self {
            address,
            ended,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It looks when something comes.
        let woken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.send_to(&[0], self.address));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// RFC 1035, 4.1: a header of 12 bytes, the question, and its answers.
fn answer(question: &[u8], names: &[(Vec<u8>, Vec<Srv>)]) -> Option<Vec<u8>> {
    const SRV: [u8; 2] = [0, 33];
    const NO_SUCH_NAME: u8 = 3;
    let name_ends = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let name = question[12..name_ends].to_ascii_lowercase();
    let kind = question.get(name_ends..name_ends + 2)?;
    let known = names.iter().find(|(known, _)| *known == name);
    let records = match known {
        Some((_, records)) if kind == SRV => &records[..],
        _ => &[],
    };
    let code = if known.is_some() { 0 } else { NO_SUCH_NAME };

    let mut answer = question[..2].to_vec();
    // An answer of one who is responsible, as recursive as was wanted.
    answer.extend([0x84 | (question[2] & 1), 0x80 | code]);
    answer.extend([0, 1]);
    answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(&question[12..name_ends + 4]);
    for record in records {
        let target = encoded(&record.target);
        // The name of the question, at byte 12; a day of life.
        answer.extend([0xc0, 12, 0, 33, 0, 1, 0, 1, 0x51, 0x80]);
        answer.extend(u16::try_from(6 + target.len()).ok()?.to_be_bytes());
        for number in [record.priority, record.weight, record.port] {
            answer.extend(number.to_be_bytes());
        }
        answer.extend(target);
    }
    Some(answer)
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("labels are short"));
        bytes.extend(label.to_ascii_lowercase().bytes());
    }
    bytes.push(0);
    bytes
}

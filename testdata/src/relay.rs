//! A TCP relay between a client and a server that can hold the server's answers at a byte, for as long as a test wants to do
//! something in the middle of a transfer, or cut them off there.
//!
//! ```no_run
//! use etcd_snap_testdata::relay::Relay;
//!
//! # fn main() -> anyhow::Result<()> {
//! # let server = ([127, 0, 0, 1], 2379).into();
//! let relay = Relay::to(server)?;
//! relay.hold_after(1 << 20);
//! // Somebody begins to read from relay.address() in another thread.
//! relay.wait_until_holding()?;
//! // The client has a megabyte and waits.
//! relay.release();
//! # Ok(())
//! # }
//! ```
//!
//! Bytes are counted below TLS, and over all connections together.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long a transfer may take to reach the byte at which it is to be held.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relay that listens on a free port. Dropping it ends it and every connection through it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of answers that may still pass; without one, all may.
    allowance: Option<u64>,
    holding: bool,
    ended: bool,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// Begins to relay to this server; everything passes.
    pub fn to(server: SocketAddr) -> Result<Self> {
        Self::at(Ipv4Addr::LOCALHOST.into(), server)
    }

    /// The same, listening on a port of another address of this machine: on Linux, all of 127.0.0.0/8 is.
    pub fn at(address: IpAddr, server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let gate = Arc::new(Gate::default());
        let shared = Arc::clone(&gate);
        thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || {
                for client in listener.incoming() {
                    if shared.state().ended {
                        break;
                    }
                    // A server that refuses is a client that is hung up on.
                    if let Ok(client) = client
                        && let Ok(server) = TcpStream::connect(server)
                    {
                        let _ = shared.relay(&client, &server);
                    }
                }
            })?;
        Ok(Relay { address, gate })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets so many bytes of answers pass from now on, and then holds what comes.
    pub fn hold_after(&self, bytes: u64) {
        let mut state = self.gate.state();
        state.allowance = Some(bytes);
        state.holding = false;
        drop(state);
        self.gate.changed.notify_all();
    }

    /// Waits until answers are being held.
    pub fn wait_until_holding(&self) -> Result<()> {
        let (state, waited) = self
            .gate
            .changed
            .wait_timeout_while(self.gate.state(), PATIENCE, |state| !state.holding)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            bail!("after {PATIENCE:?} nothing is held: {state:?}");
        }
        Ok(())
    }

    /// Lets everything pass again, what was held first.
    pub fn release(&self) {
        let mut state = self.gate.state();
        state.allowance = None;
        state.holding = false;
        drop(state);
        self.gate.changed.notify_all();
    }

    /// Ends all connections where they are; what was held is lost. New ones are relayed, and all of them passes.
    pub fn cut(&self) {
        let mut state = self.gate.state();
        for stream in state.streams.drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.release();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.gate.state().ended = true;
        self.cut();
        // The listener looks at the state when somebody comes.
        let _ = TcpStream::connect(self.address);
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relay(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) -> Result<()> {
        self.state()
            .streams
            .extend([client.try_clone()?, server.try_clone()?]);
        let (mut asking, mut asked) = (client.try_clone()?, server.try_clone()?);
        let (mut answering, mut answered) = (server.try_clone()?, client.try_clone()?);
        let gate = Arc::clone(self);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .context("cannot start a thread")
        };
        spawn(
            "relay-ask",
            Box::new(move || {
                let _ = io::copy(&mut asking, &mut asked);
                let _ = asked.shutdown(Shutdown::Write);
            }),
        )?;
        spawn(
            "relay-answer",
            Box::new(move || {
                let _ = gate.pass(&mut answering, &mut answered);
                let _ = answered.shutdown(Shutdown::Both);
                let _ = answering.shutdown(Shutdown::Both);
            }),
        )?;
        Ok(())
    }

    fn pass(&self, from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; 32 << 10];
        loop {
            let read = from.read(&mut buffer)?;
            let mut rest = buffer.get(..read).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while !rest.is_empty() {
                let (now, later) = rest.split_at(self.allowed(rest.len()));
                to.write_all(now)?;
                rest = later;
            }
        }
    }

    /// How many of these bytes may pass: at least one, after as long as it takes.
    fn allowed(&self, bytes: usize) -> usize {
        let mut state = self.state();
        loop {
            match &mut state.allowance {
                None => return bytes,
                Some(0) => {
                    state.holding = true;
                    self.changed.notify_all();
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(left) => {
                    let now = bytes.min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= now as u64;
                    return now;
                }
            }
        }
    }
}

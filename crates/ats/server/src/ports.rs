//! Ports for servers that cannot be told "any".

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// Below those that the kernel gives to clients and to listeners that ask for any: nobody else takes one of these between
/// the moment it is chosen and the moment the server listens.
const PORTS: Range<u16> = 12_000..32_000;

/// A port of 127.0.0.1 that is free, and was not given to anyone in this process before: for programs that cannot be told
/// "any".
///
/// # Errors
///
/// There is none.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    // At random, as other processes choose too.
    let random = RandomState::new();
    let width = u64::from(PORTS.end - PORTS.start);
    for attempt in 0..width {
        let port = PORTS.start + (random.hash_one(attempt) % width) as u16;
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    bail!("no port of {PORTS:?} is free");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}

//! The behaviours that the Autobahn test suite checks, and every further MUST of RFC 6455 and RFC 7692, as tables.
//!
//! A case is a script of what the tester sends and what has to come back; the strict outcome only. The same cases
//! run against every kind of [`peer::Peer`]: the core in memory, in both roles, and endpoints behind real sockets.
//! Frames are written and read here by code of the tester's own, so that the core is not its own judge.

mod case;
mod deflate;
mod handshake;
mod peer;
mod program;
mod socket;
mod tables;
mod tester;

use case::{Case, Extension, Role};
use peer::{MemoryPeer, Peer};
use program::Program;
use socket::{SocketPeer, echoing_client};
use std::net::TcpListener;
use tester::run;

/// Runs what applies to `role`, and prints each case with its section.
fn run_all(
    name: &str,
    role: Role,
    cases: &[Case],
    mut connect: impl FnMut(Option<Extension>) -> Box<dyn Peer>,
) {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| case.role.is_none_or(|only| only == role)) {
        count += 1;
        let outcome = run(case, role, connect(case.extension));
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{name} {:8} {:28} {} ... {verdict}", case.id, case.section, case.about);
        if let Err(failure) = outcome {
            failures.push(format!("{} ({}): {}: {failure}", case.id, case.section, case.about));
        }
    }
    println!("{name}: {count} cases, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count > 0);
}

#[test]
fn server_in_memory() {
    run_all("server", Role::Server, &tables::all(), |extension| Box::new(MemoryPeer::server(extension)));
}

#[test]
fn client_in_memory() {
    run_all("client", Role::Client, &tables::all(), |extension| Box::new(MemoryPeer::client(extension)));
}

#[test]
fn server_over_sockets() {
    let program = Program::start();
    // The server never takes a context over.
    let mut cases = tables::all();
    cases.retain(|case| case.extension.is_none_or(|extension| !extension.takeover));
    run_all("server over sockets", Role::Server, &cases, |extension| {
        Box::new(SocketPeer::connect(program.address, "/echo", extension))
    });
}

#[test]
fn client_over_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let mut clients = Vec::new();
    run_all("client over sockets", Role::Client, &tables::all(), |extension| {
        clients.push(echoing_client(address, extension));
        Box::new(SocketPeer::accept(&listener, extension))
    });
    for client in clients {
        client.join().expect("the client does not panic");
    }
}

#[test]
fn every_case_has_an_id_of_its_own() {
    let mut ids: Vec<String> = tables::all().into_iter().map(|case| case.id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

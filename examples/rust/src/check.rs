//! What the binding promises of handlers, threads and lifetimes, by assertions.

use apus::{Client, Message, Outcome, Request, Server};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// What handlers refer to.
struct Held(thread::ThreadId);

impl Held {
    fn is_here(&self) -> bool {
        self.0 == thread::current().id()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

fn add_handlers(server: &Server) -> Outcome {
    let held = Held(thread::current().id());
    let mut calls = 0;
    server.get("/thread", move |request| {
        calls += 1;
        let same = held.is_here();
        Ok(request.text(200, &format!("{same} {calls}"))?)
    })?;
    server.get("/later/:name", |request| {
        let later = request.defer()?;
        thread::spawn(move || {
            let name = later.param("name").unwrap_or_default().into_owned();
            later.text(200, &name)
        });
        Ok(())
    })?;
    server.get("/never", |request| {
        request.defer().map(drop).map_err(Into::into)
    })?;
    server.get("/error", |_| Err("on purpose".into()))?;
    server.get("/panic", |_: Request| panic!("on purpose"))?;
    server.events("/broken", |writer, _| Ok(writer.event("1", "one")?))?;
    server.websocket("/echo", |channel, message| match message.bytes() {
        b"panic" => panic!("on purpose"),
        _ => Ok(channel.send(message)?),
    })?;
    Ok(())
}

fn ask(port: u16) -> Outcome {
    let url = format!("http://127.0.0.1:{port}");
    let get = |path: &str| apus::get(&format!("{url}{path}"));
    for call in 1..=20 {
        assert_eq!(get("/thread")?.body(), format!("true {call}").as_bytes());
    }
    assert_eq!(get("/later/Ada%20L")?.body(), b"Ada L");
    for path in ["/never", "/error", "/panic"] {
        assert_eq!(get(path)?.status(), 500, "{path}");
    }
    assert!(
        get("/broken").is_err(),
        "a writer that is dropped breaks its reply off"
    );
    let client = Client::new()?;
    let mut socket = client.connect(&format!("ws://127.0.0.1:{port}/echo"))?;
    for message in [
        Message::Text("ä"),
        Message::Binary(&[0, 255]),
        Message::Text(""),
    ] {
        socket.send(Message::Text("panic"))?;
        socket.send(message)?;
        assert_eq!(socket.recv()?, message);
    }
    Ok(socket.close()?)
}

pub fn run() -> Outcome {
    let server = Server::new()?;
    add_handlers(&server)?;
    let port = server.listen("127.0.0.1", 0)?;
    let stopper = server.stopper();
    let asker = thread::spawn(move || {
        let outcome = ask(port).map_err(|error| error.to_string());
        stopper.stop();
        outcome
    });
    server.run()?;
    asker.join().map_err(|_| "an assertion failed")??;
    assert_eq!(
        DROPPED.load(Ordering::SeqCst),
        0,
        "a handler lives as long as its server"
    );

    let stopper = server.stopper();
    drop(server);
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1, "and no longer");
    stopper.stop(); // harmless

    // A registration that fails drops its handler, too.
    let held = Held(thread::current().id());
    let other = Server::new()?;
    let refused = other.get("no slash", move |_| {
        assert!(held.is_here());
        Ok(())
    });
    assert!(refused.is_err());
    assert_eq!(
        DROPPED.load(Ordering::SeqCst),
        2,
        "of a handler that was refused"
    );

    // A server may end on another thread than the one that made it.
    let (server, barrier) = (Arc::new(Server::new()?), Arc::new(Barrier::new(2)));
    let (other, gate) = (server.clone(), barrier.clone());
    let ender = thread::spawn(move || {
        gate.wait();
        drop(other)
    });
    drop(server);
    barrier.wait();
    ender.join().map_err(|_| "cannot end there")?;
    println!("gc ok");
    Ok(())
}

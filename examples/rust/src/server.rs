//! The server, and how its handlers are called.

use crate::{check, check_handle, ffi, lent, text, Message, Request, Result, Writer};
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// What a handler returns. An error is reported on standard error, as a panic is, and a
/// request that was not answered before gets a 500.
pub type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// A server. It ends when it is dropped.
///
/// Handlers are called one at a time, by the thread that runs the server, hence `FnMut`;
/// that may be any thread, as may be the one that drops them, hence `Send`.
pub struct Server {
    handle: u64,
    stopping: Arc<AtomicBool>,
}

/// A server's channel. Once it is closed, sending is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Channel {
    handle: u64,
}

/// Stops a server, from any thread; after its end too, which does nothing.
#[derive(Clone)]
pub struct Stopper {
    handle: u64,
    stopping: Arc<AtomicBool>,
}

impl Server {
    pub fn new() -> Result<Server> {
        // SAFETY: no precondition.
        let handle = check_handle(unsafe { ffi::apus_server_make() })?;
        Ok(Server {
            handle,
            stopping: Arc::default(),
        })
    }

    /// Answers GET requests.
    pub fn get<F>(&self, pattern: &str, handler: F) -> Result<()>
    where
        F: FnMut(Request<'_>) -> Outcome + Send + 'static,
    {
        let pattern = text(pattern)?;
        let context = Box::into_raw(Box::new(handler)).cast();
        // SAFETY: context is a boxed F, which the library hands to both functions.
        check(unsafe {
            let (function, drop) = (on_request::<F>, release::<F>);
            let pattern = pattern.as_ptr();
            ffi::apus_server_route(self.handle, ffi::GET, pattern, function, context, drop)
        })?;
        Ok(())
    }

    /// Answers with a stream of events.
    pub fn events<F>(&self, pattern: &str, handler: F) -> Result<()>
    where
        F: FnMut(Writer, Request<'_>) -> Outcome + Send + 'static,
    {
        let pattern = text(pattern)?;
        let context = Box::into_raw(Box::new(handler)).cast();
        // SAFETY: as in `get`.
        check(unsafe {
            let (function, drop) = (on_events::<F>, release::<F>);
            ffi::apus_server_events(self.handle, pattern.as_ptr(), function, context, drop)
        })?;
        Ok(())
    }

    /// Takes the messages of channels.
    pub fn websocket<F>(&self, pattern: &str, handler: F) -> Result<()>
    where
        F: FnMut(Channel, Message<'_>) -> Outcome + Send + 'static,
    {
        let pattern = text(pattern)?;
        // SAFETY: on_open needs no context.
        let route = check(unsafe {
            let context = std::ptr::null_mut();
            ffi::apus_server_websocket(self.handle, pattern.as_ptr(), on_open, context, None)
        })?;
        let context = Box::into_raw(Box::new(handler)).cast();
        // SAFETY: as in `get`.
        check(unsafe {
            let (function, drop) = (on_message::<F>, release::<F>);
            ffi::apus_server_on_message(self.handle, route, function, context, drop)
        })?;
        Ok(())
    }

    /// Binds a port, 0 for any free one, and tells which it is.
    pub fn listen(&self, host: &str, port: u16) -> Result<u16> {
        let host = text(host)?;
        // SAFETY: the host is text that outlives the call.
        unsafe {
            let index = check(ffi::apus_server_listen(
                self.handle,
                host.as_ptr(),
                port.into(),
            ))?;
            Ok(check(ffi::apus_server_port(self.handle, index))? as u16)
        }
    }

    /// Serves, on this thread, until it is stopped.
    pub fn run(&self) -> Result<()> {
        // SAFETY: handlers are called in here alone, and one at a time.
        unsafe {
            check(ffi::apus_server_start(self.handle))?;
            while !self.stopping.load(Ordering::SeqCst) {
                check(ffi::apus_server_tick(self.handle, 1000))?;
            }
            check(ffi::apus_server_stop(self.handle))?;
        }
        Ok(())
    }

    pub fn stopper(&self) -> Stopper {
        Stopper {
            handle: self.handle,
            stopping: self.stopping.clone(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: any handle may be destroyed.
        unsafe { ffi::apus_server_destroy(self.handle) };
    }
}

impl Stopper {
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // SAFETY: handles are never reused; one that has ended is an error.
        unsafe { ffi::apus_server_wake(self.handle) };
    }
}

impl Channel {
    pub fn send(&self, message: Message<'_>) -> Result<()> {
        crate::send(self.handle, message)
    }
}

/// Calls a handler: no panic may unwind into C. The panic's hook has told of it.
fn guard(handler: impl FnOnce() -> Outcome) {
    if let Ok(Err(error)) = catch_unwind(AssertUnwindSafe(handler)) {
        eprintln!("a handler failed: {error}");
    }
}

unsafe extern "C" fn on_request<F>(context: *mut c_void, request: u64)
where
    F: FnMut(Request<'_>) -> Outcome,
{
    let handler = &mut *context.cast::<F>();
    guard(|| handler(Request::new(request)));
}

unsafe extern "C" fn on_events<F>(context: *mut c_void, writer: u64, request: u64)
where
    F: FnMut(Writer, Request<'_>) -> Outcome,
{
    let handler = &mut *context.cast::<F>();
    guard(|| handler(Writer::new(writer), Request::new(request)));
}

/// A route needs a function, or its channels are for `apus_server_next`.
unsafe extern "C" fn on_open(_: *mut c_void, _channel: u64, _request: u64) {}

unsafe extern "C" fn on_message<F>(
    context: *mut c_void,
    channel: u64,
    opcode: i32,
    data: *const c_void,
    length: usize,
) where
    F: FnMut(Channel, Message<'_>) -> Outcome,
{
    let handler = &mut *context.cast::<F>();
    let bytes = lent(data, length);
    let message = match std::str::from_utf8(bytes) {
        Ok(text) if opcode == ffi::OPCODE_TEXT => Message::Text(text),
        _ => Message::Binary(bytes),
    };
    guard(|| handler(Channel { handle: channel }, message));
}

/// The library needs a handler no more.
unsafe extern "C" fn release<F>(context: *mut c_void) {
    let handler = Box::from_raw(context.cast::<F>());
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handler)));
}

//! A small safe binding of libapus: an HTTP, WebSocket and SSE server whose handlers run
//! in [`Server::run`], and a client.
//!
//! A request lives as long as its handler's call, unless it is deferred:
//!
//! ```compile_fail
//! let server = apus::Server::new().unwrap();
//! let mut kept = Vec::new();
//! server.get("/", move |request| { kept.push(request); Ok(()) }).unwrap();
//! ```
//!
//! nor can another thread have it, as the library would refuse:
//!
//! ```compile_fail
//! fn handler(request: apus::Request) -> apus::Outcome {
//!     std::thread::scope(|scope| scope.spawn(|| request.text(200, "")));
//!     Ok(())
//! }
//! ```
//!
//! but one that was deferred goes anywhere, and is answered once:
//!
//! ```no_run
//! let server = apus::Server::new().unwrap();
//! server.get("/", |request| {
//!     let later = request.defer()?;
//!     std::thread::spawn(move || later.text(200, "at last"));
//!     Ok(())
//! }).unwrap();
//! ```

mod client;
mod ffi;
mod request;
mod server;

pub use client::{get, Client, Response, Socket};
pub use request::{Deferred, Request, Writer};
pub use server::{Channel, Outcome, Server, Stopper};

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::raw::{c_char, c_void};

/// A failure that the library reports: a code of apus.h, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub code: i32,
    pub message: String,
}

impl Error {
    /// Of the calling thread's latest failing call.
    fn last() -> Error {
        // SAFETY: the message is borrowed until the thread's next failing call.
        unsafe {
            let message = CStr::from_ptr(ffi::apus_last_error_message());
            Error {
                code: ffi::apus_last_error(),
                message: message.to_string_lossy().into(),
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the name is static text.
        let name = unsafe { CStr::from_ptr(ffi::apus_error_name(self.code)) };
        write!(out, "{} ({})", self.message, name.to_string_lossy())
    }
}

impl std::error::Error for Error {}

pub type Result<T> = std::result::Result<T, Error>;

/// A message of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

impl Message<'_> {
    fn opcode(&self) -> i32 {
        match self {
            Message::Text(_) => ffi::OPCODE_TEXT,
            Message::Binary(_) => ffi::OPCODE_BINARY,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}

/// Text for the library, which must not hold a NUL.
fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error {
        code: ffi::E_ARGUMENT,
        message: "a NUL in a text".into(),
    })
}

fn check(result: i32) -> Result<i32> {
    if result < 0 {
        Err(Error::last())
    } else {
        Ok(result)
    }
}

fn check_handle(handle: u64) -> Result<u64> {
    if handle == 0 {
        Err(Error::last())
    } else {
        Ok(handle)
    }
}

/// What the library lends.
///
/// # Safety
/// `data` is NULL, or has `length` bytes that live as long as `'a`.
unsafe fn lent<'a>(data: *const c_void, length: usize) -> &'a [u8] {
    if data.is_null() {
        &[]
    } else {
        std::slice::from_raw_parts(data.cast(), length)
    }
}

fn send(channel: u64, message: Message) -> Result<()> {
    let bytes = message.bytes();
    // SAFETY: the bytes are copied before the call returns.
    check(unsafe {
        ffi::apus_channel_send(
            channel,
            message.opcode(),
            1,
            bytes.as_ptr().cast(),
            bytes.len(),
        )
    })?;
    Ok(())
}

const PLAIN: *const c_char = b"text/plain; charset=utf-8\0".as_ptr() as *const c_char;

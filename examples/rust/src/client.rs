//! The client's side.

use crate::{check, check_handle, ffi, lent, text, Message, Result};
use std::marker::PhantomData;

/// The answer to a request.
pub struct Response {
    handle: u64,
}

/// Fetches a URL.
pub fn get(url: &str) -> Result<Response> {
    let url = text(url)?;
    // SAFETY: the URL outlives the call.
    let handle = check_handle(unsafe { ffi::apus_get(url.as_ptr(), std::ptr::null()) })?;
    Ok(Response { handle })
}

impl Response {
    pub fn status(&self) -> i32 {
        // SAFETY: the handle is live.
        unsafe { ffi::apus_response_status(self.handle) }
    }

    pub fn body(&self) -> &[u8] {
        let mut length = 0;
        // SAFETY: the body is lent until the response is destroyed.
        unsafe {
            let body = ffi::apus_response_body(self.handle, &mut length);
            lent(body.cast(), length)
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        // SAFETY: any handle may be destroyed.
        unsafe { ffi::apus_response_destroy(self.handle) };
    }
}

/// What sockets live on.
pub struct Client {
    handle: u64,
}

impl Client {
    pub fn new() -> Result<Client> {
        // SAFETY: no precondition.
        Ok(Client {
            handle: check_handle(unsafe { ffi::apus_client_make() })?,
        })
    }

    /// Connects to a URL, as `ws://host:port/path`.
    pub fn connect(&self, url: &str) -> Result<Socket<'_>> {
        let url = text(url)?;
        // SAFETY: the URL outlives the calls.
        unsafe {
            let handle = check_handle(ffi::apus_channel_make(self.handle))?;
            let socket = Socket {
                handle,
                _client: PhantomData,
            };
            check(ffi::apus_channel_open(handle, url.as_ptr()))?;
            check(ffi::apus_channel_wait_open(handle, -1))?;
            Ok(socket)
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: any handle may be destroyed.
        unsafe { ffi::apus_client_destroy(self.handle) };
    }
}

/// A client's end of a WebSocket.
pub struct Socket<'client> {
    handle: u64,
    _client: PhantomData<&'client Client>,
}

impl Socket<'_> {
    pub fn send(&self, message: Message<'_>) -> Result<()> {
        crate::send(self.handle, message)
    }

    /// Waits for a message, which is there until the next one is asked for.
    pub fn recv(&mut self) -> Result<Message<'_>> {
        let mut message = ffi::Message::default();
        // SAFETY: what the library lends lasts until the next call.
        unsafe {
            check(ffi::apus_channel_recv(self.handle, &mut message, -1))?;
            let bytes = lent(message.data, message.length);
            Ok(match std::str::from_utf8(bytes) {
                Ok(text) if message.opcode == ffi::OPCODE_TEXT => Message::Text(text),
                _ => Message::Binary(bytes),
            })
        }
    }

    /// Closes it, and waits until the peer has done so.
    pub fn close(self) -> Result<()> {
        let mut message = ffi::Message::default();
        // SAFETY: what may still come is not looked at.
        unsafe {
            check(ffi::apus_channel_close(
                self.handle,
                1000,
                std::ptr::null(),
                0,
            ))?;
            while ffi::apus_channel_recv(self.handle, &mut message, 5000) > 0 {}
        }
        Ok(())
    }
}

impl Drop for Socket<'_> {
    fn drop(&mut self) {
        // SAFETY: any handle may be destroyed.
        unsafe { ffi::apus_channel_destroy(self.handle) };
    }
}

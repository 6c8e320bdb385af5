//! Requests, and what they are answered with.

use crate::{check, ffi, lent, text, Result, PLAIN};
use std::borrow::Cow;
use std::marker::PhantomData;

/// A request, for as long as its handler is called with it. One that is not answered gets
/// a 500.
pub struct Request<'call> {
    handle: u64,
    /// Neither `Send` nor `Sync`: the library gives a request to no other thread.
    _call: PhantomData<&'call *const ()>,
}

impl Request<'_> {
    pub(crate) fn new(handle: u64) -> Self {
        Request {
            handle,
            _call: PhantomData,
        }
    }

    /// A part of the path that the pattern names.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        param(self.handle, name)
    }

    /// Replies with plain text.
    pub fn text(self, status: i32, body: &str) -> Result<()> {
        reply_text(self.handle, status, body)
    }

    /// Keeps the request beyond its handler, for any thread.
    pub fn defer(self) -> Result<Deferred> {
        // SAFETY: a handle that is not live is an error.
        check(unsafe { ffi::apus_request_defer(self.handle) })?;
        Ok(Deferred {
            handle: self.handle,
        })
    }
}

/// A request beyond its handler. One that is dropped without an answer gets a 500.
pub struct Deferred {
    handle: u64,
}

impl Deferred {
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        param(self.handle, name)
    }

    pub fn text(self, status: i32, body: &str) -> Result<()> {
        reply_text(self.handle, status, body)
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        // SAFETY: any handle may be destroyed, also twice.
        unsafe { ffi::apus_request_destroy(self.handle) };
    }
}

/// The text lives as long as the request, of which the caller lends `'a`.
fn param<'a>(request: u64, name: &str) -> Option<Cow<'a, str>> {
    let name = text(name).ok()?;
    let mut length = 0;
    // SAFETY: both arguments outlive the call.
    let value = unsafe { ffi::apus_request_param(request, name.as_ptr(), &mut length) };
    // SAFETY: the library lends it until the request ends, or is answered: both take it.
    (!value.is_null()).then(|| String::from_utf8_lossy(unsafe { lent(value.cast(), length) }))
}

fn reply_text(request: u64, status: i32, body: &str) -> Result<()> {
    // SAFETY: the body is copied before the call returns.
    check(unsafe { ffi::apus_reply(request, status, PLAIN, body.as_ptr().cast(), body.len()) })?;
    Ok(())
}

/// A stream of events, for any thread. One that is dropped before its end is broken off.
pub struct Writer {
    handle: u64,
}

impl Writer {
    pub(crate) fn new(handle: u64) -> Self {
        Writer { handle }
    }

    pub fn event(&self, id: &str, data: &str) -> Result<()> {
        let id = text(id)?;
        // SAFETY: all is copied before the call returns.
        check(unsafe {
            let data = (data.as_ptr().cast(), data.len());
            ffi::apus_writer_event(self.handle, std::ptr::null(), id.as_ptr(), data.0, data.1)
        })?;
        Ok(())
    }

    pub fn end(self) -> Result<()> {
        // SAFETY: a handle that is not live is an error.
        check(unsafe { ffi::apus_writer_end(self.handle) })?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: as that of `Deferred`.
        unsafe { ffi::apus_writer_destroy(self.handle) };
    }
}

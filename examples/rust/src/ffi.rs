//! The functions of apus.h that the binding uses.

use std::os::raw::{c_char, c_void};

pub type Drop = unsafe extern "C" fn(*mut c_void);
pub type OnRequest = unsafe extern "C" fn(*mut c_void, u64);
pub type OnPair = unsafe extern "C" fn(*mut c_void, u64, u64);
pub type OnMessage = unsafe extern "C" fn(*mut c_void, u64, i32, *const c_void, usize);

pub const GET: i32 = 1;
pub const OPCODE_TEXT: i32 = 1;
pub const OPCODE_BINARY: i32 = 2;
pub const E_ARGUMENT: i32 = -2;

/// `apus_message`, whose layout is frozen.
#[repr(C)]
pub struct Message {
    pub opcode: i32,
    pub last: i32,
    pub data: *const c_void,
    pub length: usize,
    pub reserved: [u64; 4],
}

impl Default for Message {
    fn default() -> Self {
        Message {
            opcode: 0,
            last: 0,
            data: std::ptr::null(),
            length: 0,
            reserved: [0; 4],
        }
    }
}

extern "C" {
    pub fn apus_last_error() -> i32;
    pub fn apus_last_error_message() -> *const c_char;
    pub fn apus_error_name(code: i32) -> *const c_char;

    pub fn apus_server_make() -> u64;
    pub fn apus_server_destroy(server: u64) -> i32;
    pub fn apus_server_listen(server: u64, host: *const c_char, port: i32) -> i32;
    pub fn apus_server_port(server: u64, listener: i32) -> i32;
    pub fn apus_server_start(server: u64) -> i32;
    pub fn apus_server_stop(server: u64) -> i32;
    pub fn apus_server_tick(server: u64, timeout_ms: i32) -> i32;
    pub fn apus_server_wake(server: u64) -> i32;
    pub fn apus_server_route(
        server: u64,
        method: i32,
        pattern: *const c_char,
        function: OnRequest,
        context: *mut c_void,
        drop: Drop,
    ) -> i32;
    pub fn apus_server_events(
        server: u64,
        pattern: *const c_char,
        function: OnPair,
        context: *mut c_void,
        drop: Drop,
    ) -> i32;
    pub fn apus_server_websocket(
        server: u64,
        pattern: *const c_char,
        function: OnPair,
        context: *mut c_void,
        drop: Option<Drop>,
    ) -> i32;
    pub fn apus_server_on_message(
        server: u64,
        route: i32,
        function: OnMessage,
        context: *mut c_void,
        drop: Drop,
    ) -> i32;

    pub fn apus_request_param(r: u64, name: *const c_char, length: *mut usize) -> *const c_char;
    pub fn apus_request_defer(request: u64) -> i32;
    pub fn apus_request_destroy(request: u64) -> i32;
    pub fn apus_reply(
        request: u64,
        status: i32,
        kind: *const c_char,
        data: *const c_void,
        length: usize,
    ) -> i32;

    pub fn apus_writer_event(
        writer: u64,
        event: *const c_char,
        id: *const c_char,
        data: *const c_void,
        length: usize,
    ) -> i32;
    pub fn apus_writer_end(writer: u64) -> i32;
    pub fn apus_writer_destroy(writer: u64) -> i32;

    pub fn apus_client_make() -> u64;
    pub fn apus_client_destroy(client: u64) -> i32;
    pub fn apus_channel_make(host: u64) -> u64;
    pub fn apus_channel_open(channel: u64, url: *const c_char) -> i32;
    pub fn apus_channel_wait_open(channel: u64, timeout_ms: i32) -> i32;
    pub fn apus_channel_send(
        channel: u64,
        opcode: i32,
        last: i32,
        data: *const c_void,
        length: usize,
    ) -> i32;
    pub fn apus_channel_recv(channel: u64, message: *mut Message, timeout_ms: i32) -> i32;
    pub fn apus_channel_close(channel: u64, code: i32, reason: *const c_void, length: usize)
        -> i32;
    pub fn apus_channel_destroy(channel: u64) -> i32;

    pub fn apus_get(url: *const c_char, headers: *const c_char) -> u64;
    pub fn apus_response_status(response: u64) -> i32;
    pub fn apus_response_body(response: u64, length: *mut usize) -> *const c_char;
    pub fn apus_response_destroy(response: u64) -> i32;
}

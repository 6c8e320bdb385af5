/// A small binding of libapus: an HTTP, WebSocket and SSE server whose handlers run in
/// Server.run(), and a client. Servers, clients and sockets end with close(), or once the
/// collector has taken them; to use one afterwards throws.
module apus;

import core.atomic : atomicLoad, atomicStore;
import std.string : fromStringz, toStringz;

private alias Handle = ulong;

extern (C) nothrow private
{
    /// `apus_message`, whose layout is frozen.
    struct RawMessage
    {
        int opcode, last;
        const(char)* data;
        size_t length;
        ulong[4] reserved;
    }

    int apus_last_error();
    const(char)* apus_last_error_message();
    const(char)* apus_error_name(int code);
    int apus_live_count(int kind);
    Handle apus_server_make();
    int apus_server_destroy(Handle server);
    int apus_server_listen(Handle server, const char* host, int port);
    int apus_server_port(Handle server, int listener);
    int apus_server_start(Handle server);
    int apus_server_stop(Handle server);
    int apus_server_tick(Handle server, int timeout);
    int apus_server_wake(Handle server);
    int apus_server_get(Handle server, const char* pattern, void function(void*, Handle) fn,
            void* context, void function(void*) drop);
    int apus_server_events(Handle server, const char* pattern,
            void function(void*, Handle, Handle) fn, void* context, void function(void*) drop);
    int apus_server_websocket(Handle server, const char* pattern,
            void function(void*, Handle, Handle) fn, void* context, void function(void*) drop);
    int apus_server_on_message(Handle server, int route,
            void function(void*, Handle, int, const(char)*, size_t) fn, void* context,
            void function(void*) drop);
    const(char)* apus_request_param(Handle request, const char* name, size_t* length);
    int apus_reply(Handle request, int status, const char* type, const void* data, size_t length);
    int apus_writer_event(Handle writer, const char* event, const char* id, const void* data,
            size_t length);
    int apus_writer_end(Handle writer);
    int apus_writer_abort(Handle writer);
    int apus_writer_detach(Handle writer);
    Handle apus_client_make();
    int apus_client_destroy(Handle client);
    Handle apus_channel_make(Handle host);
    int apus_channel_open(Handle channel, const char* url);
    int apus_channel_wait_open(Handle channel, int timeout);
    int apus_channel_send(Handle channel, int opcode, int last, const void* data, size_t length);
    int apus_channel_recv(Handle channel, RawMessage* message, int timeout);
    int apus_channel_close(Handle channel, int code, const void* reason, size_t length);
    int apus_channel_destroy(Handle channel);
    Handle apus_get(const char* url, const char* headers);
    int apus_response_status(Handle response);
    const(char)* apus_response_body(Handle response, size_t* length);
    int apus_response_destroy(Handle response);
}

/// A failure that the library reports: a code of apus.h, and a sentence.
class ApusException : Exception
{
    const int code;

    private this()
    {
        code = apus_last_error();
        super((apus_last_error_message().fromStringz ~ " (" ~ apus_error_name(code)
                .fromStringz ~ ")").idup);
    }
}

/// For C, where it would end at a NUL inside.
private const(char)* text(string value)
{
    import std.exception : enforce;
    import std.string : representation;

    foreach (unit; value.representation)
        enforce(unit != 0, "a NUL inside text");
    return value.toStringz;
}

private int check(int result)
{
    if (result < 0)
        throw new ApusException;
    return result;
}

private Handle checkHandle(Handle handle)
{
    if (handle == 0)
        throw new ApusException;
    return handle;
}

/// How many objects of the library are live, to find leaks.
int live()
{
    return apus_live_count(0);
}

/// Of a WebSocket.
struct Message
{
    bool binary;
    const(char)[] data;

    private void send(Handle channel) const
    {
        check(apus_channel_send(channel, binary ? 2 : 1, 1, data.ptr, data.length));
    }
}

/// Good until its handler returns; later use throws.
struct Request
{
    private Handle handle;

    /// A part of the path that the pattern names, or null.
    string param(string name)
    {
        size_t length;
        const value = apus_request_param(handle, name.text, &length);
        return value is null ? null : value[0 .. length].idup;
    }

    /// Replies with plain text.
    void text(int status, const(char)[] content)
    {
        check(apus_reply(handle, status, "text/plain; charset=utf-8", content.ptr, content.length));
    }
}

/// A stream of events, until it ends or its client leaves.
struct Writer
{
    private Handle handle;

    void event(string id, const(char)[] data)
    {
        check(apus_writer_event(handle, null, id.text, data.ptr, data.length));
    }

    void end()
    {
        check(apus_writer_end(handle));
    }
}

/// A server's end of a WebSocket.
struct Channel
{
    private Handle handle;

    void send(Message message)
    {
        message.send(handle);
    }
}

/// What a callback's context points to.
private final class Hook
{
    void delegate(Request) onRequest;
    void delegate(Writer, Request) onEvents;
    void delegate(Channel, Message) onMessage;
}

/// Nothing may be thrown into C. Whether all went well.
private bool guard(scope void delegate() handler) nothrow
{
    import std.stdio : stderr;

    try
    {
        handler();
        return true;
    }
    catch (Throwable thrown)
    {
        try
            stderr.writeln("a handler failed: ", thrown.msg);
        catch (Exception)
        {
        }
        return false;
    }
}

extern (C) private nothrow
{
    void onRequest(void* context, Handle request)
    {
        guard(() => (cast(Hook) context).onRequest(Request(request)));
    }

    void onEvents(void* context, Handle writer, Handle request)
    {
        apus_writer_detach(writer);
        if (!guard(() => (cast(Hook) context).onEvents(Writer(writer), Request(request))))
            apus_writer_abort(writer);
    }

    void onMessage(void* context, Handle channel, int opcode, const(char)* data, size_t length)
    {
        const message = Message(opcode == 2, data[0 .. length]);
        guard(() => (cast(Hook) context).onMessage(Channel(channel), message));
    }

    // A route needs a function, or its channels are for apus_server_next().
    void onOpen(void* context, Handle channel, Handle request)
    {
    }
}

/// A server. It keeps what its callbacks refer to, which come in run() alone: a handler may
/// refer to its server, and be collected with it.
final class Server
{
    private const Handle handle;
    private Hook[] hooks;
    private shared bool stopping;

    this()
    {
        handle = checkHandle(apus_server_make());
    }

    ~this()
    {
        close();
    }

    void close()
    {
        apus_server_destroy(handle);
    }

    private void* keep(Hook hook)
    {
        hooks ~= hook;
        return cast(void*) hook;
    }

    /// Answers GET requests. What the handler throws is reported, and is a 500.
    void get(string pattern, void delegate(Request) handler)
    {
        auto hook = new Hook;
        hook.onRequest = handler;
        check(apus_server_get(handle, pattern.text, &onRequest, keep(hook), null));
    }

    /// Answers with a stream of events.
    void events(string pattern, void delegate(Writer, Request) handler)
    {
        auto hook = new Hook;
        hook.onEvents = handler;
        check(apus_server_events(handle, pattern.text, &onEvents, keep(hook), null));
    }

    /// Takes the messages of channels, which are lent until the handler returns.
    void webSocket(string pattern, void delegate(Channel, Message) handler)
    {
        auto hook = new Hook;
        hook.onMessage = handler;
        const route = check(apus_server_websocket(handle, pattern.text, &onOpen, null, null));
        check(apus_server_on_message(handle, route, &onMessage, keep(hook), null));
    }

    /// Binds a port, 0 for any free one, and tells which it is.
    int listen(string host, int port)
    {
        return check(apus_server_port(handle, check(apus_server_listen(handle,
                host.text, port))));
    }

    /// Serves on this thread until stop().
    void run()
    {
        check(apus_server_start(handle));
        while (!atomicLoad(stopping))
            check(apus_server_tick(handle, 1000));
        check(apus_server_stop(handle));
    }

    /// Ends run(), from any thread.
    void stop()
    {
        atomicStore(stopping, true);
        apus_server_wake(handle);
    }
}

struct Response
{
    int status;
    string content;
}

/// Fetches a URL.
Response get(string url)
{
    const response = checkHandle(apus_get(url.text, null));
    scope (exit)
        apus_response_destroy(response);
    size_t length;
    const content = apus_response_body(response, &length);
    return Response(apus_response_status(response), content[0 .. length].idup);
}

/// What sockets live on.
final class Client
{
    private const Handle handle;

    this()
    {
        handle = checkHandle(apus_client_make());
    }

    ~this()
    {
        close();
    }

    void close()
    {
        apus_client_destroy(handle);
    }
}

/// A client's end of a WebSocket.
final class Socket
{
    private const Handle handle;
    private Client client; // its end is the socket's, too

    this(Client client)
    {
        this.client = client;
        handle = checkHandle(apus_channel_make(client.handle));
    }

    ~this()
    {
        apus_channel_destroy(handle);
    }

    /// Connects to a URL, as ws://host:port/path, and waits until that is done.
    void open(string url)
    {
        check(apus_channel_open(handle, url.text));
        check(apus_channel_wait_open(handle, -1));
    }

    void send(Message message)
    {
        message.send(handle);
    }

    /// Waits for a message.
    Message receive()
    {
        RawMessage message;
        check(apus_channel_recv(handle, &message, -1));
        return Message(message.opcode == 2, message.data[0 .. message.length].idup);
    }

    /// Closes it, and waits for the peer to do so.
    void close()
    {
        RawMessage message;
        if (apus_channel_close(handle, 1000, null, 0) == 0)
            while (apus_channel_recv(handle, &message, 5000) > 0)
            {
            }
        apus_channel_destroy(handle);
    }
}

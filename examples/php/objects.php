<?php
/*
 * objects.php - the classes of apus.php: server, requests, streams, channels, client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
declare(strict_types=1);

namespace Apus;

require_once __DIR__ . '/apus.php';

/* A request, inside its handler, which replies to it. */
final class Request
{
    public function __construct(public readonly int $handle)
    {
    }

    public function method(): string
    {
        return Library::call('request_method_name', $this->handle);
    }

    public function path(): string
    {
        return Library::call('request_path', $this->handle);
    }

    public function body(): string
    {
        return Library::taken('request_body', $this->handle);
    }

    public function param(string $name): ?string
    {
        return Library::taken('request_param', $this->handle, Library::text($name));
    }

    public function query(string $name): ?string
    {
        return Library::taken('request_query_param', $this->handle, Library::text($name));
    }

    public function header(string $name): ?string
    {
        return Library::taken('request_header', $this->handle, Library::text($name));
    }

    public function setHeader(string $name, string $value): void
    {
        Library::call('reply_set_header', $this->handle, Library::text($name),
            Library::text($value));
    }

    public function reply(string $body, int $status = 200,
        string $type = 'text/plain; charset=utf-8'): void
    {
        Library::call('reply', $this->handle, $status, Library::text($type), $body, strlen($body));
    }
}

/* A stream of events; it ends with its callback. */
final class Stream
{
    public function __construct(public readonly int $handle)
    {
    }

    public function send(string $data, ?string $id = null, ?string $type = null): void
    {
        Library::call('writer_event', $this->handle, $type, $id, $data, strlen($data));
    }
}

/* A WebSocket. */
final class Channel extends Handle
{
    protected const KIND = 'channel';

    public function sendText(string $text): void
    {
        $this->call('send_text', $text, strlen($text));
    }

    public function sendBinary(string $data): void
    {
        $this->call('send_binary', $data, strlen($data));
    }

    /* True when it is open, false when the time has passed. */
    public function waitOpen(int $timeout = -1): bool
    {
        return $this->call('wait_open', $timeout) === 1;
    }

    /* The next message; null when the time has passed, or none is left. */
    public function receive(int $timeout = -1): ?string
    {
        $message = Library::ffi()->new('apus_message');
        try {
            $got = $this->call('recv', \FFI::addr($message), $timeout);
        } catch (Error $error) {
            return $error->name === 'APUS_E_CLOSED' ? null : throw $error;
        }
        return $got ? \FFI::string($message->data, $message->length) : null;
    }

    public function hangUp(int $code = 1000): void
    {
        $this->call('close', $code, null, 0);
    }
}

/* A server, whose callbacks are called in tick(). */
final class Server extends Handle
{
    protected const KIND = 'server';
    private \ArrayObject $kept;

    public function __construct()
    {
        parent::__construct(Library::made('server_make'));
        $this->kept = new \ArrayObject();
    }

    public function __destruct()
    {
        parent::__destruct();
        Library::forget($this->kept);
    }

    /* The callback takes a Request. */
    public function route(string $method, string $pattern, \Closure $callback): void
    {
        $this->call('route_named', Library::text($method), Library::text($pattern),
            ...Library::keep($this->kept, 'handler', $callback));
    }

    public function get(string $pattern, \Closure $callback): void
    {
        $this->route('GET', $pattern, $callback);
    }

    /* The callback takes a Stream and a Request. */
    public function events(string $pattern, \Closure $callback): void
    {
        $this->call('events', Library::text($pattern),
            ...Library::keep($this->kept, 'events', $callback));
    }

    /* The callback takes a Channel, a message, and whether that is text. */
    public function websocket(string $pattern, \Closure $callback): void
    {
        $route = $this->call('websocket', Library::text($pattern),
            ...Library::keep($this->kept, 'open', static fn() => null));
        $this->call('on_message', $route, ...Library::keep($this->kept, 'message', $callback));
    }

    /* Returns the port. */
    public function listen(string $host, int $port): int
    {
        return $this->call('port', $this->call('listen', Library::text($host), $port));
    }

    public function start(): void
    {
        $this->call('start');
    }

    public function stop(): void
    {
        $this->call('stop');
    }

    public function tick(int $timeout = -1): int
    {
        return $this->call('tick', $timeout);
    }

    /* A stream for stream_select(), readable when there is something to tick. */
    public function stream(): mixed
    {
        return fopen('php://fd/' . $this->call('event_fd'), 'r');
    }
}

/* What a server has answered. */
final class Response extends Handle
{
    protected const KIND = 'response';

    public function status(): int
    {
        return $this->call('status');
    }

    public function body(): string
    {
        return $this->taken('body');
    }

    public function header(string $name): ?string
    {
        return $this->taken('header', Library::text($name));
    }
}

/* A request that start() sends. */
final class Fetch extends Handle
{
    protected const KIND = 'fetch';

    public function start(): void
    {
        $this->call('start');
    }

    /* True when it is done. */
    public function wait(int $timeout = -1): bool
    {
        return $this->call('wait', $timeout) === 1;
    }

    public function response(): Response
    {
        $this->call('result');
        $response = $this->call('response');
        Library::call('response_keep', $response);
        return new Response($response);
    }
}

/* A client, which keeps connections and cookies. */
final class Client extends Handle
{
    protected const KIND = 'client';

    public function __construct()
    {
        parent::__construct(Library::made('client_make'));
    }

    public function fetch(string $method, string $url): Fetch
    {
        $fetch = Library::made('fetch_make', $this->handle, Library::text($method),
            Library::text($url));
        return new Fetch($fetch, of: $this);
    }

    /* Begins to open a WebSocket. */
    public function open(string $url): Channel
    {
        $channel = new Channel(Library::made('channel_make', $this->handle), of: $this);
        Library::call('channel_open', $channel->handle, Library::text($url));
        return $channel;
    }
}

/* One request over a connection of its own. */
function get(string $url): Response
{
    return new Response(Library::made('get', Library::text($url), null));
}

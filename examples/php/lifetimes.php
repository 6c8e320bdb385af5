<?php
/* lifetimes.php - what destructors and the collector of cycles do: "gc ok" if all holds. */
declare(strict_types=1);

require_once __DIR__ . '/objects.php';

use Apus\{Channel, Client, Error, Library, Request, Server};

function check(string $what, bool $holds): void
{
    if (!$holds) {
        fwrite(STDERR, "WRONG: $what\n");
        exit(1);
    }
}

function live(): int
{
    return Library::call('live_count', 0);
}

/* A callback lives as long as it can be called, and goes with its server. */
function testKept(): void
{
    [$server, $client] = [new Server(), new Client()];
    $callback = function (Request $request): void {
        gc_collect_cycles();
        $request->reply($request->path() . 'seen');
    };
    $seen = WeakReference::create($callback);
    $server->get('/', $callback);
    unset($callback);
    $port = $server->listen('127.0.0.1', 0);
    $server->start();
    for ($round = 0; $round < 20; $round++) {
        gc_collect_cycles();
        check('the callback is kept', $seen->get() !== null);
        $fetch = $client->fetch('GET', "http://127.0.0.1:$port/");
        $fetch->start();
        while (!$fetch->wait(0)) {
            $server->tick(10);
        }
        check('the reply', $fetch->response()->body() === '/seen');
    }
    $server->stop();
    unset($server);
    check('the callback is released', $seen->get() === null);
}

/* A server whose callback refers to it goes with that. */
function testCycle(): void
{
    $server = new Server();
    $server->get('/', fn(Request $request) => $request->reply((string) $server->handle));
    $seen = WeakReference::create($server);
    unset($server);
    gc_collect_cycles();
    check('a cycle goes', $seen->get() === null && live() === 0);
}

/* A server, a client and an open channel between them, which has echoed something. */
function connect(): array
{
    [$server, $client] = [new Server(), new Client()];
    $server->websocket('/', fn(Channel $channel, string $message) => $channel->sendText($message));
    $port = $server->listen('127.0.0.1', 0);
    $server->start();
    $channel = $client->open("ws://127.0.0.1:$port/");
    while (!$channel->waitOpen(0)) {
        $server->tick(10);
    }
    $channel->sendText('x');
    while (($answer = $channel->receive(0)) === null) {
        $server->tick(10);
    }
    check('the echo', $answer === 'x');
    return [$server, $client, $channel];
}

/* They go in each order, by hand and twice, or with their last reference. */
function testOrders(): void
{
    $orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    foreach ($orders as $order) {
        foreach ([true, false] as $byHand) {
            $objects = connect();
            foreach ($order as $index) {
                if ($byHand) {
                    $objects[$index]->close();
                    check('closed twice', !$objects[$index]->close());
                }
                $objects[$index] = null;
            }
            check('all have ended', live() === 0);
        }
    }
}

function testStale(): void
{
    $server = new Server();
    check('closed', $server->close() && !$server->close());
    try {
        $server->listen('127.0.0.1', 0);
        check('a server that has ended', false);
    } catch (Error $error) {
        check('the error', $error->name === 'APUS_E_HANDLE');
    }
}

testKept();
testCycle();
testOrders();
testStale();
check('no handle is left', live() === 0);
echo "gc ok\n";

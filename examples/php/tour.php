<?php
/* tour.php - the binding in one program: tour.php serve | get URL | ws URL TEXT */
declare(strict_types=1);

require_once __DIR__ . '/objects.php';

use Apus\{Channel, Client, Request, Server, Stream};

/* Serves until standard input ends. */
function serve(): void
{
    $server = new Server();
    $server->get('/hello/:name', function (Request $request): void {
        $request->reply("Hello, {$request->param('name')}!\n");
    });
    $server->get('/fail', function (): void {
        throw new RuntimeException('this handler always fails');
    });
    $server->events('/events', function (Stream $stream): void {
        foreach (['1', '2', '3'] as $id) {
            $stream->send("tick $id", $id);
        }
    });
    $server->websocket('/echo', function (Channel $channel, string $message, bool $isText): void {
        $isText ? $channel->sendText($message) : $channel->sendBinary($message);
    });

    printf("http://127.0.0.1:%d/\n", $server->listen('127.0.0.1', 0));
    $server->start();
    $events = $server->stream();
    do {
        $ready = [STDIN, $events];
        [$write, $except] = [null, null];
        stream_select($ready, $write, $except, null);
        $server->tick(0);
    } while (!in_array(STDIN, $ready, true) || !in_array(fread(STDIN, 512), ['', false], true));
    $server->stop();
}

function ws(string $url, string $text): void
{
    $channel = (new Client())->open($url);
    $channel->waitOpen();
    $channel->sendText($text);
    echo $channel->receive(), "\n";
    $channel->hangUp();
    $channel->receive(); // until the peer has answered that
}

try {
    match ($argv[1] ?? '') {
        'serve' => serve(),
        'get' => print(Apus\get($argv[2])->body()),
        'ws' => ws($argv[2], $argv[3]),
    };
} catch (Throwable $error) {
    fwrite(STDERR, "tour: {$error->getMessage()}\n");
    exit(1);
}

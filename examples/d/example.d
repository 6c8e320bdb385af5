/// The example: a server and a client.
module example;

import apus;
import collect : collectGarbage;
import core.thread : Thread;
import std.format : format;
import std.stdio;

void ticks(Writer writer)
{
    foreach (id; 1 .. 4)
        writer.event(format!"%d"(id), format!"tick %d"(id));
    writer.end();
}

/// Ends it with its input.
void stopAtEnd(Server server)
{
    auto reader = new Thread({
        foreach (chunk; stdin.byChunk(4096))
        {
        }
        server.stop();
    });
    reader.isDaemon = true;
    reader.start();
}

void serve()
{
    auto server = new Server;
    scope (exit)
        server.close();
    server.get("/hello/:name", (Request request) {
        request.text(200, format!"Hello, %s!\n"(request.param("name")));
    });
    server.get("/fail", (Request request) { throw new Exception("on purpose"); });
    server.events("/events", (Writer writer, Request request) => ticks(writer));
    server.webSocket("/echo", (Channel channel, Message message) => channel.send(message));
    writefln!"http://127.0.0.1:%d/"(server.listen("127.0.0.1", 0));
    stdout.flush();
    stopAtEnd(server);
    server.run();
}

void talk(string url, string text)
{
    auto client = new Client;
    scope (exit)
        client.close();
    auto socket = new Socket(client);
    socket.open(url);
    socket.send(Message(false, text));
    writeln(socket.receive().data);
    socket.close();
}

int main(string[] words)
{
    try
    {
        if (words[1 .. $] == ["serve"])
            serve();
        else if (words[1 .. $] == ["gc"])
            collectGarbage();
        else if (words.length == 3 && words[1] == "get")
            write(get(words[2]).content);
        else if (words.length == 4 && words[1] == "ws")
            talk(words[2], words[3]);
        else
            throw new Exception("usage: example serve | get URL | ws URL TEXT | gc");
    }
    catch (Exception failure)
    {
        stderr.writeln(failure.msg);
        return 1;
    }
    return 0;
}

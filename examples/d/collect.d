/// What the garbage collector may do, by assertions.
module collect;

import apus;
import core.atomic;
import core.memory : GC;
import core.thread : Thread;
import core.time;
import std.algorithm.sorting : nextPermutation;
import std.conv : to;
import std.exception : collectException, enforce;
import std.format : format;
import std.stdio : writeln;

shared int released;

final class Held
{
    Server server;
    Thread thread;

    this(Server server, Thread thread)
    {
        this.server = server;
        this.thread = thread;
    }

    ~this()
    {
        atomicOp!"+="(released, 1);
    }
}

/// Runs something on a stack of its own: what that leaves behind looks like references.
void apart(void delegate() task)
{
    auto thread = new Thread(task);
    thread.start();
    thread.join();
}

/// Collects until something holds that destructors bring about.
void eventually(string what, bool delegate() holds)
{
    const limit = MonoTime.currTime + 20.seconds;
    while (!holds())
    {
        enforce(MonoTime.currTime < limit, "not so: " ~ what);
        apart({ GC.collect(); });
    }
}

/// Adds a handler which alone refers to something, and to its server: a circle.
void keep(Server server)
{
    auto held = new Held(server, Thread.getThis());
    server.get("/load", (Request request) {
        const same = held.server is server && held.thread is Thread.getThis();
        request.text(200, same.to!string);
    });
}

/// Asks a server that runs on this thread, while the collector works.
void checkHandlers()
{
    auto server = new Server;
    keep(server);
    const url = format!"http://127.0.0.1:%d/load"(server.listen("127.0.0.1", 0));
    int right;
    auto asker = new Thread({
        scope (exit)
            server.stop();
        foreach (count; 0 .. 20)
        {
            GC.collect();
            if (get(url) == Response(200, "true"))
                right++;
        }
    });
    asker.start();
    server.run();
    asker.join();
    enforce(right == 20, "not so: handlers run on the thread of run()");
    GC.collect();
    enforce(atomicLoad(released) == 0, "not so: a handler lives as long as its server");
    server.close();
    server.close();
}

void expectFailure(void delegate() use)
{
    const failure = collectException!ApusException(use());
    enforce(failure !is null && failure.code == -1, "not so: what has ended says so");
}

/// Ends a server, a client and a socket in each order, twice.
void checkOrders()
{
    auto order = [0, 1, 2];
    do
    {
        auto server = new Server;
        auto client = new Client;
        auto socket = new Socket(client);
        foreach (which; order ~ order)
        {
            [&server.close, &client.close, &socket.close][which]();
            GC.collect();
        }
        expectFailure({ server.listen("127.0.0.1", 0); });
        expectFailure({ socket.send(Message(false, "")); });
    }
    while (nextPermutation(order));
}

/// Text with a NUL inside is refused before the call.
void checkText()
{
    auto server = new Server;
    scope (exit)
        server.close();
    enforce(collectException(server.listen("127.0.0.1\0", 0)) !is null, "not so: a host");
    enforce(collectException(server.get("/a\0b", (Request request) {})) !is null,
            "not so: a pattern");
}

/// Makes objects and closes none.
void leave()
{
    keep(new Server);
    new Socket(new Client);
    enforce(live() == 3, "not so: there are a server, a client and a socket");
}

void collectGarbage()
{
    apart({ checkHandlers(); });
    eventually("a handler is let go with its server", () => atomicLoad(released) == 1);
    apart({ checkOrders(); });
    apart({ checkText(); });
    enforce(live() == 0, "not so: all that was closed has ended");
    apart({ leave(); });
    eventually("the collector ends what nobody refers to",
            () => live() == 0 && atomicLoad(released) == 2);
    writeln("gc ok");
}

package apus;

import static apus.Native.APUS;
import static apus.Native.check;

import com.sun.jna.Callback;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.List;

/**
 * A server, whose handlers are called in run(). It ends with close(), or once the collector
 * has taken it.
 *
 * <p>It is the server that keeps its callbacks, so that handlers may refer to it and be
 * collected with it: without run() nobody calls them.
 */
public final class Server implements AutoCloseable {
  /** Answers a request. What it throws is told on standard error, and is a 500. */
  public interface Handler {
    void handle(Request request) throws Exception;
  }

  public interface EventsHandler {
    void handle(Writer writer, Request request) throws Exception;
  }

  public interface MessageHandler {
    void handle(Channel channel, Message message) throws Exception;
  }

  private final long handle = Native.checkHandle(APUS.apus_server_make());
  private final List<Callback> callbacks = new ArrayList<>();
  private final Cleaner.Cleanable cleanable;
  private volatile boolean stopping;

  public Server() {
    long server = handle; // what is cleaned must not refer to this
    cleanable = Native.CLEANER.register(this, () -> APUS.apus_server_destroy(server));
  }

  private interface Body {
    void run() throws Exception;
  }

  /** Nothing may be thrown into C. Whether all went well. */
  private static boolean guard(Body body) {
    try {
      body.run();
      return true;
    } catch (Throwable thrown) {
      thrown.printStackTrace();
      return false;
    }
  }

  private <T extends Callback> T keep(T callback) {
    callbacks.add(callback);
    return callback;
  }

  public void get(String pattern, Handler handler) {
    Native.OnRequest fn =
        keep((context, request) -> guard(() -> handler.handle(new Request(request))));
    check(APUS.apus_server_route(handle, Native.GET, pattern, fn, null, null));
  }

  public void events(String pattern, EventsHandler handler) {
    Native.OnPair fn = keep((context, writer, request) -> {
      APUS.apus_writer_detach(writer);
      if (!guard(() -> handler.handle(new Writer(writer), new Request(request)))) {
        APUS.apus_writer_abort(writer);
      }
    });
    check(APUS.apus_server_events(handle, pattern, fn, null, null));
  }

  public void webSocket(String pattern, MessageHandler handler) {
    // A route needs a function, or its channels are for apus_server_next().
    Native.OnPair open = keep((context, channel, request) -> {});
    int route = check(APUS.apus_server_websocket(handle, pattern, open, null, null));
    Native.OnMessage fn = keep((context, channel, opcode, data, length) -> guard(
        () -> handler.handle(new Channel(channel), Message.of(opcode, data, length))));
    check(APUS.apus_server_on_message(handle, route, fn, null, null));
  }

  /** Binds a port, 0 for any free one, and tells which it is. */
  public int listen(String host, int port) {
    return check(APUS.apus_server_port(handle, check(APUS.apus_server_listen(handle, host, port))));
  }

  /** Serves on this thread until stop(). */
  public void run() {
    try {
      check(APUS.apus_server_start(handle));
      while (!stopping) {
        check(APUS.apus_server_tick(handle, 1000));
      }
      check(APUS.apus_server_stop(handle));
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** Ends run(), from any thread. */
  public void stop() {
    stopping = true;
    APUS.apus_server_wake(handle);
  }

  /** How many objects of the library are live, to find leaks. */
  public static int live() {
    return APUS.apus_live_count(0);
  }

  @Override
  public void close() {
    cleanable.clean();
  }
}

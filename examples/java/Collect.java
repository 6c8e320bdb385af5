import apus.ApusException;
import apus.Client;
import apus.Message;
import apus.Server;
import java.lang.ref.WeakReference;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;

/** What the garbage collector may do, by assertions. */
final class Collect {
  private static void expect(boolean held, String what) {
    if (!held) throw new AssertionError("not so: " + what);
  }

  /** Collects until something holds that cleaners bring about. */
  private static void eventually(String what, BooleanSupplier holds) {
    long limit = System.nanoTime() + 20_000_000_000L;
    while (!holds.getAsBoolean()) {
      expect(System.nanoTime() < limit, what);
      System.gc();
    }
  }

  /** Adds a handler which alone refers to something, and to its server. */
  private static WeakReference<Object> keep(Server server) {
    Thread thread = Thread.currentThread();
    Object[] held = {server, thread};
    server.get("/load", request -> {
      boolean same = held[0] == server && held[1] == Thread.currentThread();
      request.text(200, "" + same);
    });
    return new WeakReference<>(held);
  }

  /** Asks a server that runs on this thread, while the collector works. */
  private static WeakReference<Object> checkHandlers() {
    Server server = new Server();
    WeakReference<Object> held = keep(server);
    String url = "http://127.0.0.1:" + server.listen("127.0.0.1", 0) + "/load";
    CompletableFuture<Void> asked = CompletableFuture.runAsync(() -> {
      try {
        for (int count = 0; count < 20; count++) {
          System.gc();
          String body = new String(Client.get(url).body());
          expect(body.equals("true"), "a handler runs on the thread of run()");
        }
      } finally {
        server.stop();
      }
    });
    server.run();
    asked.join();
    System.gc();
    expect(held.get() != null, "a handler lives as long as its server");
    server.close();
    server.close();
    return held;
  }

  private static void expectFailure(Runnable use) {
    try {
      use.run();
    } catch (ApusException failure) {
      expect(failure.name().equals("APUS_E_HANDLE"), "the reason is " + failure);
      return;
    }
    expect(false, "what has ended says so");
  }

  /** Ends a server, a client and its socket in each order, twice. */
  private static void checkOrders() {
    List<List<Integer>> orders = List.of(List.of(0, 1, 2), List.of(0, 2, 1), List.of(1, 0, 2),
        List.of(1, 2, 0), List.of(2, 0, 1), List.of(2, 1, 0));
    for (List<Integer> order : orders) {
      Server server = new Server();
      Client client = new Client();
      Client.Socket socket = client.socket();
      List<Runnable> ends = List.of(server::close, client::close, socket::close);
      for (int round = 0; round < 2; round++) {
        for (int which : order) {
          ends.get(which).run();
          System.gc();
        }
      }
      expectFailure(() -> server.listen("127.0.0.1", 0));
      expectFailure(() -> socket.send(Message.text("")));
    }
  }

  /** Makes objects and closes none. */
  private static WeakReference<Object> leave() {
    new Client().socket();
    return keep(new Server());
  }

  static void run() {
    WeakReference<Object> closed = checkHandlers();
    eventually("a handler is let go with its server", () -> closed.get() == null);
    checkOrders();
    expect(Server.live() == 0, "all that was closed has ended");
    WeakReference<Object> left = leave();
    eventually("the collector ends what nobody refers to",
        () -> left.get() == null && Server.live() == 0);
    System.out.println("gc ok");
  }
}

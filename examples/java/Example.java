import apus.ApusException;
import apus.Client;
import apus.Message;
import apus.Server;
import java.io.InputStream;
import java.io.OutputStream;

/** The example: a server and a client. */
public final class Example {
  static void serve() {
    try (Server server = new Server()) {
      server.get("/hello/:name", r -> r.text(200, "Hello, " + r.param("name") + "!\n"));
      server.get("/fail", request -> {
        throw new IllegalStateException("on purpose");
      });
      server.events("/events", (writer, request) -> {
        for (int id = 1; id <= 3; id++) writer.event("" + id, "tick " + id);
        writer.end();
      });
      server.webSocket("/echo", (channel, message) -> channel.send(message));
      System.out.printf("http://127.0.0.1:%d/%n", server.listen("127.0.0.1", 0));

      Thread input = new Thread(() -> {
        try (InputStream in = System.in) {
          in.transferTo(OutputStream.nullOutputStream());
        } catch (java.io.IOException ended) {
          // Then it ends, too.
        }
        server.stop();
      });
      input.setDaemon(true);
      input.start();
      server.run();
    }
  }

  static void get(String url) {
    print(Client.get(url).body());
  }

  static void talk(String url, String text) {
    try (Client client = new Client(); Client.Socket socket = client.socket()) {
      socket.open(url);
      socket.send(Message.text(text));
      print(socket.recv().data());
      System.out.println();
    }
  }

  private static void print(byte[] bytes) {
    System.out.write(bytes, 0, bytes.length);
    System.out.flush();
  }

  public static void main(String[] arguments) {
    try {
      String command = arguments.length > 0 ? arguments[0] : "";
      if (command.equals("serve")) {
        serve();
      } else if (command.equals("gc")) {
        Collect.run();
      } else if (command.equals("get") && arguments.length == 2) {
        get(arguments[1]);
      } else if (command.equals("ws") && arguments.length == 3) {
        talk(arguments[1], arguments[2]);
      } else {
        throw new IllegalArgumentException("usage: Example serve | get URL | ws URL TEXT | gc");
      }
    } catch (ApusException | IllegalArgumentException failure) {
      System.err.println(failure.getMessage());
      System.exit(1);
    }
  }
}

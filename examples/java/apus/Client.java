package apus;

import static apus.Native.APUS;
import static apus.Native.check;

import com.sun.jna.Memory;
import com.sun.jna.ptr.LongByReference;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;

/** What sockets live on. It ends with close(), or once the collector has taken it. */
public final class Client implements AutoCloseable {
  private final long handle = Native.checkHandle(APUS.apus_client_make());
  private final Cleaner.Cleanable cleanable;

  public Client() {
    long client = handle;
    cleanable = Native.CLEANER.register(this, () -> APUS.apus_client_destroy(client));
  }

  /** A socket that is not connected yet. */
  public Socket socket() {
    return new Socket(this);
  }

  @Override
  public void close() {
    cleanable.clean();
  }

  public record Response(int status, byte[] body) {}

  /** Fetches a URL. */
  public static Response get(String url) {
    long response = Native.checkHandle(APUS.apus_get(url, null));
    try {
      LongByReference length = new LongByReference();
      byte[] body = APUS.apus_response_body(response, length)
          .getByteArray(0, Math.toIntExact(length.getValue()));
      return new Response(APUS.apus_response_status(response), body);
    } finally {
      APUS.apus_response_destroy(response);
    }
  }

  /** A client's end of a WebSocket. */
  public static final class Socket extends Channel implements AutoCloseable {
    private final Client client; // which ends its sockets
    private final Memory message = new Memory(56); // an apus_message
    private final Cleaner.Cleanable cleanable;

    private Socket(Client client) {
      super(Native.checkHandle(APUS.apus_channel_make(client.handle)));
      this.client = client;
      long channel = handle;
      cleanable = Native.CLEANER.register(this, () -> APUS.apus_channel_destroy(channel));
    }

    /** Connects to a URL, as ws://host:port/path, and waits until that is done. */
    public void open(String url) {
      check(APUS.apus_channel_open(handle, url));
      check(APUS.apus_channel_wait_open(handle, -1));
      Reference.reachabilityFence(this);
    }

    /** Waits for a message. */
    public Message recv() {
      try {
        check(APUS.apus_channel_recv(handle, message, -1));
        return Message.of(message.getInt(0), message.getPointer(8), message.getLong(16));
      } finally {
        Reference.reachabilityFence(this);
      }
    }

    /** Closes it, and waits for the peer to do so. */
    @Override
    public void close() {
      if (APUS.apus_channel_close(handle, 1000, null, 0) == 0) {
        while (APUS.apus_channel_recv(handle, message, 5000) > 0) {}
      }
      cleanable.clean();
    }
  }
}

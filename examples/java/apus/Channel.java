package apus;

import static apus.Native.APUS;

/** A WebSocket, for any thread. Once it has closed, send() throws. */
public class Channel {
  final long handle;

  Channel(long handle) {
    this.handle = handle;
  }

  public void send(Message message) {
    int opcode = message.isText() ? Native.TEXT : Native.BINARY;
    byte[] data = message.data();
    Native.check(APUS.apus_channel_send(handle, opcode, 1, data, data.length));
  }
}

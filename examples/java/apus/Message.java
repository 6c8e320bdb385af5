package apus;

import com.sun.jna.Pointer;
import java.nio.charset.StandardCharsets;

/** A message of a WebSocket. */
public record Message(boolean isText, byte[] data) {
  public static Message text(String text) {
    return new Message(true, text.getBytes(StandardCharsets.UTF_8));
  }

  static Message of(int opcode, Pointer data, long length) {
    return new Message(opcode == Native.TEXT, data.getByteArray(0, Math.toIntExact(length)));
  }
}

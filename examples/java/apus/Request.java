package apus;

import static apus.Native.APUS;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import java.nio.charset.StandardCharsets;

/** A request, good until its handler returns; later use throws. */
public final class Request {
  private final long handle;

  Request(long handle) {
    this.handle = handle;
  }

  /** A part of the path that the pattern names, or null. */
  public String param(String name) {
    LongByReference length = new LongByReference();
    Pointer value = APUS.apus_request_param(handle, name, length);
    if (value == null) return null;
    byte[] bytes = value.getByteArray(0, Math.toIntExact(length.getValue()));
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /** Replies with plain text. */
  public void text(int status, String body) {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    Native.check(
        APUS.apus_reply(handle, status, "text/plain; charset=utf-8", bytes, bytes.length));
  }
}

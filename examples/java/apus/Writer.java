package apus;

import static apus.Native.APUS;

import java.nio.charset.StandardCharsets;

/** A stream of events, for any thread, until it ends or its client leaves. */
public final class Writer {
  private final long handle;

  Writer(long handle) {
    this.handle = handle;
  }

  public void event(String id, String data) {
    byte[] bytes = data.getBytes(StandardCharsets.UTF_8);
    Native.check(APUS.apus_writer_event(handle, null, id, bytes, bytes.length));
  }

  public void end() {
    Native.check(APUS.apus_writer_end(handle));
  }
}

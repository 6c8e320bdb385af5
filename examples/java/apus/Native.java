package apus;

import com.sun.jna.Callback;
import com.sun.jna.Library;
import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import java.lang.ref.Cleaner;
import java.util.Map;

/** The functions of apus.h that the binding uses. A size_t is a long on 64-bit systems. */
interface Native extends Library {
  Native APUS = com.sun.jna.Native.load(
      "apus", Native.class, Map.of(Library.OPTION_STRING_ENCODING, "UTF-8"));
  Cleaner CLEANER = Cleaner.create();
  int GET = 1;
  int TEXT = 1;
  int BINARY = 2;

  interface OnRequest extends Callback {
    void invoke(Pointer context, long request);
  }

  interface OnPair extends Callback {
    void invoke(Pointer context, long object, long request);
  }

  interface OnMessage extends Callback {
    void invoke(Pointer context, long channel, int opcode, Pointer data, long length);
  }

  int apus_last_error();
  String apus_last_error_message();
  String apus_error_name(int code);
  int apus_live_count(int kind);

  long apus_server_make();
  int apus_server_destroy(long server);
  int apus_server_listen(long server, String host, int port);
  int apus_server_port(long server, int listener);
  int apus_server_start(long server);
  int apus_server_stop(long server);
  int apus_server_tick(long server, int timeout);
  int apus_server_wake(long server);
  int apus_server_route(long server, int method, String pattern, OnRequest fn, Pointer context,
      Pointer drop);
  int apus_server_events(long server, String pattern, OnPair fn, Pointer context, Pointer drop);
  int apus_server_websocket(long server, String pattern, OnPair fn, Pointer context, Pointer drop);
  int apus_server_on_message(long server, int route, OnMessage fn, Pointer context, Pointer drop);

  Pointer apus_request_param(long request, String name, LongByReference length);
  int apus_reply(long request, int status, String type, byte[] data, long length);

  int apus_writer_event(long writer, String event, String id, byte[] data, long length);
  int apus_writer_end(long writer);
  int apus_writer_abort(long writer);
  int apus_writer_detach(long writer);

  long apus_client_make();
  int apus_client_destroy(long client);
  long apus_channel_make(long host);
  int apus_channel_open(long channel, String url);
  int apus_channel_wait_open(long channel, int timeout);
  int apus_channel_send(long channel, int opcode, int last, byte[] data, long length);
  int apus_channel_recv(long channel, Memory message, int timeout);
  int apus_channel_close(long channel, int code, Pointer reason, long length);
  int apus_channel_destroy(long channel);

  long apus_get(String url, String headers);
  int apus_response_status(long response);
  Pointer apus_response_body(long response, LongByReference length);
  int apus_response_destroy(long response);

  /** A result that must not be a failure. */
  static int check(int result) {
    if (result < 0) throw new ApusException();
    return result;
  }

  static long checkHandle(long handle) {
    if (handle == 0) throw new ApusException();
    return handle;
  }
}

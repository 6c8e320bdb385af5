package apus;

/** A failure that the library reports. */
public class ApusException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public final int code;

  /** Of the thread's latest failing call. */
  ApusException() {
    this(Native.APUS.apus_last_error(), Native.APUS.apus_last_error_message());
  }

  private ApusException(int code, String message) {
    super(message + " (" + Native.APUS.apus_error_name(code) + ")");
    this.code = code;
  }

  /** The code's name, such as APUS_E_HANDLE. */
  public String name() {
    return Native.APUS.apus_error_name(code);
  }
}

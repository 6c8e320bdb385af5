{ A small binding of libapus: an HTTP, WebSocket and SSE server whose handlers run in
  TServer.Tick, and a client. What fails raises EApus. }
unit Apus;

{$mode objfpc}{$H+}{$modeswitch advancedrecords}
{$linklib c}{$linklib apus}{$packrecords c}

interface

uses SysUtils;

type
  THandle = QWord;

  EApus = class(Exception)
    Code: Int32; { of apus.h }
    constructor CreateLast;
  end;

  { Bytes, which are UTF-8 where they are text. }
  TMessage = record
    Binary: Boolean;
    Data: RawByteString;
  end;

  { Good until its handler returns. }
  TRequest = record
  private
    Handle: THandle;
  public
    function Param(const Name: RawByteString): RawByteString;
    procedure Text(Status: Int32; const Body: RawByteString);
  end;

  { A stream of events, until it ends or its client leaves. }
  TWriter = record
  private
    Handle: THandle;
  public
    procedure Event(const Id, Data: RawByteString);
    procedure Finish;
  end;

  { One end of a WebSocket. }
  TChannel = record
  private
    Handle: THandle;
  public
    procedure Send(const Message: TMessage);
  end;

  TRequestHandler = procedure(const Request: TRequest);
  TEventsHandler = procedure(const Writer: TWriter; const Request: TRequest);
  TMessageHandler = procedure(const Channel: TChannel; const Message: TMessage);

  { What a handler raises is reported on standard error, and is a 500. }
  TServer = class
  private
    Handle: THandle;
  public
    constructor Create;
    destructor Destroy; override;
    procedure Get(const Pattern: RawByteString; Handler: TRequestHandler);
    procedure Events(const Pattern: RawByteString; Handler: TEventsHandler);
    procedure WebSocket(const Pattern: RawByteString; Handler: TMessageHandler);
    { Binds a port, 0 for any free one, and tells which it is. }
    function Listen(const Host: RawByteString; Port: Int32): Int32;
    procedure Start;
    { Is readable when there is something to tick. }
    function Descriptor: Int32;
    { Calls the handlers of what is there, after waiting so many milliseconds for it. }
    procedure Tick(Timeout: Int32 = 0);
    { Lets what is under way finish. }
    procedure Stop;
  end;

  { A client's end of a WebSocket, with a client of its own. }
  TSocket = class
  private
    Client: THandle;
    Channel: TChannel;
  public
    { Connects to a URL, as ws://host:port/path. }
    constructor Create(const Url: RawByteString);
    destructor Destroy; override;
    procedure Send(const Message: TMessage);
    function Receive: TMessage;
    { Closes it, and waits for the peer to do so. }
    procedure Close;
  end;

{ Fetches a URL: its body. }
function Get(const Url: RawByteString): RawByteString;

implementation

uses Math;

type
  TRawMessage = record { apus_message, whose layout is frozen }
    Opcode, Last: Int32;
    Data: PAnsiChar;
    Length: SizeUInt;
    Reserved: array[0..3] of QWord;
  end;
  TDrop = procedure(Context: Pointer); cdecl;
  TOnRequest = procedure(Context: Pointer; Request: THandle); cdecl;
  TOnPair = procedure(Context: Pointer; Handle, Request: THandle); cdecl;
  TOnMessage = procedure(Context: Pointer; Channel: THandle; Opcode: Int32; Data: PAnsiChar;
    Length: SizeUInt); cdecl;

function apus_last_error: Int32; cdecl; external;
function apus_last_error_message: PAnsiChar; cdecl; external;
function apus_error_name(Code: Int32): PAnsiChar; cdecl; external;
function apus_server_make: THandle; cdecl; external;
function apus_server_destroy(Server: THandle): Int32; cdecl; external;
function apus_server_listen(Server: THandle; Host: PAnsiChar; Port: Int32): Int32; cdecl; external;
function apus_server_port(Server: THandle; Listener: Int32): Int32; cdecl; external;
function apus_server_start(Server: THandle): Int32; cdecl; external;
function apus_server_stop(Server: THandle): Int32; cdecl; external;
function apus_server_tick(Server: THandle; Timeout: Int32): Int32; cdecl; external;
function apus_server_event_fd(Server: THandle): Int32; cdecl; external;
function apus_server_get(Server: THandle; Pattern: PAnsiChar; Fn: TOnRequest; Context: Pointer;
  Drop: TDrop): Int32; cdecl; external;
function apus_server_events(Server: THandle; Pattern: PAnsiChar; Fn: TOnPair; Context: Pointer;
  Drop: TDrop): Int32; cdecl; external;
function apus_server_websocket(Server: THandle; Pattern: PAnsiChar; Fn: TOnPair;
  Context: Pointer; Drop: TDrop): Int32; cdecl; external;
function apus_server_on_message(Server: THandle; Route: Int32; Fn: TOnMessage;
  Context: Pointer; Drop: TDrop): Int32; cdecl; external;
function apus_request_param(Request: THandle; Name: PAnsiChar;
  out Length: SizeUInt): PAnsiChar; cdecl; external;
function apus_reply(Request: THandle; Status: Int32; Kind: PAnsiChar; Data: Pointer;
  Length: SizeUInt): Int32; cdecl; external;
function apus_writer_event(Writer: THandle; Event, Id: PAnsiChar; Data: Pointer;
  Length: SizeUInt): Int32; cdecl; external;
function apus_writer_end(Writer: THandle): Int32; cdecl; external;
function apus_writer_abort(Writer: THandle): Int32; cdecl; external;
function apus_writer_detach(Writer: THandle): Int32; cdecl; external;
function apus_client_make: THandle; cdecl; external;
function apus_client_destroy(Client: THandle): Int32; cdecl; external;
function apus_channel_make(Host: THandle): THandle; cdecl; external;
function apus_channel_open(Channel: THandle; Url: PAnsiChar): Int32; cdecl; external;
function apus_channel_wait_open(Channel: THandle; Timeout: Int32): Int32; cdecl; external;
function apus_channel_send(Channel: THandle; Opcode, Last: Int32; Data: Pointer;
  Length: SizeUInt): Int32; cdecl; external;
function apus_channel_recv(Channel: THandle; out Message: TRawMessage;
  Timeout: Int32): Int32; cdecl; external;
function apus_channel_close(Channel: THandle; Code: Int32; Reason: Pointer;
  Length: SizeUInt): Int32; cdecl; external;
function apus_get(Url, Headers: PAnsiChar): THandle; cdecl; external;
function apus_response_body(Response: THandle; out Length: SizeUInt): PAnsiChar; cdecl; external;
function apus_response_destroy(Response: THandle): Int32; cdecl; external;

const
  OpcodeText = 1;
  OpcodeBinary = 2;

constructor EApus.CreateLast;
begin
  Code := apus_last_error;
  Create(apus_last_error_message + ' (' + apus_error_name(Code) + ')');
end;

function Check(Code: Int32): Int32;
begin
  if Code < 0 then raise EApus.CreateLast;
  Result := Code;
end;

function CheckHandle(Handle: THandle): THandle;
begin
  if Handle = 0 then raise EApus.CreateLast;
  Result := Handle;
end;

function Copied(Data: PAnsiChar; Length: SizeUInt): RawByteString;
begin
  SetString(Result, Data, Length);
end;

{ ---- requests, writers and channels }

function TRequest.Param(const Name: RawByteString): RawByteString;
var
  Value: PAnsiChar;
  Length: SizeUInt;
begin
  Value := apus_request_param(Handle, PAnsiChar(Name), Length);
  if Value = nil then Result := '' else Result := Copied(Value, Length);
end;

procedure TRequest.Text(Status: Int32; const Body: RawByteString);
begin
  Check(apus_reply(Handle, Status, 'text/plain; charset=utf-8', PAnsiChar(Body), Length(Body)));
end;

procedure TWriter.Event(const Id, Data: RawByteString);
begin
  Check(apus_writer_event(Handle, nil, PAnsiChar(Id), PAnsiChar(Data), Length(Data)));
end;

procedure TWriter.Finish;
begin
  Check(apus_writer_end(Handle));
end;

procedure TChannel.Send(const Message: TMessage);
const
  Opcodes: array[Boolean] of Int32 = (OpcodeText, OpcodeBinary);
begin
  Check(apus_channel_send(Handle, Opcodes[Message.Binary], 1, PAnsiChar(Message.Data),
    Length(Message.Data)));
end;

{ ---- the server: a context is the handler itself; nothing may be raised into C }

procedure Report(Failure: TObject);
begin
  if Failure is Exception then
    WriteLn(StdErr, 'a handler failed: ', Exception(Failure).Message)
  else
    WriteLn(StdErr, 'a handler failed');
  Flush(StdErr);
end;

procedure OnRequest(Context: Pointer; Request: THandle); cdecl;
var
  Given: TRequest;
begin
  Given.Handle := Request;
  try
    TRequestHandler(Context)(Given);
  except
    Report(ExceptObject);
  end;
end;

procedure OnEvents(Context: Pointer; Writer, Request: THandle); cdecl;
var
  Given: TRequest;
  Stream: TWriter;
begin
  Given.Handle := Request;
  Stream.Handle := Writer;
  apus_writer_detach(Writer);
  try
    TEventsHandler(Context)(Stream, Given);
  except
    Report(ExceptObject);
    apus_writer_abort(Writer);
  end;
end;

procedure OnMessage(Context: Pointer; Channel: THandle; Opcode: Int32; Data: PAnsiChar;
  Length: SizeUInt); cdecl;
var
  Given: TChannel;
  Message: TMessage;
begin
  Given.Handle := Channel;
  try
    Message.Binary := Opcode = OpcodeBinary;
    Message.Data := Copied(Data, Length);
    TMessageHandler(Context)(Given, Message);
  except
    Report(ExceptObject);
  end;
end;

{ A route needs a function, or its channels are for apus_server_next(). }
procedure OnOpen(Context: Pointer; Channel, Request: THandle); cdecl;
begin
end;

constructor TServer.Create;
begin
  Handle := CheckHandle(apus_server_make);
end;

destructor TServer.Destroy;
begin
  apus_server_destroy(Handle);
  inherited;
end;

procedure TServer.Get(const Pattern: RawByteString; Handler: TRequestHandler);
begin
  Check(apus_server_get(Handle, PAnsiChar(Pattern), @OnRequest, Pointer(Handler), nil));
end;

procedure TServer.Events(const Pattern: RawByteString; Handler: TEventsHandler);
begin
  Check(apus_server_events(Handle, PAnsiChar(Pattern), @OnEvents, Pointer(Handler), nil));
end;

procedure TServer.WebSocket(const Pattern: RawByteString; Handler: TMessageHandler);
var
  Route: Int32;
begin
  Route := Check(apus_server_websocket(Handle, PAnsiChar(Pattern), @OnOpen, nil, nil));
  Check(apus_server_on_message(Handle, Route, @OnMessage, Pointer(Handler), nil));
end;

function TServer.Listen(const Host: RawByteString; Port: Int32): Int32;
begin
  Result := Check(apus_server_port(Handle,
    Check(apus_server_listen(Handle, PAnsiChar(Host), Port))));
end;

procedure TServer.Start;
begin
  Check(apus_server_start(Handle));
end;

function TServer.Descriptor: Int32;
begin
  Result := Check(apus_server_event_fd(Handle));
end;

procedure TServer.Tick(Timeout: Int32);
begin
  Check(apus_server_tick(Handle, Timeout));
end;

procedure TServer.Stop;
begin
  Check(apus_server_stop(Handle));
end;

{ ---- the client }

function Get(const Url: RawByteString): RawByteString;
var
  Response: THandle;
  Body: PAnsiChar;
  Length: SizeUInt;
begin
  Response := CheckHandle(apus_get(PAnsiChar(Url), nil));
  try
    Body := apus_response_body(Response, Length);
    Result := Copied(Body, Length);
  finally
    apus_response_destroy(Response);
  end;
end;

constructor TSocket.Create(const Url: RawByteString);
begin
  Client := CheckHandle(apus_client_make);
  Channel.Handle := CheckHandle(apus_channel_make(Client));
  Check(apus_channel_open(Channel.Handle, PAnsiChar(Url)));
  Check(apus_channel_wait_open(Channel.Handle, -1));
end;

{ Runs, too, when Create fails. The client takes its channel with it. }
destructor TSocket.Destroy;
begin
  apus_client_destroy(Client);
  inherited;
end;

procedure TSocket.Send(const Message: TMessage);
begin
  Channel.Send(Message);
end;

function TSocket.Receive: TMessage;
var
  Message: TRawMessage;
begin
  Check(apus_channel_recv(Channel.Handle, Message, -1));
  Result.Binary := Message.Opcode = OpcodeBinary;
  Result.Data := Copied(Message.Data, Message.Length);
end;

procedure TSocket.Close;
var
  Message: TRawMessage;
begin
  Check(apus_channel_close(Channel.Handle, 1000, nil, 0));
  while apus_channel_recv(Channel.Handle, Message, 5000) > 0 do;
end;

initialization
  { The library's threads begin with this one's way to treat numbers, which is C's then. }
  SetExceptionMask([exInvalidOp, exDenormalized, exZeroDivide, exOverflow, exUnderflow,
    exPrecision]);
end.

{ The example: a server and a client. }
program Example;

{$mode objfpc}{$H+}

uses BaseUnix, SysUtils, Apus;

procedure Hello(const Request: TRequest);
begin
  Request.Text(200, 'Hello, ' + Request.Param('name') + '!' + #10);
end;

procedure Ticks(const Writer: TWriter; const Request: TRequest);
var
  Id: Integer;
begin
  for Id := 1 to 3 do Writer.Event(IntToStr(Id), 'tick ' + IntToStr(Id));
  Writer.Finish;
end;

procedure Echo(const Channel: TChannel; const Message: TMessage);
begin
  Channel.Send(Message);
end;

procedure Fail(const Request: TRequest);
begin
  raise Exception.Create('on purpose');
end;

procedure WriteBytes(const Bytes: RawByteString);
var
  Done, Count: SizeInt;
begin
  Done := 0;
  while Done < Length(Bytes) do
  begin
    Count := FpWrite(1, PAnsiChar(Bytes) + Done, Length(Bytes) - Done);
    if Count < 0 then Exit;
    Inc(Done, Count);
  end;
end;

{ One loop waits for the server and for the end of its input. }
procedure TickUntilInputEnds(Server: TServer);
var
  Watched: array[0..1] of TPollFd;
  Bytes: array[0..4095] of Byte;
begin
  FillChar(Watched, SizeOf(Watched), 0);
  Watched[0].fd := 0;
  Watched[1].fd := Server.Descriptor;
  Watched[0].events := POLLIN;
  Watched[1].events := POLLIN;
  repeat
    FpPoll(@Watched[0], Length(Watched), -1);
    if Watched[1].revents <> 0 then Server.Tick;
  until (Watched[0].revents <> 0) and (FpRead(0, Bytes, SizeOf(Bytes)) <= 0);
end;

procedure Serve;
var
  Server: TServer;
begin
  Server := TServer.Create;
  try
    Server.Get('/hello/:name', @Hello);
    Server.Get('/fail', @Fail);
    Server.Events('/events', @Ticks);
    Server.WebSocket('/echo', @Echo);
    WriteBytes(Format('http://127.0.0.1:%d/'#10, [Server.Listen('127.0.0.1', 0)]));
    Server.Start;
    TickUntilInputEnds(Server);
    Server.Stop;
  finally
    Server.Free;
  end;
end;

procedure Talk(const Url, Text: RawByteString);
var
  Socket: TSocket;
  Message: TMessage;
begin
  Socket := TSocket.Create(Url);
  try
    Message.Binary := False;
    Message.Data := Text;
    Socket.Send(Message);
    WriteBytes(Socket.Receive.Data + #10);
    Socket.Close;
  finally
    Socket.Free;
  end;
end;

begin
  try
    if ParamStr(1) = 'serve' then Serve
    else if (ParamStr(1) = 'get') and (ParamCount = 2) then WriteBytes(Get(ParamStr(2)))
    else if (ParamStr(1) = 'ws') and (ParamCount = 3) then Talk(ParamStr(2), ParamStr(3))
    else raise Exception.Create('usage: example serve | get URL | ws URL TEXT');
  except
    on Failure: Exception do
    begin
      WriteLn(StdErr, Failure.Message);
      Halt(1);
    end;
  end;
end.

with Ada.Exceptions;
with Ada.Text_IO;
with Apus.C_Interface;
with Interfaces.C.Strings;
with System;
with Ada.Unchecked_Conversion;

package body Apus is

   use Apus.C_Interface;
   use Interfaces.C;
   use type System.Address;

   No_Drop : constant System.Address := System.Null_Address;

   procedure Fail with No_Return;
   procedure Fail is
      use Interfaces.C.Strings;
      Words : constant String := Value (Last_Error_Message);
   begin
      raise Failure with Words & " (" & Value (Error_Name (Last_Error)) & ")";
   end Fail;

   function Check (Result : int) return int is
   begin
      if Result < 0 then
         Fail;
      end if;
      return Result;
   end Check;

   procedure Check (Result : int) is
   begin
      if Result < 0 then
         Fail;
      end if;
   end Check;

   function Check (Result : Handle) return Handle is
   begin
      if Result = 0 then
         Fail;
      end if;
      return Result;
   end Check;

   --  A copy of what the library lends.
   function Copied (Data : System.Address; Length : size_t) return String is
   begin
      if Data = System.Null_Address or else Length = 0 then
         return "";
      end if;
      declare
         Bytes : String (1 .. Natural (Length)) with Import, Address => Data;
      begin
         return Bytes;
      end;
   end Copied;

   ------------------------------------
   --  Requests, writers and channels
   ------------------------------------

   function Param (Self : Request; Name : String) return String is
      Length : aliased size_t := 0;
      Value  : constant System.Address :=
        Request_Param (Handle (Self), To_C (Name), Length'Access);
   begin
      return Copied (Value, Length);
   end Param;

   procedure Reply (Self : Request; Status : Positive; Content : String) is
   begin
      Check
        (C_Interface.Reply
           (Handle (Self), int (Status), To_C ("text/plain; charset=utf-8"),
            Content'Address, Content'Length));
   end Reply;

   procedure Event (Self : Writer; Id : String; Data : String) is
   begin
      Check
        (Writer_Event
           (Handle (Self), System.Null_Address, To_C (Id), Data'Address, Data'Length));
   end Event;

   procedure Finish (Self : Writer) is
   begin
      Check (Writer_End (Handle (Self)));
   end Finish;

   procedure Send (Self : Channel; Kind : Message_Kind; Data : String) is
   begin
      Check
        (Channel_Send
           (Handle (Self), (if Kind = Text then 1 else 2), 1, Data'Address, Data'Length));
   end Send;

   ----------------------------------------------------------------------
   --  The server: a context is the handler itself, and nothing may be
   --  raised into C
   ----------------------------------------------------------------------

   function To_Handler is new Ada.Unchecked_Conversion (System.Address, Request_Handler);
   function To_Handler is new Ada.Unchecked_Conversion (System.Address, Events_Handler);
   function To_Handler is new Ada.Unchecked_Conversion (System.Address, Message_Handler);
   function To_Context is new Ada.Unchecked_Conversion (Request_Handler, System.Address);
   function To_Context is new Ada.Unchecked_Conversion (Events_Handler, System.Address);
   function To_Context is new Ada.Unchecked_Conversion (Message_Handler, System.Address);

   procedure Report (Trouble : Ada.Exceptions.Exception_Occurrence) is
      use Ada.Text_IO;
   begin
      Put_Line
        (Standard_Error,
         "a handler failed: " & Ada.Exceptions.Exception_Message (Trouble));
   end Report;

   procedure On_Request (Context : System.Address; Given : Handle) with Convention => C;
   procedure On_Request (Context : System.Address; Given : Handle) is
   begin
      Request_Handler'(To_Handler (Context)) (Request (Given));
   exception
      when Trouble : others =>
         Report (Trouble);
   end On_Request;

   procedure On_Events (Context : System.Address; Stream, Given : Handle)
   with Convention => C;
   procedure On_Events (Context : System.Address; Stream, Given : Handle) is
      Ignored : int := Writer_Detach (Stream);
   begin
      Events_Handler'(To_Handler (Context)) (Writer (Stream), Request (Given));
   exception
      when Trouble : others =>
         Report (Trouble);
         Ignored := Writer_Abort (Stream);
   end On_Events;

   procedure On_Message
     (Context : System.Address;
      Peer    : Handle;
      Opcode  : int;
      Data    : System.Address;
      Length  : size_t)
   with Convention => C;
   procedure On_Message
     (Context : System.Address;
      Peer    : Handle;
      Opcode  : int;
      Data    : System.Address;
      Length  : size_t) is
   begin
      Message_Handler'(To_Handler (Context))
        (Channel (Peer), (if Opcode = 2 then Binary else Text), Copied (Data, Length));
   exception
      when Trouble : others =>
         Report (Trouble);
   end On_Message;

   --  A route needs a function, or its channels are for apus_server_next().
   procedure On_Open (Context : System.Address; Peer, Given : Handle) is null
   with Convention => C;

   overriding procedure Initialize (Self : in out Server) is
   begin
      Self.Object := Check (Server_Make);
   end Initialize;

   overriding procedure Finalize (Self : in out Server) is
      Ignored : constant int := Server_Destroy (Self.Object);
   begin
      null;
   end Finalize;

   procedure Get (Self : Server; Pattern : String; Handler : Request_Handler) is
   begin
      Check
        (Server_Get
           (Self.Object, To_C (Pattern), On_Request'Access, To_Context (Handler), No_Drop));
   end Get;

   procedure Events (Self : Server; Pattern : String; Handler : Events_Handler) is
   begin
      Check
        (Server_Events
           (Self.Object, To_C (Pattern), On_Events'Access, To_Context (Handler), No_Drop));
   end Events;

   procedure Web_Socket (Self : Server; Pattern : String; Handler : Message_Handler) is
      Route : constant int :=
        Check
          (Server_Websocket
             (Self.Object, To_C (Pattern), On_Open'Access, System.Null_Address, No_Drop));
   begin
      Check
        (Server_On_Message
           (Self.Object, Route, On_Message'Access, To_Context (Handler), No_Drop));
   end Web_Socket;

   function Listen (Self : Server; Host : String; Port : Natural) return Positive is
      Listener : constant int := Check (Server_Listen (Self.Object, To_C (Host), int (Port)));
   begin
      return Positive (Check (Server_Port (Self.Object, Listener)));
   end Listen;

   procedure Run (Self : in out Server) is
   begin
      Check (Server_Start (Self.Object));
      while not Self.Stopping loop
         Check (Server_Tick (Self.Object, 1000));
      end loop;
      Check (Server_Stop (Self.Object));
   end Run;

   procedure Stop (Self : in out Server) is
      Ignored : int;
   begin
      Self.Stopping := True;
      Ignored := Server_Wake (Self.Object);
   end Stop;

   ----------------
   --  The client
   ----------------

   function Get (Url : String) return String is
      Response : constant Handle := Check (Fetch (To_C (Url), System.Null_Address));
      Length   : aliased size_t := 0;
      Data     : constant System.Address := Response_Body (Response, Length'Access);
      Content  : constant String := Copied (Data, Length);
      Ignored  : constant int := Response_Destroy (Response);
   begin
      return Content;
   end Get;

   overriding procedure Initialize (Self : in out Socket) is
   begin
      Self.Client := Check (Client_Make);
      Self.Peer := Channel (Check (Channel_Make (Self.Client)));
   end Initialize;

   --  The client takes its channel with it.
   overriding procedure Finalize (Self : in out Socket) is
      Ignored : constant int := Client_Destroy (Self.Client);
   begin
      null;
   end Finalize;

   procedure Open (Self : in out Socket; Url : String) is
   begin
      Check (Channel_Open (Handle (Self.Peer), To_C (Url)));
      Check (Channel_Wait_Open (Handle (Self.Peer), -1));
   end Open;

   procedure Send (Self : Socket; Kind : Message_Kind; Data : String) is
   begin
      Send (Self.Peer, Kind, Data);
   end Send;

   function Receive (Self : Socket) return String is
      Given : aliased Raw_Message;
   begin
      Check (Channel_Receive (Handle (Self.Peer), Given'Access, -1));
      return Copied (Given.Data, Given.Length);
   end Receive;

   procedure Close (Self : Socket) is
      Given : aliased Raw_Message;
   begin
      Check (Channel_Close (Handle (Self.Peer), 1000, System.Null_Address, 0));
      while Channel_Receive (Handle (Self.Peer), Given'Access, 5000) > 0 loop
         null;
      end loop;
   end Close;

end Apus;

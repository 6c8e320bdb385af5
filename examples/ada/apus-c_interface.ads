--  The functions of apus.h that the binding uses.

with Interfaces.C.Strings;
with System;

private package Apus.C_Interface is

   use Interfaces.C;

   subtype Address is System.Address;

   --  apus_message, whose layout is frozen.
   type Reserved_Words is array (1 .. 4) of Interfaces.Unsigned_64;
   type Raw_Message is record
      Opcode, Last : int := 0;
      Data         : Address := System.Null_Address;
      Length       : size_t := 0;
      Reserved     : Reserved_Words := (others => 0);
   end record
   with Convention => C_Pass_By_Copy;

   type On_Request_Function is access procedure (Context : Address; Given : Handle)
   with Convention => C;
   type On_Pair_Function is access procedure (Context : Address; Object, Given : Handle)
   with Convention => C;
   type On_Message_Function is access procedure
     (Context : Address; Peer : Handle; Opcode : int; Data : Address; Length : size_t)
   with Convention => C;

   function Last_Error return int
   with Import, Convention => C, External_Name => "apus_last_error";
   function Last_Error_Message return Strings.chars_ptr
   with Import, Convention => C, External_Name => "apus_last_error_message";
   function Error_Name (Code : int) return Strings.chars_ptr
   with Import, Convention => C, External_Name => "apus_error_name";

   function Server_Make return Handle
   with Import, Convention => C, External_Name => "apus_server_make";
   function Server_Destroy (Server : Handle) return int
   with Import, Convention => C, External_Name => "apus_server_destroy";
   function Server_Listen (Server : Handle; Host : char_array; Port : int) return int
   with Import, Convention => C, External_Name => "apus_server_listen";
   function Server_Port (Server : Handle; Listener : int) return int
   with Import, Convention => C, External_Name => "apus_server_port";
   function Server_Start (Server : Handle) return int
   with Import, Convention => C, External_Name => "apus_server_start";
   function Server_Stop (Server : Handle) return int
   with Import, Convention => C, External_Name => "apus_server_stop";
   function Server_Tick (Server : Handle; Timeout : int) return int
   with Import, Convention => C, External_Name => "apus_server_tick";
   function Server_Wake (Server : Handle) return int
   with Import, Convention => C, External_Name => "apus_server_wake";
   function Server_Get
     (Server : Handle; Pattern : char_array; Fn : On_Request_Function; Context, Drop : Address)
      return int
   with Import, Convention => C, External_Name => "apus_server_get";
   function Server_Events
     (Server : Handle; Pattern : char_array; Fn : On_Pair_Function; Context, Drop : Address)
      return int
   with Import, Convention => C, External_Name => "apus_server_events";
   function Server_Websocket
     (Server : Handle; Pattern : char_array; Fn : On_Pair_Function; Context, Drop : Address)
      return int
   with Import, Convention => C, External_Name => "apus_server_websocket";
   function Server_On_Message
     (Server : Handle; Route : int; Fn : On_Message_Function; Context, Drop : Address) return int
   with Import, Convention => C, External_Name => "apus_server_on_message";

   function Request_Param
     (Request : Handle; Name : char_array; Length : access size_t) return Address
   with Import, Convention => C, External_Name => "apus_request_param";
   function Reply
     (Request : Handle; Status : int; Kind : char_array; Data : Address; Length : size_t)
      return int
   with Import, Convention => C, External_Name => "apus_reply";

   function Writer_Event
     (Writer : Handle; Event : Address; Id : char_array; Data : Address; Length : size_t)
      return int
   with Import, Convention => C, External_Name => "apus_writer_event";
   function Writer_End (Writer : Handle) return int
   with Import, Convention => C, External_Name => "apus_writer_end";
   function Writer_Abort (Writer : Handle) return int
   with Import, Convention => C, External_Name => "apus_writer_abort";
   function Writer_Detach (Writer : Handle) return int
   with Import, Convention => C, External_Name => "apus_writer_detach";

   function Client_Make return Handle
   with Import, Convention => C, External_Name => "apus_client_make";
   function Client_Destroy (Client : Handle) return int
   with Import, Convention => C, External_Name => "apus_client_destroy";
   function Channel_Make (Host : Handle) return Handle
   with Import, Convention => C, External_Name => "apus_channel_make";
   function Channel_Open (Channel : Handle; Url : char_array) return int
   with Import, Convention => C, External_Name => "apus_channel_open";
   function Channel_Wait_Open (Channel : Handle; Timeout : int) return int
   with Import, Convention => C, External_Name => "apus_channel_wait_open";
   function Channel_Send
     (Channel : Handle; Opcode, Last : int; Data : Address; Length : size_t) return int
   with Import, Convention => C, External_Name => "apus_channel_send";
   function Channel_Receive
     (Channel : Handle; Message : access Raw_Message; Timeout : int) return int
   with Import, Convention => C, External_Name => "apus_channel_recv";
   function Channel_Close
     (Channel : Handle; Code : int; Reason : Address; Length : size_t) return int
   with Import, Convention => C, External_Name => "apus_channel_close";

   function Fetch (Url : char_array; Headers : Address) return Handle
   with Import, Convention => C, External_Name => "apus_get";
   function Response_Body (Response : Handle; Length : access size_t) return Address
   with Import, Convention => C, External_Name => "apus_response_body";
   function Response_Destroy (Response : Handle) return int
   with Import, Convention => C, External_Name => "apus_response_destroy";

end Apus.C_Interface;

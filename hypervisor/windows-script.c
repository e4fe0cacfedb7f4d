/* How a script gets its fields: as JSON in base64, so that no text of a caller is ever read as a
 * script. How a script is told: behind -EncodedCommand, so that no quoting is between.
 *
 * What runs in the desktop. The guest agent is a service: what it starts is in session 0, where
 * nobody sees a window and the clipboard is another one. Scripts of desktop.* take the token of who is
 * logged in at the console and start the program with it on winsta0\default, which only LocalSystem
 * may do. No task and no file stays behind.
 *
 * Costs in the guest: PowerShell takes a few tenths of a second to start, the class Session as much
 * again to be compiled. A command without quotes, directory and environment goes to cmd.exe at once. */
#include "hypervisor/windows-script.h"

#include "base/json.h"
#include "hypervisor/windows.h"

#include <stdio.h>
#include <string.h>

#define FACTS_MAX 8000 /* bytes of a request that go with a script */

/* --- The scripts ------------------------------------------------------------------------------ */

/* Functions have names that are no alias of PowerShell's (move is one): those win. */

static const char common[] =
    "$ErrorActionPreference='Stop';$ProgressPreference='SilentlyContinue'\n"
    "$p=ConvertFrom-Json ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('%s')))\n"
    "function E($n){New-Object ComponentModel.Win32Exception $n}\n"
    "function Fault($x){$e=$x.Exception;while($e.InnerException){$e=$e.InnerException}\n"
    " $n=0;if($e -is [ComponentModel.Win32Exception]){$n=$e.NativeErrorCode}\n"
    " elseif(($e.HResult -band 0x7fff0000) -eq 0x00070000){$n=$e.HResult -band 0xffff}\n"
    " @{number=$n;text=$e.Message}}\n";

static const char begin[] =
    "$out=[Console]::OpenStandardOutput();$bytes=0\n"
    "function Put([string]$t){$b=[Text.Encoding]::UTF8.GetBytes($t)\n"
    " $out.Write($b,0,$b.Length);$script:bytes+=$b.Length}\n"
    "try{\n";

static const char end[] =
    "}catch{$r=@{error=(Fault $_)}}\n"
    "if($null -ne $r){Put (\"`n\"+(ConvertTo-Json $r -Compress -Depth 5))}\n"
    "$out.Flush()\n";

static const char files[] =
    "function Look($path){$a=[int][IO.File]::GetAttributes($path)\n"
    " if($a -band 16){New-Object IO.DirectoryInfo $path}else{New-Object IO.FileInfo $path}}\n"
    "function Entry($f,$follow){$a=[int]$f.Attributes;$d=($a -band 16) -ne 0\n"
    " $l=(-not $follow) -and ($a -band 1024) -and $f.LinkType\n"
    " $t=$f.LastWriteTimeUtc.Ticks-621355968000000000\n"
    " $e=[ordered]@{path=$f.FullName;type=$(if($l){'link'}elseif($d){'directory'}else{'file'})\n"
    "  size=$(if($d){0}else{$f.Length});mode=$(if($d){511}elseif($a -band 1){292}else{438})\n"
    "  uid=0;gid=0;mtime_us=($t-$t%10)/10}\n"
    " if($l){$e.target=[string]($f.Target|Select-Object -First 1)}\n"
    " $e}\n"
    "function Walk($d,$k){foreach($f in $d.EnumerateFileSystemInfos()){\n"
    " if($script:n -ge $p.limit -or $script:bytes -gt 1000000){$script:cut=$true;return}\n"
    " Put ((ConvertTo-Json (Entry $f $false) -Compress)+\"`n\");$script:n++\n"
    " if($k -lt $p.depth -and ([int]$f.Attributes -band 1040) -eq 16){\n"
    "  try{Walk $f ($k+1)}catch{};if($script:cut){return}}}}\n"
    "function Wipe($f){if(([int]$f.Attributes -band 1040) -eq 16){\n"
    "  foreach($c in @($f.EnumerateFileSystemInfos())){Wipe $c}}\n"
    " if([int]$f.Attributes -band 1){$f.Attributes=[IO.FileAttributes]([int]$f.Attributes -band -2)}\n"
    " if($f -is [IO.DirectoryInfo]){[IO.Directory]::Delete($f.FullName)}else{[IO.File]::Delete($f.FullName)}\n"
    " $script:n++}\n"
    "function SetMode($f,$m){$a=[int]$f.Attributes;if($m -band 128){$a=$a -band -2}else{$a=$a -bor 1}\n"
    " if($f -is [IO.FileInfo]){$f.Attributes=[IO.FileAttributes]$a};$script:n++}\n"
    "function MoveFile($from,$to,$over){\n"
    " if([IO.Directory]::Exists($from)){[IO.Directory]::Move($from,$to);return}\n"
    " if([IO.Directory]::Exists($to)){throw (E 336)}\n"
    " if(-not [IO.File]::Exists($to)){[IO.File]::Move($from,$to);return}\n"
    " if(-not $over){throw (E 183)}\n"
    " try{[IO.File]::Replace($from,$to,[NullString]::Value)}\n"
    " catch{[IO.File]::Copy($from,$to,$true);[IO.File]::Delete($from)}}\n"
    "$n=0;$cut=$false\n";

/* Starts a program as who is logged in at the console, in that session. */
static const char session[] =
    "Add-Type -TypeDefinition @'\n"
    "using System;using System.ComponentModel;using System.Runtime.InteropServices;using System.Text;\n"
    "public static class Session{\n"
    "[StructLayout(LayoutKind.Sequential,CharSet=CharSet.Unicode)]struct Startup{public int cb;"
    "public string r,desktop,title;public int x,y,w,h,cx,cy,fill,flags;public short show,n;"
    "public IntPtr b,i,o,e;}\n"
    "[StructLayout(LayoutKind.Sequential)]struct Info{public IntPtr process,thread;public int pid,tid;}\n"
    "[DllImport(\"kernel32.dll\")]static extern uint WTSGetActiveConsoleSessionId();\n"
    "[DllImport(\"wtsapi32.dll\",SetLastError=true)]static extern bool WTSQueryUserToken(uint s,out IntPtr t);\n"
    "[DllImport(\"userenv.dll\",SetLastError=true)]static extern bool CreateEnvironmentBlock("
    "out IntPtr e,IntPtr t,bool inherit);\n"
    "[DllImport(\"userenv.dll\")]static extern bool DestroyEnvironmentBlock(IntPtr e);\n"
    "[DllImport(\"userenv.dll\",CharSet=CharSet.Unicode)]static extern bool GetUserProfileDirectoryW("
    "IntPtr t,StringBuilder b,ref int n);\n"
    "[DllImport(\"advapi32.dll\",SetLastError=true,CharSet=CharSet.Unicode)]static extern bool "
    "CreateProcessAsUserW(IntPtr t,string app,StringBuilder line,IntPtr a,IntPtr b,bool inherit,uint flags,"
    "IntPtr e,string dir,ref Startup s,out Info i);\n"
    "[DllImport(\"kernel32.dll\")]static extern bool CloseHandle(IntPtr h);\n"
    "public static int Start(string line,string dir,uint flags,IntPtr i,IntPtr o){\n"
    "uint s=WTSGetActiveConsoleSessionId();IntPtr t,e=IntPtr.Zero;Info n;\n"
    "if(s==0xffffffff)throw new Win32Exception(1008);\n"
    "if(!WTSQueryUserToken(s,out t))throw new Win32Exception(Marshal.GetLastWin32Error());\n"
    "try{if(!CreateEnvironmentBlock(out e,t,false))throw new Win32Exception(Marshal.GetLastWin32Error());\n"
    "if(string.IsNullOrEmpty(dir)){var b=new StringBuilder(520);int z=520;"
    "dir=GetUserProfileDirectoryW(t,b,ref z)?b.ToString():null;}\n"
    "var u=new Startup();u.cb=Marshal.SizeOf(typeof(Startup));u.desktop=\"winsta0\\\\default\";\n"
    "bool p=i!=IntPtr.Zero;if(p){u.flags=0x100;u.i=i;u.o=o;u.e=o;}\n"
    "if(!CreateProcessAsUserW(t,null,new StringBuilder(line),IntPtr.Zero,IntPtr.Zero,p,flags|0x400,e,dir,"
    "ref u,out n))throw new Win32Exception(Marshal.GetLastWin32Error());\n"
    "CloseHandle(n.thread);CloseHandle(n.process);return n.pid;}\n"
    "finally{if(e!=IntPtr.Zero)DestroyEnvironmentBlock(e);CloseHandle(t);}}}\n"
    "'@\n";

/* $inner runs in the desktop's session with our input and answers as a script does. */
static const char inner[] =
    "$i=New-Object IO.Pipes.AnonymousPipeServerStream 'Out','Inheritable'\n"
    "$o=New-Object IO.Pipes.AnonymousPipeServerStream 'In','Inheritable'\n"
    "$line='powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -Sta -InputFormat None'\n"
    "$line+=' -OutputFormat Text -EncodedCommand '\n"
    "$line+=[Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($inner))\n"
    "[void][Session]::Start($line,'',0x08000000,$i.ClientSafePipeHandle.DangerousGetHandle(),"
    "$o.ClientSafePipeHandle.DangerousGetHandle())\n"
    "$i.DisposeLocalCopyOfClientHandle();$o.DisposeLocalCopyOfClientHandle()\n"
    "[Console]::OpenStandardInput().CopyTo($i);$i.Dispose()\n"
    "$m=New-Object IO.MemoryStream;$o.CopyTo($m);$m.WriteTo($out)\n";

static const char run_program[] =
    "try{foreach($e in $p.env){[Environment]::SetEnvironmentVariable($e[0],$e[1])}\n"
    "try{[Console]::OutputEncoding=New-Object Text.UTF8Encoding $false}catch{}\n"
    "$s=New-Object Diagnostics.ProcessStartInfo;$s.UseShellExecute=$false\n"
    "$s.FileName=$p.file;$s.Arguments=$p.line;if($p.cwd){$s.WorkingDirectory=$p.cwd}\n"
    "$c=[Diagnostics.Process]::Start($s)}\n"
    "catch{$f=Fault $_;[Console]::Error.Write($f.text);exit (0x0df00000 -bor $f.number)}\n"
    "$c.WaitForExit();exit $c.ExitCode\n";

static const struct script {
    const char *op;
    const char *parts[3]; /* between begin and end */
} scripts[] = {
    { "stat", { files, "$r=Entry (Look $p.path) ($p.follow -ne $false)\n" } },
    { "list",
      { files, "$d=Look $p.path;if($d -isnot [IO.DirectoryInfo]){throw (E 267)}\n"
               "Walk $d 1;$r=@{count=$n;truncated=$cut}\n" } },
    { "mkdir",
      { files, "$path=$p.path.TrimEnd('\\','/');$q=[IO.Path]::GetDirectoryName($path)\n"
               "if($p.parents -eq $false){if($q -and -not [IO.Directory]::Exists($q)){throw (E 3)}\n"
               " if([IO.Directory]::Exists($path)){throw (E 183)}}\n"
               "[void][IO.Directory]::CreateDirectory($p.path);$r=@{}\n" } },
    { "move", { files, "MoveFile $p.from $p.to ($p.overwrite -ne $false);$r=@{}\n" } },
    { "remove",
      { files, "$f=Look $p.path\n"
               "if($p.recursive -or $f -is [IO.FileInfo]){Wipe $f}else{[IO.Directory]::Delete($f.FullName);$n=1}\n"
               "$r=@{count=$n}\n" } },
    { "permissions", { files, "SetMode (Look $p.path) $p.mode;$r=@{count=$n}\n" } },
    { "place",
      { files, "try{MoveFile $p.temp $p.path $true}catch{[IO.File]::Delete($p.temp);throw}\n"
               "if($null -ne $p.mode){SetMode (Look $p.path) $p.mode};$r=@{}\n" } },
    { "probe",
      { files, "if((Look $p.path) -is [IO.DirectoryInfo]){throw (E 336)}\n"
               "$s=[IO.File]::Open($p.path,'Open','Read','ReadWrite');$s.Close();$r=@{}\n" } },
    { "metrics",
      { "$o=Get-CimInstance Win32_OperatingSystem;$c=@(Get-CimInstance Win32_Processor)\n"
        "$d=New-Object IO.DriveInfo $env:SystemDrive\n"
        "$r=[ordered]@{cpu_count=[Environment]::ProcessorCount\n"
        " cpu_used_pct=[double](($c|Measure-Object LoadPercentage -Average).Average)\n"
        " mem_total_bytes=[long]$o.TotalVisibleMemorySize*1024\n"
        " mem_available_bytes=[long]$o.FreePhysicalMemory*1024\n"
        " swap_total_bytes=[long]$o.SizeStoredInPagingFiles*1024\n"
        " swap_free_bytes=[long]$o.FreeSpaceInPagingFiles*1024\n"
        " disk_total_bytes=$d.TotalSize;disk_free_bytes=$d.AvailableFreeSpace\n"
        " uptime_us=[long]((Get-Date)-$o.LastBootUpTime).TotalSeconds*1000000}\n" } },
    { "desktop.launch",
      { session, "$id=[Session]::Start($p.line,$p.cwd,0x10,[IntPtr]::Zero,[IntPtr]::Zero)\n"
                 "$r=[ordered]@{pid=$id;windows=@();count=0}\n" } },
    { "desktop.launch.entry",
      { session, "$inner=\"`$name='\"+$p.entry+\"'`n\"+@'\n"
                 "try{$x=Start-Process -FilePath $name -PassThru\n"
                 "$r=[ordered]@{pid=[int]$x.Id;windows=@();count=0}}\n"
                 "catch{$e=$_.Exception;while($e.InnerException){$e=$e.InnerException}\n"
                 " $r=@{error=@{number=2;text=$e.Message}}}\n"
                 "$b=[Text.Encoding]::UTF8.GetBytes(\"`n\"+(ConvertTo-Json $r -Compress -Depth 5))\n"
                 "$o=[Console]::OpenStandardOutput();$o.Write($b,0,$b.Length);$o.Flush()\n"
                 "'@\n",
        inner } },
    { "desktop.clipboard.get",
      { session, "$inner=\"`$want='\"+$p.type+\"'`n\"+@'\n"
                 "Add-Type -AssemblyName System.Windows.Forms,System.Drawing\n"
                 "$c=[Windows.Forms.Clipboard];$type='';$b=New-Object byte[] 0;$m=New-Object IO.MemoryStream\n"
                 "if($want -ne 'image' -and $c::ContainsText()){$type='text'\n"
                 " $b=[Text.Encoding]::UTF8.GetBytes($c::GetText())}\n"
                 "elseif($want -ne 'text' -and $c::ContainsImage()){$type='image'\n"
                 " $c::GetImage().Save($m,[Drawing.Imaging.ImageFormat]::Png);$b=$m.ToArray()}\n"
                 "$d=$c::GetDataObject();$f=@(if($d){$d.GetFormats()})\n"
                 "$o=[Console]::OpenStandardOutput();$o.Write($b,0,$b.Length)\n"
                 "$j=\"`n\"+(ConvertTo-Json ([ordered]@{type=$type;size=$b.Length;targets=$f}) -Compress)\n"
                 "$b=[Text.Encoding]::UTF8.GetBytes($j);$o.Write($b,0,$b.Length);$o.Flush()\n"
                 "'@\n",
        inner } },
    { "desktop.clipboard.set",
      { session, "$inner=\"`$want='\"+$p.type+\"'`n\"+@'\n"
                 "Add-Type -AssemblyName System.Windows.Forms,System.Drawing\n"
                 "$c=[Windows.Forms.Clipboard];$m=New-Object IO.MemoryStream\n"
                 "[Console]::OpenStandardInput().CopyTo($m);$t=[Text.Encoding]::UTF8.GetString($m.ToArray())\n"
                 "if($want -eq 'image'){$c::SetImage([Drawing.Image]::FromStream($m))}\n"
                 "elseif($t){$c::SetDataObject($t,$true,20,100)}else{$c::Clear()}\n"
                 "[Console]::Out.Write(\"`n{`\"size`\":\"+$m.Length+'}')\n"
                 "'@\n",
        inner } },
};

static const struct script *find_script(const char *op)
{
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
        if (strcmp(scripts[i].op, op) == 0)
            return &scripts[i];
    return NULL;
}

/* --- To PowerShell ---------------------------------------------------------------------------- */

static int put_common(struct buf *text, const char *op, const json_t *facts)
{
    auto_buf struct buf plain = BUF_INIT, coded = BUF_INIT;
    if (json_write(facts, &plain) < 0 || buf_append_base64(&coded, plain.data, plain.size) < 0)
        return -1;
    buf_printf(text, "# deskfarm %s\n", op);
    return buf_printf(text, common, buf_str(&coded));
}

char *windows_script_text(const char *op, const json_t *facts)
{
    const struct script *script = find_script(op);
    auto_buf struct buf text = BUF_INIT;
    if (!script && strcmp(op, "exec") != 0)
        return NULL;
    put_common(&text, op, facts);
    if (!script) {
        buf_puts(&text, run_program);
        return text.failed ? NULL : strdup(buf_str(&text));
    }
    buf_puts(&text, begin);
    for (size_t i = 0; i < ARRAY_LEN(script->parts) && script->parts[i]; i++)
        buf_puts(&text, script->parts[i]);
    buf_puts(&text, end);
    return text.failed ? NULL : strdup(buf_str(&text));
}

static int too_large(struct error *err, const char *op)
{
    return error_set(err, ERROR_TOO_LARGE, "%s: the request is longer than a command line of Windows", op);
}

/* guest-exec of a script; facts is what $p is there, stolen. */
static json_t *powershell(const char *op, json_t *facts, struct error *err)
{
    auto_json json_t *owned = facts;
    auto_buf struct buf coded = BUF_INIT, plain = BUF_INIT;
    if (json_write(owned, &plain) < 0 || plain.size > FACTS_MAX) {
        too_large(err, op);
        return NULL;
    }
    auto_free char *text = windows_script_text(op, owned);
    if (!text || windows_encode(&coded, text) < 0) {
        error_set(err, ERROR_INTERNAL, "%s: memory is short", op);
        return NULL;
    }
    if (coded.size > WINDOWS_LINE_MAX) {
        too_large(err, op);
        return NULL;
    }
    return json_pack("{s:s, s:[s,s,s,s,s,s,s,s,s,s,s], s:b}", "path", WINDOWS_POWERSHELL, "arg", "-NoLogo",
                     "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-InputFormat", "None",
                     "-OutputFormat", "Text", "-EncodedCommand", buf_str(&coded), "capture-output", 1);
}

/* --- Commands --------------------------------------------------------------------------------- */

/* [["NAME", "value"], …]; null is for "not there". */
static json_t *make_env(const json_t *request)
{
    json_t *list = json_array(), *value;
    const char *name;
    json_object_foreach(json_object_get(request, "env"), name, value)
        if (*name && !strchr(name, '='))
            json_array_append_new(list, json_pack("[s, O]", name, value));
    return list;
}

/* cmd.exe with its output in UTF-8. */
#define CMD_PREFIX "chcp 65001>nul&"

static json_t *plain_command(const char *command)
{
    return json_pack("{s:s, s:[s,s,s,s+], s:b}", "path", "cmd.exe", "arg", "/d", "/s", "/c", CMD_PREFIX, command,
                     "capture-output", 1);
}

static int make_line(const json_t *request, const char **file, struct buf *line, struct error *err)
{
    const json_t *argv = json_object_get(request, "argv");
    const char *command = json_get_string(request, "command", NULL);
    const char *program = json_string_value(json_array_get(argv, 0));
    if (!argv && command && windows_units(command) > WINDOWS_CMD_MAX)
        return too_large(err, "exec");
    if (!argv && command && strpbrk(command, "\r\n"))
        return error_set(err, ERROR_BAD_VALUE, "exec: command: cmd.exe reads one line; for more give PowerShell's "
                         "words as argv: powershell.exe, -Command, text");
    if (!argv && command) {
        *file = "cmd.exe";
        return buf_printf(line, "/d /s /c \"" CMD_PREFIX "%s\"", command);
    }
    if (!program || !*program)
        return error_set(err, ERROR_BAD_VALUE, "exec: argv or command is needed");
    if (windows_is_batch(program))
        return error_set(err, ERROR_BAD_VALUE,
                         "exec: argv: %s is run by cmd.exe, which takes arguments apart by rules of its own; give "
                         "it as a command", program);
    *file = program;
    if (windows_quote_all(line, argv, 1) < 0)
        return error_set(err, ERROR_BAD_VALUE, "exec: argv: at most %d strings", WINDOWS_ARGUMENT_MAX);
    return 0;
}

json_t *windows_exec(const json_t *request, struct error *err)
{
    const char *cwd = json_get_string(request, "cwd", ""), *file = NULL;
    const char *command = json_get_string(request, "command", NULL);
    const char *fault = *cwd ? windows_path_fault(cwd) : NULL;
    auto_json json_t *env = make_env(request);
    auto_buf struct buf line = BUF_INIT;
    if (fault) {
        error_set(err, ERROR_BAD_VALUE, "exec: cwd: %s", fault);
        return NULL;
    }
    if (make_line(request, &file, &line, err) < 0)
        return NULL;
    bool is_alone = !*cwd && json_array_size(env) == 0 && !json_object_get(request, "argv");
    if (is_alone && windows_is_plain_command(command))
        return plain_command(command);
    return powershell("exec", json_pack("{s:s, s:s, s:s, s:O}", "file", file, "line", buf_str(&line), "cwd", cwd,
                                        "env", env), err);
}

/* --- Operations ------------------------------------------------------------------------------- */

static int check_paths(const char *op, const json_t *request, struct error *err)
{
    static const char *const names[] = { "path", "from", "to", "cwd" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *path = json_get_string(request, names[i], NULL);
        const char *fault = path ? windows_path_fault(path) : NULL;
        if (fault)
            return error_set(err, ERROR_BAD_VALUE, "%s: %s: %s", op, names[i], fault);
    }
    return 0;
}

/* A program of argv, or what belongs to a file or URL. A console program gets a console of its own. */
static int launch_line(const json_t *request, struct buf *line, struct error *err)
{
    const json_t *argv = json_object_get(request, "argv"), *urls = json_object_get(request, "urls");
    if (json_object_size(json_object_get(request, "env")) > 0)
        return error_set(err, ERROR_UNSUPPORTED, "launch: env: a program of the desktop has its user's on Windows");
    if (json_array_size(argv) == 0 && json_array_size(urls) == 0)
        return error_set(err, ERROR_BAD_VALUE, "launch: entry, argv or urls: what to start?");
    if (json_array_size(argv) == 0)
        buf_puts(line, "explorer.exe");
    if (windows_quote_all(line, argv, 0) < 0 || windows_quote_all(line, urls, 0) < 0)
        return error_set(err, ERROR_BAD_VALUE, "launch: argv, urls: at most %d strings", WINDOWS_ARGUMENT_MAX);
    return 0;
}

static json_t *launch_facts(const json_t *request, struct error *err)
{
    auto_buf struct buf line = BUF_INIT;
    if (launch_line(request, &line, err) < 0)
        return NULL;
    return json_pack("{s:s, s:s}", "line", buf_str(&line), "cwd", json_get_string(request, "cwd", ""));
}

/* A name that Windows knows although no folder of PATH has it ("msedge"). */
static json_t *entry_facts(const json_t *request, struct error *err)
{
    const char *entry = json_get_string(request, "entry", "");
    if (json_array_size(json_object_get(request, "urls")) > 0 || *json_get_string(request, "cwd", "") ||
        json_object_size(json_object_get(request, "env")) > 0)
        error_set(err, ERROR_UNSUPPORTED, "launch: entry: on Windows it goes alone; argv takes a cwd and urls");
    else if (!windows_is_plain(entry))
        error_set(err, ERROR_BAD_VALUE, "launch: entry: on Windows the name of a program, without blanks; or use argv");
    else
        return json_pack("{s:s}", "entry", entry);
    return NULL;
}

static json_t *clipboard_facts(const json_t *request, struct error *err)
{
    const char *type = json_get_string(request, "type", ""), *selection = json_get_string(request, "selection", "clipboard");
    if (strcmp(selection, "clipboard") != 0) {
        error_set(err, ERROR_UNSUPPORTED, "clipboard: selection: Windows has one clipboard");
        return NULL;
    }
    bool is_known = strcmp(type, "text") == 0 || strcmp(type, "image") == 0;
    return json_pack("{s:s}", "type", is_known ? type : "");
}

static json_t *make_facts(const char *op, const json_t *request, struct error *err)
{
    if (strcmp(op, "desktop.launch") == 0)
        return launch_facts(request, err);
    if (strcmp(op, "desktop.launch.entry") == 0)
        return entry_facts(request, err);
    if (strncmp(op, "desktop.clipboard.", 18) == 0)
        return clipboard_facts(request, err);
    json_t *facts = json_copy((json_t *)(uintptr_t)request);
    json_object_del(facts, "op");
    if (strcmp(op, "list") == 0) {
        json_object_set_new(facts, "depth", json_integer(CLAMP(json_get_int(request, "depth", 1), 1, 64)));
        json_object_set_new(facts, "limit", json_integer(CLAMP(json_get_int(request, "limit", 10000), 1, 1000000)));
    }
    return facts;
}

json_t *windows_script(const char *op, const json_t *request, struct error *err)
{
    if (strcmp(op, "desktop.launch") == 0 && json_object_get(request, "entry") && !json_object_get(request, "argv"))
        op = "desktop.launch.entry";
    bool sets_owner = json_object_get(request, "owner") || json_object_get(request, "group_owner");
    if (!find_script(op)) {
        error_set(err, ERROR_UNSUPPORTED, "%s: Windows is not asked for that", op);
        return NULL;
    }
    if (sets_owner) {
        error_set(err, ERROR_UNSUPPORTED, "%s: owner and group are not set on Windows", op);
        return NULL;
    }
    if (check_paths(op, request, err) < 0)
        return NULL;
    json_t *facts = make_facts(op, request, err);
    return facts ? powershell(op, facts, err) : NULL;
}

json_t *windows_result(const char *op, const uint8_t *output, size_t *size, struct error *err)
{
    const uint8_t *line = output && *size ? memrchr(output, '\n', *size) : NULL;
    size_t before = line ? (size_t)(line - output) : 0;
    json_t *result = NULL;
    if (!line || json_parse_object((const char *)line + 1, *size - before - 1, &result, NULL) < 0) {
        error_set(err, ERROR_GUEST_FAILED, "%s: the guest's PowerShell did not answer as asked", op);
        return NULL;
    }
    const json_t *error = json_object_get(result, "error");
    *size = before;
    if (!error)
        return result;
    int64_t number = json_get_int(error, "number", 0);
    error_set(err, windows_error_code(number), "%s", json_get_string(error, "text", "failed"));
    json_decref(result);
    return NULL;
}

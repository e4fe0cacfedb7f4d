# Runs once, at the logon after the machine was given the devices that it keeps: sees that the screen has its size,
# leaves nothing of the installation behind and shuts down. Also proves that the logon needs nobody.
. (Join-Path $PSScriptRoot 'common.ps1')
$settings = Read-Settings
$steps = if ($settings.agent) { 3 } else { 2 }
$step = 0
$wait = 120
Say 'second'

Add-Type -Namespace Deskfarm -Name Display -MemberDefinition @'
    [StructLayout(LayoutKind.Sequential, CharSet = CharSet.Unicode)]
    public struct Mode {
        [MarshalAs(UnmanagedType.ByValTStr, SizeConst = 32)] public string Device;
        public ushort Version, DriverVersion, Size, DriverExtra;
        public uint Fields;
        public int X, Y;
        public uint Orientation, FixedOutput;
        public short Color, Duplex, YResolution, TTOption, Collate;
        [MarshalAs(UnmanagedType.ByValTStr, SizeConst = 32)] public string Form;
        public ushort LogPixels;
        public uint BitsPerPixel, Width, Height, Flags, Frequency;
        public uint ICMMethod, ICMIntent, MediaType, DitherType, Reserved1, Reserved2, PanningWidth, PanningHeight;
    }
    [DllImport("user32.dll", CharSet = CharSet.Unicode)]
    public static extern bool EnumDisplaySettingsW(string device, int number, ref Mode mode);
    [DllImport("user32.dll", CharSet = CharSet.Unicode)]
    public static extern int ChangeDisplaySettingsW(ref Mode mode, uint flags);

    const int Current = -1;
    const uint FieldSize = 0x180000, SaveForAll = 0x9;

    static Mode Get() {
        Mode mode = new Mode();
        mode.Size = (ushort)Marshal.SizeOf(typeof(Mode));
        EnumDisplaySettingsW(null, Current, ref mode);
        return mode;
    }
    public static string Size() {
        Mode mode = Get();
        return mode.Width + "x" + mode.Height;
    }
    public static int Set(uint width, uint height) {
        Mode mode = Get();
        mode.Width = width;
        mode.Height = height;
        mode.Fields = FieldSize;
        return ChangeDisplaySettingsW(ref mode, SaveForAll);
    }
'@

# A standard VGA has the size that the firmware chose, which is the wanted one already.
Step 'the size of the screen' {
    $wanted = "$($settings.width)x$($settings.height)"
    for ($i = 0; [Deskfarm.Display]::Size() -ne $wanted; $i++) {
        if ($i -eq $wait) { throw "it is $([Deskfarm.Display]::Size()) and does not become $wanted" }
        [Deskfarm.Display]::Set($settings.width, $settings.height) | Out-Null
        Start-Sleep -Seconds 1
    }
}

if ($settings.agent) {
    Step 'the guest agent' {
        for ($i = 0; (Get-Service -Name 'QEMU-GA').Status -ne 'Running'; $i++) {
            if ($i -eq $wait) { throw 'its service does not run' }
            Start-Sleep -Seconds 1
        }
    }
}

Step 'cleaning up' {
    Unregister-ScheduledTask -TaskName deskfarm -Confirm:$false
    Remove-Item "$env:ProgramData\deskfarm", "$env:TEMP\*" -Recurse -Force -ErrorAction SilentlyContinue
    Optimize-Volume -DriveLetter C -ReTrim
}

# Meanwhile the builder hears the agent.
Say "ready $([Deskfarm.Display]::Size())"
Start-Sleep -Seconds 60
Say 'done'
shutdown.exe /s /t 0

# Runs once, at the first logon, from the answer medium and with an administrator's rights: makes the fresh Windows
# into a desktop that is there at every start and asks nothing. Ends with a clean shutdown.
. (Join-Path $PSScriptRoot 'common.ps1')
$settings = Read-Settings
$medium = Split-Path -Qualifier $PSScriptRoot
$steps = if ($settings.agent) { 9 } else { 8 }
$step = 0
$windows = 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion'
$winlogon = 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'
$policies = 'HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft'
$user = 'HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion'
Say 'logon'

Step 'drivers' {
    # Whoever signed them is trusted first; a question would wait for ever.
    $store = New-Object System.Security.Cryptography.X509Certificates.X509Store 'TrustedPublisher', 'LocalMachine'
    $store.Open('ReadWrite')
    Get-ChildItem "$medium\drivers" -Recurse -Filter *.cat | ForEach-Object {
        $certificate = (Get-AuthenticodeSignature $_.FullName).SignerCertificate
        if ($certificate) { $store.Add($certificate) }
    }
    $store.Close()
    # 259: nothing to do for a device that is not there; 3010: done, a restart is wanted, and comes.
    Invoke-Program pnputil.exe '/add-driver', "$medium\drivers\*.inf", '/subdirs', '/install' -good 0, 259, 3010
}

if ($settings.agent) {
    Step 'QEMU guest agent' {
        Invoke-Program msiexec.exe '/i', "$PSScriptRoot\qemu-ga.msi", '/qn', '/norestart' -good 0, 3010
        for ($i = 0; -not (Get-Service -Name 'QEMU-GA' -ErrorAction SilentlyContinue); $i++) {
            if ($i -eq 60) { throw 'it was not installed' }
            Start-Sleep -Seconds 1
        }
        Set-Service -Name 'QEMU-GA' -StartupType Automatic
    }
}

Step 'logon by itself' {
    Set-Registry $winlogon 'AutoAdminLogon' '1'
    Set-Registry $winlogon 'DefaultUserName' $settings.user
    Set-Registry $winlogon 'DefaultPassword' $settings.password
    Set-Registry $winlogon 'DefaultDomainName' $env:COMPUTERNAME
    Remove-Registry $winlogon 'AutoLogonCount'
    Remove-Registry $winlogon 'AutoLogonSID'
    Set-Registry 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\PasswordLess\Device' `
        'DevicePasswordLessBuildVersion' 0
    Set-LocalUser -Name $settings.user -PasswordNeverExpires $true
}

Step 'no sleep' {
    Invoke-Program powercfg.exe '/hibernate', 'off'
    foreach ($what in 'standby', 'monitor', 'disk') {
        Invoke-Program powercfg.exe '/change', "$what-timeout-ac", '0'
        Invoke-Program powercfg.exe '/change', "$what-timeout-dc", '0'
    }
}

Step 'no lock screen, no screen saver' {
    Set-Registry "$policies\Windows\Personalization" 'NoLockScreen' 1
    Set-Registry "$windows\Policies\System" 'InactivityTimeoutSecs' 0
    Set-Registry "$windows\Policies\System" 'DisableCAD' 1
    Set-Registry 'HKEY_CURRENT_USER\Control Panel\Desktop' 'ScreenSaveActive' '0'
    Set-Registry 'HKEY_CURRENT_USER\Software\Policies\Microsoft\Windows\Control Panel\Desktop' 'ScreenSaveActive' '0'
    Set-Registry 'HKEY_CURRENT_USER\Software\Microsoft\Windows NT\CurrentVersion\Winlogon' 'EnableGoodbye' 0
}

Step 'no update by itself, no restart by an update' {
    Set-Registry "$policies\Windows\WindowsUpdate\AU" 'NoAutoUpdate' 1
    Set-Registry "$policies\Windows\WindowsUpdate\AU" 'NoAutoRebootWithLoggedOnUsers' 1
    Set-Registry "$policies\Windows\WindowsUpdate" 'SetActiveHours' 1
    Set-Registry "$policies\Windows\WindowsUpdate" 'ActiveHoursStart' 6
    Set-Registry "$policies\Windows\WindowsUpdate" 'ActiveHoursEnd' 0
    Set-Registry "$policies\WindowsStore" 'AutoDownload' 2
}

Step 'no first-run pages' {
    Set-Registry "$policies\Edge" 'HideFirstRunExperience' 1
    Set-Registry "$policies\Edge" 'AutoImportAtFirstRun' 4
    Set-Registry "$policies\Edge" 'DefaultBrowserSettingEnabled' 0
    Set-Registry "$policies\Windows\OOBE" 'DisablePrivacyExperience' 1
    Set-Registry "$policies\Windows\CloudContent" 'DisableWindowsConsumerFeatures' 1
    Set-Registry "$policies\Windows\CloudContent" 'DisableSoftLanding' 1
    Set-Registry "$policies\Windows\Windows Feeds" 'EnableFeeds' 0
    Set-Registry "$policies\Dsh" 'AllowNewsAndInterests' 0
    Set-Registry "$policies\Windows NT\Reliability" 'ShutdownReasonOn' 0
    Set-Registry "$policies\Windows NT\Reliability" 'ShutdownReasonUI' 0
    Set-Registry "$windows\Policies\System" 'EnableFirstLogonAnimation' 0
    # "Let's finish setting up your device", the welcome page after updates, tips, suggested programs.
    Set-Registry "$user\UserProfileEngagement" 'ScoobeSystemSettingEnabled' 0
    foreach ($name in 'SubscribedContent-310093Enabled', 'SubscribedContent-338389Enabled', 'SoftLandingEnabled',
        'SilentInstalledAppsEnabled') {
        Set-Registry "$user\ContentDeliveryManager" $name 0
    }
    Set-Registry 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\ServerManager' 'DoNotOpenServerManagerAtLogon' 1
}

# A program that wants an administrator's rights asks, and asks beside the other windows.
Step 'user account control' {
    Set-Registry "$windows\Policies\System" 'EnableLUA' 1
    Set-Registry "$windows\Policies\System" 'PromptOnSecureDesktop' 0
}

Step 'the next start' {
    $own = "$env:ProgramData\deskfarm"
    New-Item -ItemType Directory -Path $own -Force | Out-Null
    Copy-Item "$PSScriptRoot\*.ps1", "$PSScriptRoot\settings.json" $own
    $action = New-ScheduledTaskAction -Execute powershell.exe `
        -Argument "-NoProfile -ExecutionPolicy Bypass -File `"$own\second-logon.ps1`""
    $logon = New-ScheduledTaskTrigger -AtLogOn -User $settings.user
    Register-ScheduledTask -TaskName deskfarm -Action $action -Trigger $logon -User $settings.user -RunLevel Highest `
        -Force | Out-Null
    # Setup's copies of the answer file hold the password.
    Remove-Item "$env:windir\Panther\unattend*.xml", "$env:windir\Panther\Unattend\*.xml" -Force `
        -ErrorAction SilentlyContinue
}

Say 'done'
shutdown.exe /s /t 0

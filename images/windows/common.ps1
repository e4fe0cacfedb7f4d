# What both logons share. The builder listens on the first serial port: one line, "deskfarm WORD TEXT".
$ErrorActionPreference = 'Stop'
$port = New-Object System.IO.Ports.SerialPort 'COM1', 115200
$port.Encoding = [System.Text.Encoding]::UTF8
$port.WriteTimeout = 5000

function Say([string]$text) {
    $line = ('deskfarm ' + $text) -replace '\s+', ' '
    Write-Host $line
    try {
        if (-not $port.IsOpen) { $port.Open() }
        $port.Write($line + "`n")
    } catch {
        Write-Host "COM1: $_"
    }
}

# A step that fails ends the script; the builder is told and shows what is on the screen.
function Step([string]$what, [scriptblock]$do) {
    $script:step += 1
    Say "step $script:step/$script:steps $what"
    try {
        & $do
    } catch {
        Say "failed ${what}: $_"
        exit 1
    }
}

# A setting that this version of Windows refuses is told and left out.
function Set-Registry([string]$path, [string]$name, $value) {
    $kind = if ($value -is [string]) { 'String' } else { 'DWord' }
    try {
        if (-not (Test-Path -LiteralPath "Registry::$path")) { New-Item -Path "Registry::$path" -Force | Out-Null }
        New-ItemProperty -LiteralPath "Registry::$path" -Name $name -Value $value -PropertyType $kind -Force | Out-Null
    } catch {
        Say "warning ${path}\${name}: $_"
    }
}

function Remove-Registry([string]$path, [string]$name) {
    Remove-ItemProperty -LiteralPath "Registry::$path" -Name $name -Force -ErrorAction SilentlyContinue
}

# Waits for programs with windows too.
function Invoke-Program([string]$program, [string[]]$arguments, [int[]]$good = @(0)) {
    $process = Start-Process -FilePath $program -ArgumentList $arguments -Wait -PassThru -NoNewWindow
    if ($good -notcontains $process.ExitCode) { throw "$program $arguments ended with $($process.ExitCode)" }
}

function Read-Settings {
    Get-Content -LiteralPath (Join-Path $PSScriptRoot 'settings.json') -Raw -Encoding UTF8 | ConvertFrom-Json
}

# Prepares this Windows server to receive traffic of the PACS load balancer.
#
# NOT YET TESTED ON WINDOWS: this script was written for Windows Server 2019 and later, but neither a
# Windows nor a PowerShell was at hand to run it. Try it on a server that is not in use first.
#
# Why: the load balancer passes packets on without changing the address in them, so this server must
# accept packets to the virtual address(es) below. It must never answer when somebody asks the
# network who has such an address; addresses of a loopback adapter are not answered for.
#
#   powershell -ExecutionPolicy Bypass -File this-file.ps1 -Check     says what is right and wrong
#   powershell -ExecutionPolicy Bypass -File this-file.ps1 -Apply     does it; may be run again
#   powershell -ExecutionPolicy Bypass -File this-file.ps1 -Remove    takes everything back
#
# If the PACS cannot be reached after -Apply: run -Remove, then -Check. It changes: one loopback
# adapter with the virtual addresses, the weak host model of that and of your network adapter, and
# the firewall rules of the group truepacs-loopback.
param([switch]$Apply, [switch]$Remove, [switch]$Check)
$ErrorActionPreference = 'Stop'

# The adapter that faces the load balancer; empty: that of the default route.
$FacingAdapter = ''
$Vips = @(
    @{ Address = '192.0.2.100'; Rules = @(
        @{ Action = 'Allow'; Protocol = 'TCP'; Ports = @('104', '11112') },
        @{ Action = 'Block'; Protocol = 'TCP'; Ports = @('1-103', '105-11111', '11113-65535') },
        @{ Action = 'Block'; Protocol = 'UDP'; Ports = @('1-65535') }
    ) },
    @{ Address = '2001:db8::100'; Rules = @(
        @{ Action = 'Allow'; Protocol = 'TCP'; Ports = @('104') },
        @{ Action = 'Block'; Protocol = 'TCP'; Ports = @('1-103', '105-65535') },
        @{ Action = 'Block'; Protocol = 'UDP'; Ports = @('1-65535') }
    ) },
    @{ Address = '192.0.2.101'; Rules = @(
        @{ Action = 'Allow'; Protocol = 'TCP'; Ports = @('104', '2000-2010', '11112') },
        @{ Action = 'Block'; Protocol = 'TCP'; Ports = @('1-103', '105-1999', '2011-11111', '11113-65535') },
        @{ Action = 'Allow'; Protocol = 'UDP'; Ports = @('514') },
        @{ Action = 'Block'; Protocol = 'UDP'; Ports = @('1-513', '515-65535') }
    ) }
)

# ---- Nothing below this line depends on your site. ----

$Name = 'truepacs-loopback'
$Folder = Join-Path $env:ProgramData 'truepacs-realserver'
$StateFile = Join-Path $Folder 'before.json'
$script:Bad = $false

function Say([string]$Text) { Write-Output "truepacs-realserver: $Text" }
function Good([string]$Text) { Write-Output "ok   $Text" }
function Bad([string]$Text) { Write-Output "BAD  $Text"; $script:Bad = $true }

function Assert-Administrator {
    $me = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'Only an administrator may do this: start PowerShell with "Run as administrator".'
    }
}

# The adapter that faces the load balancer: the one named above, else that of the default route.
function Get-FacingAdapter {
    if ($FacingAdapter -ne '') { return Get-NetAdapter -Name $FacingAdapter -ErrorAction Stop }
    $route = Get-NetRoute -DestinationPrefix '0.0.0.0/0', '::/0' -ErrorAction SilentlyContinue |
        Sort-Object -Property RouteMetric | Select-Object -First 1
    if ($null -eq $route) { throw 'No default route: write the name of the network adapter into $FacingAdapter at the top.' }
    return Get-NetAdapter -InterfaceIndex $route.InterfaceIndex -ErrorAction Stop
}

function Get-Loopback { return Get-NetAdapter -Name $Name -IncludeHidden -ErrorAction SilentlyContinue }

# Windows can make a loopback adapter ("Microsoft KM-TEST Loopback Adapter", netloop.inf, part of
# every Windows) only through its set-up interface: pnputil installs drivers, but cannot make a
# device that no hardware stands for. The lines of C# do what "devcon install netloop.inf *msloop"
# does, so that nothing has to be downloaded.
function Add-Loopback {
    if (-not ('TruePACS.Device' -as [type])) {
        Add-Type -TypeDefinition @'
using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
namespace TruePACS {
    public static class Device {
        [StructLayout(LayoutKind.Sequential)]
        struct Info { public int Size; public Guid Class; public int Instance; public IntPtr Reserved; }
        [DllImport("setupapi.dll", SetLastError = true)]
        static extern IntPtr SetupDiCreateDeviceInfoList(ref Guid c, IntPtr window);
        [DllImport("setupapi.dll", SetLastError = true, CharSet = CharSet.Unicode)]
        static extern bool SetupDiCreateDeviceInfo(IntPtr list, string name, ref Guid c, string text, IntPtr window, int flags, ref Info info);
        [DllImport("setupapi.dll", SetLastError = true, CharSet = CharSet.Unicode)]
        static extern bool SetupDiSetDeviceRegistryProperty(IntPtr list, ref Info info, int property, byte[] value, int length);
        [DllImport("setupapi.dll", SetLastError = true)]
        static extern bool SetupDiCallClassInstaller(int function, IntPtr list, ref Info info);
        [DllImport("setupapi.dll", SetLastError = true)]
        static extern bool SetupDiDestroyDeviceInfoList(IntPtr list);
        [DllImport("newdev.dll", SetLastError = true, CharSet = CharSet.Unicode)]
        static extern bool UpdateDriverForPlugAndPlayDevices(IntPtr window, string hardware, string inf, int flags, out bool reboot);
        static void Check(bool done) { if (!done) throw new Win32Exception(Marshal.GetLastWin32Error()); }
        public static void AddLoopback(string inf) {
            Guid net = new Guid("4d36e972-e325-11ce-bfc1-08002be10318");
            IntPtr list = SetupDiCreateDeviceInfoList(ref net, IntPtr.Zero);
            if (list == new IntPtr(-1)) throw new Win32Exception(Marshal.GetLastWin32Error());
            try {
                Info info = new Info();
                info.Size = Marshal.SizeOf(typeof(Info));
                byte[] id = Encoding.Unicode.GetBytes("*msloop\0\0");
                Check(SetupDiCreateDeviceInfo(list, "Net", ref net, null, IntPtr.Zero, 1, ref info));
                Check(SetupDiSetDeviceRegistryProperty(list, ref info, 1, id, id.Length));
                Check(SetupDiCallClassInstaller(0x19, list, ref info));
                bool reboot;
                Check(UpdateDriverForPlugAndPlayDevices(IntPtr.Zero, "*msloop", inf, 1, out reboot));
            } finally { SetupDiDestroyDeviceInfoList(list); }
        }
    }
}
'@
    }
    $before = @(Get-NetAdapter -IncludeHidden | ForEach-Object { $_.InterfaceGuid })
    [TruePACS.Device]::AddLoopback((Join-Path $env:windir 'inf\netloop.inf'))
    for ($i = 0; $i -lt 30; $i++) {
        $new = Get-NetAdapter | Where-Object { $_.InterfaceDescription -like '*KM-TEST*' -and $before -notcontains $_.InterfaceGuid }
        if ($new) {
            Rename-NetAdapter -Name @($new)[0].Name -NewName $Name
            return
        }
        Start-Sleep -Seconds 1
    }
    throw 'Windows made no loopback adapter within 30 seconds: look into the device manager.'
}

function Get-Families {
    $families = @()
    if ($Vips | Where-Object { $_.Address -notlike '*:*' }) { $families += 'IPv4' }
    if ($Vips | Where-Object { $_.Address -like '*:*' }) { $families += 'IPv6' }
    return $families
}

function Save-Before($Adapter) {
    if (Test-Path $StateFile) { return }
    New-Item -ItemType Directory -Force -Path $Folder | Out-Null
    $before = foreach ($family in 'IPv4', 'IPv6') {
        $i = Get-NetIPInterface -InterfaceIndex $Adapter.ifIndex -AddressFamily $family -ErrorAction SilentlyContinue
        if ($i) {
            @{ Adapter = $Adapter.Name; Family = $family; Receive = "$($i.WeakHostReceive)"; Send = "$($i.WeakHostSend)" }
        }
    }
    ConvertTo-Json -InputObject @($before) | Set-Content -Path $StateFile -Encoding UTF8
}

# The weak host model: packets that arrive at the network adapter for an address of the loopback
# adapter are accepted, and replies leave through the network adapter.
function Set-WeakHost($Adapter) {
    foreach ($family in Get-Families) {
        Set-NetIPInterface -InterfaceIndex $Adapter.ifIndex -AddressFamily $family -WeakHostReceive Enabled -WeakHostSend Enabled
    }
}

function Set-Loopback($Loopback) {
    Set-DnsClient -InterfaceIndex $Loopback.ifIndex -RegisterThisConnectionsAddress $false
    foreach ($binding in 'ms_msclient', 'ms_server', 'ms_lltdio', 'ms_rspndr') {
        Disable-NetAdapterBinding -Name $Name -ComponentID $binding -ErrorAction SilentlyContinue
    }
    foreach ($family in Get-Families) {
        Set-NetIPInterface -InterfaceIndex $Loopback.ifIndex -AddressFamily $family -AutomaticMetric Disabled -InterfaceMetric 9000 -DadTransmits 0
    }
    foreach ($old in Get-NetIPAddress -InterfaceIndex $Loopback.ifIndex -ErrorAction SilentlyContinue) {
        if ($old.PrefixOrigin -eq 'Manual' -and @($Vips | ForEach-Object { $_.Address }) -notcontains $old.IPAddress) {
            Remove-NetIPAddress -InterfaceIndex $Loopback.ifIndex -IPAddress $old.IPAddress -Confirm:$false
        }
    }
    foreach ($vip in $Vips) {
        $length = 32
        if ($vip.Address -like '*:*') { $length = 128 }
        $there = Get-NetIPAddress -InterfaceIndex $Loopback.ifIndex -IPAddress $vip.Address -ErrorAction SilentlyContinue
        if ($there) {
            Set-NetIPAddress -InterfaceIndex $Loopback.ifIndex -IPAddress $vip.Address -PrefixLength $length -SkipAsSource $true
        } else {
            New-NetIPAddress -InterfaceIndex $Loopback.ifIndex -IPAddress $vip.Address -PrefixLength $length -SkipAsSource $true | Out-Null
        }
    }
}

# Only the declared ports answer on a virtual address: a rule that blocks is stronger in Windows
# than any rule that allows, so all other ports are blocked by name.
function Set-Firewall {
    Remove-NetFirewallRule -Group $Name -ErrorAction SilentlyContinue
    foreach ($vip in $Vips) {
        foreach ($rule in $vip.Rules) {
            New-NetFirewallRule -DisplayName "TruePACS $($vip.Address) $($rule.Protocol) $($rule.Action)" -Group $Name `
                -Direction Inbound -Action $rule.Action -LocalAddress $vip.Address -Protocol $rule.Protocol -LocalPort $rule.Ports | Out-Null
        }
    }
}

function Invoke-Apply {
    $facing = Get-FacingAdapter
    if ($null -eq (Get-Loopback)) { Add-Loopback }
    Enable-NetAdapter -Name $Name -Confirm:$false
    $loopback = Get-Loopback
    Save-Before $facing
    Set-Firewall
    Set-WeakHost $facing
    Set-WeakHost $loopback
    Set-Loopback $loopback
    Say 'done; Windows keeps all of it over reboots. Now run this script with -Check.'
}

function Invoke-Remove {
    Remove-NetFirewallRule -Group $Name -ErrorAction SilentlyContinue
    $loopback = Get-Loopback
    if ($loopback) {
        Get-NetIPAddress -InterfaceIndex $loopback.ifIndex -ErrorAction SilentlyContinue |
            Where-Object { $_.PrefixOrigin -eq 'Manual' } | Remove-NetIPAddress -Confirm:$false
        & pnputil.exe /remove-device $loopback.PnPDeviceID | Out-Null
        if ($LASTEXITCODE -ne 0) {
            Disable-NetAdapter -Name $Name -Confirm:$false
            Say 'this Windows cannot remove the loopback adapter from a script; it is disabled. Remove it in the device manager.'
        }
    }
    if (Test-Path $StateFile) {
        foreach ($b in @(Get-Content -Raw -Path $StateFile | ConvertFrom-Json)) {
            Set-NetIPInterface -InterfaceAlias $b.Adapter -AddressFamily $b.Family -WeakHostReceive $b.Receive -WeakHostSend $b.Send -ErrorAction SilentlyContinue
        }
        Remove-Item -Recurse -Force -Path $Folder
    }
    Say 'removed; this server takes no more part in the load balancing.'
}

function Invoke-Check {
    $loopback = Get-Loopback
    if ($null -eq $loopback) { Bad 'there is no loopback adapter for the virtual addresses: run -Apply'; return }
    foreach ($adapter in (Get-FacingAdapter), $loopback) {
        foreach ($family in Get-Families) {
            $i = Get-NetIPInterface -InterfaceIndex $adapter.ifIndex -AddressFamily $family
            if ("$($i.WeakHostReceive)" -eq 'Enabled' -and "$($i.WeakHostSend)" -eq 'Enabled') {
                Good "$($adapter.Name) passes packets for the virtual addresses on ($family)"
            } else {
                Bad "$($adapter.Name) throws packets for the virtual addresses away ($family): run -Apply"
            }
        }
    }
    foreach ($vip in $Vips) {
        $there = Get-NetIPAddress -IPAddress $vip.Address -ErrorAction SilentlyContinue
        if ($null -eq $there) {
            Bad "$($vip.Address) is not on this server: run -Apply"
        } elseif ($there.InterfaceIndex -ne $loopback.ifIndex) {
            Bad "$($vip.Address) is on $($there.InterfaceAlias), which answers ARP for it and takes clients away from the load balancer: remove it there"
        } else {
            Good "$($vip.Address) is on the loopback adapter"
        }
    }
    if (Get-NetFirewallRule -Group $Name -ErrorAction SilentlyContinue) {
        Good 'the firewall has the rules for the declared ports'
    } else {
        Bad 'the firewall has no rules for the declared ports: run -Apply'
    }
}

if ($Apply) { Assert-Administrator; Invoke-Apply }
elseif ($Remove) { Assert-Administrator; Invoke-Remove }
elseif ($Check) { Invoke-Check; if ($script:Bad) { exit 1 } }
else { throw 'Write one of -Apply, -Check and -Remove behind the name of this script.' }

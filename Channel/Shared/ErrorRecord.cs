using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>An entry of a datagram socket's error queue (ip(7), IP_RECVERR), before the payload of the datagram that caused it.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
public struct ErrorRecord
{
    /// <summary>Bytes of the record.</summary>
    public const int Bytes = 80;

    /// <summary>
    /// Peer: where the datagram was to go. Local: who reports the error, with <see cref="DatagramFields.Local"/>. <see cref="DatagramHeader.Length"/> is
    /// the payload's whole length.
    /// </summary>
    [FieldOffset(0)] public DatagramHeader Datagram;

    /// <summary>struct sock_extended_err.</summary>
    [FieldOffset(64)] public SockExtendedError Error;
}

/// <summary>struct sock_extended_err of linux/errqueue.h.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SockExtendedError
{
    /// <summary>errno.</summary>
    public uint Errno;

    /// <summary>Who says so: SO_EE_ORIGIN_LOCAL, _ICMP, _ICMP6.</summary>
    public byte Origin;

    /// <summary>ICMP type.</summary>
    public byte Type;

    /// <summary>ICMP code.</summary>
    public byte Code;

    /// <summary>Nothing.</summary>
    public byte Pad;

    /// <summary>For EMSGSIZE the MTU.</summary>
    public uint Info;

    /// <summary>Nothing.</summary>
    public uint Data;
}

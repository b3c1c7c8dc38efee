using System.Runtime.InteropServices;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Mtcp;

/// <summary>What two shards say to each other of a connection that one has announced and a process at the other one accepts.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TakeMessage
{
    /// <summary>The handle of the announcement.</summary>
    public ulong Handle;

    /// <summary>Which take-over of the asking shard it is: its connection may have another owner by the time of the answer.</summary>
    public ulong Number;

    /// <summary>The guest.</summary>
    public uint Guest;

    /// <summary>The connection at the asking shard.</summary>
    public uint QueueSet, Id;

    /// <summary>What it is about.</summary>
    public TakeStep Step;

    /// <summary>Taken: what the listener had.</summary>
    public uint ReceiveLimit;

    /// <summary>Taken: address family, and SO_LINGER of the listener.</summary>
    public ushort Domain;
    public byte LingerOn;
    public int LingerSeconds;
}

/// <summary>Steps of a take-over.</summary>
internal enum TakeStep : uint
{
    /// <summary>Give me what you announced.</summary>
    Take,

    /// <summary>Here it is: the exported connection follows.</summary>
    Taken,

    /// <summary>There is none.</summary>
    Refused,

    /// <summary>Nobody takes it.</summary>
    Decline,
}

/// <summary>An option that was set before the connection had come: set again then.</summary>
internal unsafe struct EarlyOption
{
    /// <summary>The next one, in their order.</summary>
    public EarlyOption* Next;

    public int Level, Name;
    public ulong Value;
    public uint Length;
}

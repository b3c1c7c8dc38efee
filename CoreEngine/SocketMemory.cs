using System.Runtime.InteropServices;

namespace NetKernel.CoreEngine;

/// <summary>
/// What is remembered of a datagram socket, or of one that may become a listener, so that it can be made again when its NSM is replaced; and of a
/// listener, which connections it has announced. One per connection id, touched only for sockets that set options, bind, or carry datagrams.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SocketMemory
{
    /// <summary>Options kept.</summary>
    public const uint MaxOptions = 32;

    /// <summary>The Bind request; Op is None when there was none. Its port is the one that was really bound.</summary>
    public Nqe Bind;

    /// <summary>Datagram sockets: the Connect request that made the association; Op is None when there is none.</summary>
    public Nqe Connect;

    /// <summary>The SetOption under way, or of a datagram socket the Connect.</summary>
    public Nqe Asked;

    /// <summary>Datagram sockets: 1 if <see cref="Bind"/> is what a Connect chose, and goes with the association.</summary>
    public uint BoundByConnect;

    /// <summary>OpData of Listen.</summary>
    public ulong Backlog;

    /// <summary>Options in use.</summary>
    public uint Options;

    /// <summary>Announced connections in use.</summary>
    public uint Announced;

    public fixed ulong OptionNames[(int)MaxOptions];
    public fixed ulong OptionValues[(int)MaxOptions];
    public fixed uint OptionSizes[(int)MaxOptions];
    public fixed ulong PeerLow[32];
    public fixed ulong PeerHigh[32];
    public fixed uint Handles[32];
    public fixed ushort PeerPorts[32];

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        Bind = default;
        Connect = default;
        Asked = default;
        BoundByConnect = 0;
        Backlog = 0;
        Options = 0;
        Announced = 0;
    }

    /// <summary>Keeps an option: the newest value of each; when there are too many, the oldest goes.</summary>
    public void KeepOption(ulong name, ulong value, uint size)
    {
        uint at = 0;
        while (at < Options && OptionNames[at] != name)
        {
            at++;
        }

        if (at == MaxOptions)
        {
            at = MaxOptions - 1;
            for (uint i = 0; i < at; i++)
            {
                OptionNames[i] = OptionNames[i + 1];
                OptionValues[i] = OptionValues[i + 1];
                OptionSizes[i] = OptionSizes[i + 1];
            }
        }
        else if (at == Options)
        {
            Options++;
        }

        OptionNames[at] = name;
        OptionValues[at] = value;
        OptionSizes[at] = size;
    }

    /// <summary>Remembers an announced connection; false when there are as many as there may be.</summary>
    public bool Announce(Nqe* announcement)
    {
        if (Announced == SocketSlot.AcceptEntries)
        {
            return false;
        }

        uint at = Announced++;
        PeerLow[at] = announcement->OpData;
        PeerHigh[at] = announcement->DataPtr;
        PeerPorts[at] = announcement->Aux;
        Handles[at] = announcement->Size;
        return true;
    }

    /// <summary>The place of an announced connection, or -1.</summary>
    public readonly int Find(ulong handle)
    {
        for (int i = 0; i < Announced; i++)
        {
            if (Handles[i] == handle)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Forgets one announced connection.</summary>
    public void Forget(int at)
    {
        uint last = --Announced;
        PeerLow[at] = PeerLow[last];
        PeerHigh[at] = PeerHigh[last];
        PeerPorts[at] = PeerPorts[last];
        Handles[at] = Handles[last];
    }
}
